import * as wf from '@temporalio/workflow';
import type { LogExportActivities } from '../../activities/log-export';
import { logExportReceived } from './messages';

const { askAfterLogExport } = wf.proxyActivities<LogExportActivities>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});

const DAY_MS = 24 * 3_600_000;

/**
 * One execution per demand for a partner's logs (R3.6): waits for them until they are due, and tells staff a day before
 * and at that moment, and after a day when the partner has not read of it. The row says what came; a signal only ends the
 * wait early.
 */
export async function logExportWorkflow({ demandId, dueAt }: { demandId: string; dueAt: string }): Promise<string> {
  let isThere = false;
  wf.setHandler(logExportReceived, () => {
    isThere = true;
  });
  const dueAtMs = Date.parse(dueAt);
  const toldByMs = Date.now() + DAY_MS;
  const looks = [
    ...(wf.patched('told-within-a-day') && toldByMs < dueAtMs ? [{ scope: 'not-told', atMs: toldByMs } as const] : []),
    { scope: '1-days', atMs: dueAtMs - DAY_MS } as const,
    { scope: 'overdue', atMs: dueAtMs } as const,
  ].sort((a, b) => a.atMs - b.atMs);
  for (const { scope, atMs } of looks) {
    if (await wf.condition(() => isThere, Math.max(1, atMs - Date.now()))) return 'received';
    if (await askAfterLogExport(demandId, scope, new Date().toISOString())) return 'received';
  }
  return 'overdue';
}
