import { z } from 'zod';
import { ClientSuspensionView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

const PAGE = 200;
const SuspensionList = z.object({ suspensions: z.array(ClientSuspensionView) }).meta({ id: 'ClientSuspensionList' });

type SuspensionRow = Awaited<ReturnType<Database['clientSuspension']['findUniqueOrThrow']>>;

/** Who was kept out by policy, and that a person lets them in again (R0.12, R2.6). */
export function clientSuspensionOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'listClientSuspensions',
      method: 'get',
      path: '/client-suspensions',
      summary: `The newest ${PAGE.toString()} suspensions`,
      permission: 'suspensions:read',
      params: z.object({}),
      responses: { 200: { description: 'Suspensions, newest first', schema: SuspensionList } },
      async handle() {
        const rows = await database.clientSuspension.findMany({
          orderBy: [{ suspendedAt: 'desc' }, { id: 'asc' }],
          take: PAGE,
        });
        return { status: 200, body: { suspensions: rows.map(viewOf) } };
      },
    }),
    defineOperation({
      id: 'liftClientSuspension',
      method: 'post',
      path: '/client-suspensions/{suspensionId}/lift',
      summary: 'The caller is let in again, before its time is over',
      permission: 'suspensions:lift',
      stepUp: true,
      params: z.object({ suspensionId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'Lifted, now or earlier', schema: ClientSuspensionView } },
      async handle({ params: { suspensionId: id }, caller }) {
        const row = await database.$transaction(async (tx) => {
          const known = await tx.clientSuspension.findUnique({ where: { id } });
          if (!known) throw notFound('suspensionId');
          const data = { liftedAt: new Date(), liftedBy: caller.clientId };
          const { count } = await tx.clientSuspension.updateMany({ where: { id, liftedAt: null }, data });
          if (count > 0) {
            const { clientId } = known;
            const others = { clientId, liftedAt: null, until: { gt: new Date() } };
            const left = await tx.clientSuspension.findFirst({ where: others, orderBy: { until: 'desc' } });
            const suspendedUntil = left?.until ?? null;
            await tx.oAuthClient.update({ where: { id: clientId }, data: { suspendedUntil } });
            const entry = {
              integration: null,
              objectId: id,
              actor: caller.clientId,
              outcome: 'lifted',
              reason: clientId,
            };
            await appendJournal(tx, { kind: 'client-suspension', ...entry });
          }
          return tx.clientSuspension.findUniqueOrThrow({ where: { id } });
        });
        return { status: 200, body: viewOf(row) };
      },
    }),
  ];
}

const viewOf = ({ id, ...row }: SuspensionRow): z.infer<typeof ClientSuspensionView> => ({
  suspensionId: id,
  clientId: row.clientId,
  alertId: row.alertId,
  suspendedAt: row.suspendedAt.toISOString(),
  until: row.until.toISOString(),
  liftedAt: row.liftedAt?.toISOString() ?? null,
  liftedBy: row.liftedBy,
});
