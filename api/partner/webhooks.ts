import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { z } from 'zod';
import { enrollmentWorkflowId, equipmentSyncWorkflowId, type Integration } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import { enrollmentChanged } from '../../workflows/enrollment/messages';
import { equipmentChanged } from '../../workflows/equipment-sync/messages';
import type { Caller } from '../authentication/caller';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

const EnrollmentEvent = z
  .strictObject({
    eventId: z.string().min(1).max(128),
    clientId: z.uuid().describe("The resident's client id at this partner"),
    houseId: z.string().min(1).max(128),
    state: z.enum(['active', 'rejected']),
    reason: z.string().max(64).optional(),
    at: z.iso.datetime(),
  })
  .meta({ id: 'EnrollmentEvent' });

const EquipmentEvent = z
  .strictObject({ eventId: z.string().min(1).max(128), at: z.iso.datetime() })
  .meta({ id: 'EquipmentEvent' });

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
        const partnerId = partnerOf(caller);
        const subject = await database.partnerSubject.findUnique({
          where: { partnerId_token: { partnerId, token: body.clientId } },
        });
        const house = await database.housePartner.findUnique({
          where: { partnerId_partnerHouseId: { partnerId, partnerHouseId: body.houseId } },
        });
        if (!subject || !house) throw notFound();
        const { residentId, integration } = subject;
        await take(caller, { integration, eventId: body.eventId, kind: 'enrollment', at: body.at });
        const waiting = await database.enrollment.findFirst({
          where: { residentId, partnerId, houseId: house.houseId, state: { in: ['requested', 'processing'] } },
        });
        if (waiting) await tell(waiting.id);
        return { status: 202, body: { received: true } };
      },
    }),
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
        const { integration } = caller;
        if (integration === undefined) throw notFound();
        await take(caller, { integration, eventId, kind: 'equipment-change', at });
        // Also for a repeat: the process may have died between the two.
        await compareEquipment(partnerOf(caller), integration);
        return { status: 202, body: { received: true } };
      },
    }),
  ];

  /** Joins the comparison that is under way, which then compares once more. */
  async function compareEquipment(partnerId: string, integration: Integration): Promise<void> {
    await temporal.workflow.signalWithStart('equipmentSyncWorkflow', {
      workflowId: equipmentSyncWorkflowId(partnerId),
      taskQueue: integration,
      args: [{ partnerId }],
      signal: equipmentChanged,
      staticSummary: 'equipment of one partner',
      typedSearchAttributes: [
        { key: INTEGRATION_ATTRIBUTE, value: integration },
        { key: PROCESS_ATTRIBUTE, value: 'equipment-sync' },
        { key: STATE_ATTRIBUTE, value: 'comparing' },
      ],
    });
  }

  /** Once for each event id of the partner; a repeat is answered alike and changes nothing. */
  async function take(
    caller: Caller,
    event: { integration: string; eventId: string; kind: string; at: string },
  ): Promise<void> {
    const { integration, eventId, kind, at } = event;
    const partnerId = partnerOf(caller);
    await database.$transaction(async (tx) => {
      const row = { partnerId, eventId, integration, kind, happenedAt: new Date(at) };
      const { count } = await tx.partnerEvent.createMany({ data: [row], skipDuplicates: true });
      if (count === 0) return;
      const { clientId: actor } = caller;
      await appendJournal(tx, { kind: 'partner-event', integration, objectId: eventId, actor, outcome: kind });
    });
  }

  /** An enrollment that is over needs no hint. */
  async function tell(enrollmentId: string): Promise<void> {
    try {
      await temporal.workflow.getHandle(enrollmentWorkflowId(enrollmentId)).signal(enrollmentChanged);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
}

function partnerOf({ partnerId }: Caller): string {
  if (partnerId === undefined) throw notFound();
  return partnerId;
}
