import { z } from 'zod';
import { AttestationView } from '../../contracts/attestation-letters';
import { LOG_PART_MAX_BYTES, SignedLogPart } from '../../contracts/log-exports';
import { EDGE_MS } from '../../governance/log-comparison';
import { partnerOf } from '../authentication/caller';
import { announcedView, AnnouncedView } from '../announced-credentials';
import { attestationOf } from '../attestation';
import { logExportDesk, type LogExportDependencies } from '../log-exports';
import { defineOperation, type Operation } from '../operation';

const LogExportDue = z
  .object({
    demandId: z.uuid(),
    reason: z.string(),
    from: z.iso.datetime().describe('By your clock, with half a minute for its difference from ours; so is `to`'),
    to: z.iso.datetime(),
    dueAt: z.iso.datetime(),
    status: z.enum(['demanded', 'overdue', 'received']),
  })
  .meta({ id: 'LogExportDue' });
const Obligations = z
  .object({
    attestation: AttestationView,
    logExports: z.array(LogExportDue),
    credentials: z.array(AnnouncedView).describe('What you prove yourself by and replace yourself (R0.6)'),
  })
  .meta({ id: 'Obligations', description: 'What a partner owes us, and what follows when it does not come' });

const PartTaken = z
  .object({ received: z.int(), parts: z.int(), complete: z.boolean() })
  .meta({ id: 'LogExportPartTaken' });

/** What we want of a partner, for the partner to read: its letter (R3.5) and demanded parts of its logs (R3.6). */
export function obligationOperations(deps: LogExportDependencies): Operation[] {
  const { database } = deps;
  const desk = logExportDesk(deps);
  return [
    defineOperation({
      id: 'getObligations',
      method: 'get',
      path: '/obligations',
      summary: 'Your letter of attestation and when biometrics stop without it (R3.5); demanded logs (R3.6)',
      scope: 'obligations',
      params: z.object({}),
      responses: { 200: { description: 'Obligations', schema: Obligations } },
      async handle({ caller }) {
        const { partnerId, integration } = partnerOf(caller);
        const partner = await database.partner.findUniqueOrThrow({
          where: { id: partnerId },
          select: { attestedUntil: true },
        });
        const demands = await database.logExportDemand.findMany({
          where: { partnerId, dueAt: { not: null } },
          orderBy: [{ requestedAt: 'desc' }, { id: 'asc' }],
          take: 100,
        });
        await desk.tell(demands, { integration, actor: caller.clientId });
        const logExports = demands.map(({ id, reason, scopeFrom, scopeTo, dueAt, status }) => ({
          demandId: id,
          reason,
          from: new Date(scopeFrom.getTime() - EDGE_MS).toISOString(),
          to: new Date(scopeTo.getTime() + EDGE_MS).toISOString(),
          dueAt: dueAt?.toISOString() ?? '',
          status,
        }));
        const good = await database.partnerCredential.findMany({
          where: { partnerId, state: { not: 'retired' } },
          orderBy: [{ name: 'asc' }, { version: 'asc' }],
        });
        const attestation = attestationOf(partner.attestedUntil, Date.now());
        return { status: 200, body: { attestation, logExports, credentials: good.map(announcedView) } };
      },
    }),
    defineOperation({
      id: 'deliverLogExportPart',
      method: 'post',
      path: '/log-exports/{demandId}/parts',
      summary: 'Deliver a part of the logs that were demanded, signed (R3.6)',
      description:
        'The payload is a LogPart: entries by the Idempotency-Key of our orders, and what is withheld with its reason. ' +
        'What is no order of ours is `other`.',
      scope: 'obligations',
      params: z.object({ demandId: z.uuid() }),
      body: { kind: 'json', schema: SignedLogPart, maxBytes: LOG_PART_MAX_BYTES },
      idempotency: 'own',
      responses: { 200: { description: 'Taken in, now or earlier', schema: PartTaken } },
      async handle({ params, body, caller }) {
        const from = { ...partnerOf(caller), actor: caller.clientId };
        return { status: 200, body: await desk.take(params.demandId, from, body) };
      },
    }),
  ];
}
