import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { SignalDefinition } from '@temporalio/common';
import { z } from 'zod';
import { deletionWorkflowId, enrollmentWorkflowId } from '../../contracts/ids';
import { appendJournal } from '../../journal/journal';
import type { Database, Transaction } from '../../prisma/database';
import { deletionChanged } from '../../workflows/biometric-deletion/messages';
import { enrollmentChanged } from '../../workflows/enrollment/messages';
import { partnerOf, type Caller } from '../authentication/caller';
import { compareEquipment } from '../equipment-sync';
import { defineOperation, type Operation } from '../operation';
import { invalidField, notFound } from '../problem';

/** Before partners reported anything. PostgreSQL's calendar has no year 0, and RFC 3339 has one. */
const EARLIEST_MS = Date.UTC(2000, 0);
const HappenedAt = z.iso
  .datetime({ abort: true })
  .refine((at) => Date.parse(at) >= EARLIEST_MS, 'lies before anything could have happened');

const EnrollmentEvent = z
  .strictObject({
    eventId: z.string().min(1).max(128),
    clientId: z.uuid().describe("The resident's client id at this partner"),
    houseId: z.string().min(1).max(128),
    state: z.enum(['active', 'rejected']),
    reason: z.string().max(64).optional(),
    at: HappenedAt,
  })
  .meta({ id: 'EnrollmentEvent' });

/** Opaque ids of keys and fobs, as they were given out. */
const CarrierId = z
  .string()
  .regex(/^[\w.:-]{1,128}$/, 'is 1 to 128 letters, digits, dots, colons, hyphens or underscores');
const Opened = { eventId: z.string().min(1).max(128), deviceId: z.string().min(1).max(128), at: HappenedAt };
const KeyOpeningEvent = z.strictObject({ ...Opened, keyId: CarrierId }).meta({ id: 'KeyOpeningEvent' });
const FobOpeningEvent = z.strictObject({ ...Opened, fobId: CarrierId }).meta({ id: 'FobOpeningEvent' });

/** A partner's clock may be ahead of ours by this much. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** An event that comes later than this after it happened is marked so. */
const LATE_MS = 10 * 60_000;

/** Whether something of the kind is known to have happened at the device after this. */
async function laterOneIsKnown(
  tx: Transaction,
  { accessPointId, kind, happenedAt }: { accessPointId: string; kind: string; happenedAt: Date },
): Promise<boolean> {
  const later = await tx.partnerEvent.findFirst({ where: { accessPointId, kind, happenedAt: { gt: happenedAt } } });
  return later !== null;
}

const EquipmentEvent = z
  .strictObject({ eventId: z.string().min(1).max(128), at: HappenedAt })
  .meta({ id: 'EquipmentEvent' });

const DeletionEvent = z
  .strictObject({
    eventId: z.string().min(1).max(128),
    clientId: z.uuid().describe("The resident's client id at this partner"),
    houseId: z.string().min(1).max(128),
    at: HappenedAt,
  })
  .meta({ id: 'DeletionEvent' });

const Received = z.object({ received: z.literal(true) }).meta({ id: 'Received' });

/** What partners report by themselves. An event is a hint: whoever acts on it asks the partner first. */
export function partnerWebhookOperations(deps: { database: Database; temporal: Client }): Operation[] {
  const { database, temporal } = deps;
  return [
    defineOperation({
      id: 'reportEnrollment',
      method: 'post',
      path: '/webhooks/enrollments',
      summary: 'An enrollment in partner custody has ended (R3.14)',
      scope: 'webhooks:deliver',
      params: z.object({}),
      body: { kind: 'json', schema: EnrollmentEvent },
      idempotency: 'own',
      responses: { 202: { description: 'Taken in, now or earlier', schema: Received } },
      async handle({ body, caller }) {
        const { partnerId, residentId, integration, houseId } = await faceAt(caller, body);
        await take(caller, { integration, eventId: body.eventId, kind: 'enrollment', at: body.at });
        const waiting = await database.enrollment.findFirst({
          where: { residentId, partnerId, houseId, state: { in: ['requested', 'processing'] } },
        });
        if (waiting) await hint(enrollmentWorkflowId(waiting.id), enrollmentChanged);
        return { status: 202, body: { received: true } };
      },
    }),
    defineOperation({
      id: 'reportDeletion',
      method: 'post',
      path: '/webhooks/deletions',
      summary: 'A face in partner custody was deleted (R3.7)',
      scope: 'webhooks:deliver',
      params: z.object({}),
      body: { kind: 'json', schema: DeletionEvent },
      idempotency: 'own',
      responses: { 202: { description: 'Taken in, now or earlier', schema: Received } },
      async handle({ body, caller }) {
        const { partnerId, residentId, integration } = await faceAt(caller, body);
        await take(caller, { integration, eventId: body.eventId, kind: 'deletion', at: body.at });
        const due = await database.biometricDeletion.findMany({ where: { residentId, partnerId, state: 'deleting' } });
        for (const { id } of due) await hint(deletionWorkflowId(id), deletionChanged);
        return { status: 202, body: { received: true } };
      },
    }),
    ...(['key', 'fob'] as const).map((carrier) =>
      defineOperation({
        id: `report${carrier === 'key' ? 'Key' : 'Fob'}Opening`,
        method: 'post',
        path: `/webhooks/${carrier}-openings`,
        summary: `A ${carrier === 'key' ? 'physical key opened a door (R1.10)' : 'fob opened a barrier (R1.11)'}: for audit`,
        description: 'Events may come late and in any order: they are written down as such and never refused for it.',
        scope: 'webhooks:deliver',
        params: z.object({}),
        names: 'deviceId',
        body: { kind: 'json', schema: carrier === 'key' ? KeyOpeningEvent : FobOpeningEvent },
        idempotency: 'own',
        responses: { 202: { description: 'Taken in, now or earlier', schema: Received } },
        async handle({ body, caller }) {
          const event = body;
          const { partnerId } = partnerOf(caller);
          const { deviceId, eventId, at } = event;
          const device = await database.accessPoint.findUnique({
            where: { partnerId_deviceId: { partnerId, deviceId } },
          });
          if (!device) throw notFound('deviceId');
          if (Date.parse(at) > Date.now() + CLOCK_SKEW_MS) throw invalidField('at', 'lies in the future');
          const subject = 'keyId' in event ? event.keyId : event.fobId;
          const { integration, id: accessPointId } = device;
          await take(caller, { integration, eventId, kind: `${carrier}-opening`, at, subject, accessPointId });
          return { status: 202, body: { received: true } };
        },
      }),
    ),
    defineOperation({
      id: 'reportEquipmentChange',
      method: 'post',
      path: '/webhooks/equipment-changes',
      summary: 'The equipment of this partner changed: we compare at once instead of at the next round (R3.11)',
      scope: 'webhooks:deliver',
      params: z.object({}),
      body: { kind: 'json', schema: EquipmentEvent },
      idempotency: 'own',
      responses: { 202: { description: 'Taken in, now or earlier', schema: Received } },
      async handle({ body, caller }) {
        const { eventId, at } = body;
        const { partnerId, integration } = partnerOf(caller);
        await take(caller, { integration, eventId, kind: 'equipment-change', at });
        // Also for a repeat: the process may have died between the two.
        await compareEquipment(temporal, partnerId, integration);
        return { status: 202, body: { received: true } };
      },
    }),
  ];

  /** Whose face and where, by the partner's own words. What is not this partner's does not exist for it. */
  async function faceAt(caller: Caller, { clientId, houseId }: { clientId: string; houseId: string }) {
    const { partnerId } = partnerOf(caller);
    const subject = await database.partnerSubject.findUnique({
      where: { partnerId_token: { partnerId, token: clientId } },
    });
    const house = await database.housePartner.findUnique({
      where: { partnerId_partnerHouseId: { partnerId, partnerHouseId: houseId } },
    });
    if (!subject || !house) throw notFound('clientId', 'houseId');
    return { partnerId, residentId: subject.residentId, integration: subject.integration, houseId: house.houseId };
  }

  /** Once for each event id of the partner; a repeat is answered alike and changes nothing. */
  async function take(
    caller: Caller,
    event: {
      integration: string;
      eventId: string;
      kind: string;
      at: string;
      subject?: string;
      accessPointId?: string;
    },
  ): Promise<void> {
    const { integration, eventId, kind, at, subject = null, accessPointId = null } = event;
    const { partnerId } = partnerOf(caller);
    await database.$transaction(async (tx) => {
      const happenedAt = new Date(at);
      const earlier = accessPointId !== null && (await laterOneIsKnown(tx, { accessPointId, kind, happenedAt }));
      const timing = Date.now() - happenedAt.getTime() > LATE_MS ? 'late' : earlier ? 'out-of-order' : 'in-time';
      const row = { partnerId, eventId, integration, kind, happenedAt, subject, accessPointId, timing };
      const { count } = await tx.partnerEvent.createMany({ data: [row], skipDuplicates: true });
      if (count === 0) return;
      const { clientId: actor } = caller;
      await appendJournal(tx, {
        kind: 'partner-event',
        integration,
        objectId: eventId,
        actor,
        outcome: kind,
        reason: timing,
      });
    });
  }

  /** An execution that is over needs no hint, and one that is not there yet asks by itself. */
  async function hint(workflowId: string, signal: SignalDefinition): Promise<void> {
    try {
      await temporal.workflow.getHandle(workflowId).signal(signal);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
}
