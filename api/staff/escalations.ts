import { z } from 'zod';
import { EscalationView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

const PAGE = 200;
const EscalationList = z.object({ escalations: z.array(EscalationView) }).meta({ id: 'EscalationList' });

type EscalationRow = Awaited<ReturnType<Database['escalation']['findUniqueOrThrow']>>;

/**
 * What a process cannot end without a person (R2.4): deletions, sales and erasures that somebody does not confirm. Taking
 * one in hand ends nothing: the process calls again until it is over.
 */
export function escalationOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'listEscalations',
      method: 'get',
      path: '/escalations',
      summary: `The newest ${PAGE.toString()} calls to a person, or those about what is not over`,
      permission: 'escalations:read',
      params: z.object({}),
      query: z.object({ open: z.literal('true').optional() }),
      responses: { 200: { description: 'Calls, newest first', schema: EscalationList } },
      async handle({ query }) {
        const rows = await database.escalation.findMany({
          where: query.open === undefined ? {} : { resolvedAt: null },
          orderBy: [{ raisedAt: 'desc' }, { id: 'asc' }],
          take: PAGE,
        });
        return { status: 200, body: { escalations: rows.map(viewOf) } };
      },
    }),
    defineOperation({
      id: 'acknowledgeEscalation',
      method: 'post',
      path: '/escalations/{escalationId}/acknowledgement',
      summary: 'Take a call in hand: the first who does is named',
      permission: 'escalations:acknowledge',
      params: z.object({ escalationId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'In hand, now or earlier', schema: EscalationView } },
      async handle({ params: { escalationId: id }, caller }) {
        const row = await database.$transaction(async (tx) => {
          const known = await tx.escalation.findUnique({ where: { id } });
          if (!known) throw notFound('escalationId');
          const { count } = await tx.escalation.updateMany({
            where: { id, acknowledgedAt: null },
            data: { acknowledgedAt: new Date(), acknowledgedBy: caller.clientId },
          });
          const { integration, reason } = known;
          const entry = { objectId: id, actor: caller.clientId, outcome: 'acknowledged', reason };
          if (count > 0) {
            await appendJournal(tx, {
              kind: 'escalation',
              integration: integration === 'core' ? null : integration,
              ...entry,
            });
          }
          return tx.escalation.findUniqueOrThrow({ where: { id } });
        });
        return { status: 200, body: viewOf(row) };
      },
    }),
  ];
}

const viewOf = ({ id, ...row }: EscalationRow): z.infer<typeof EscalationView> => ({
  escalationId: id,
  integration: row.integration,
  process: row.process,
  objectId: row.objectId,
  reason: row.reason,
  level: row.level,
  raisedAt: row.raisedAt.toISOString(),
  acknowledgedAt: row.acknowledgedAt?.toISOString() ?? null,
  acknowledgedBy: row.acknowledgedBy,
  resolvedAt: row.resolvedAt?.toISOString() ?? null,
});
