import { raiseAlertOnce } from '../journal/alerts';
import type { Database } from '../prisma/database';

export type LogExportActivities = ReturnType<typeof createLogExportActivities>;

/** Effects of waiting for a partner's logs (R3.6), run by the `core` worker. */
export function createLogExportActivities({ database }: { database: Database }) {
  return {
    /**
     * Tells staff that the logs are not there, or that the partner has not even read that they are wanted; at the end of
     * the time the demand is overdue.
     *
     * @returns whether they are there
     */
    async askAfterLogExport(demandId: string, scope: 'not-told' | '1-days' | 'overdue', at: string): Promise<boolean> {
      return database.$transaction(async (tx) => {
        const demand = await tx.logExportDemand.findUniqueOrThrow({
          where: { id: demandId },
          include: { partner: true },
        });
        if (demand.status === 'received') return true;
        if (scope === 'not-told' && demand.toldAt !== null) return false;
        if (scope === 'overdue') {
          await tx.logExportDemand.updateMany({
            where: { id: demandId, status: 'demanded' },
            data: { status: 'overdue' },
          });
        }
        const severity = scope === 'overdue' ? 'high' : 'medium';
        const { integration } = demand.partner;
        const alert = { kind: 'log-export', severity, scope, objectId: demandId, integration } as const;
        const told = { cause: `${demandId}/${scope}`, kind: 'log-export', actor: 'log-export' } as const;
        await raiseAlertOnce(tx, { ...alert, until: demand.dueAt ?? new Date(at), raisedAt: new Date(at) }, told);
        return false;
      });
    },
  };
}
