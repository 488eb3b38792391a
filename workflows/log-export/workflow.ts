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
 * and at that moment. The row says what came; a signal only ends the wait early.
 */
export async function logExportWorkflow({ demandId, dueAt }: { demandId: string; dueAt: string }): Promise<string> {
  let isThere = false;
  wf.setHandler(logExportReceived, () => {
    isThere = true;
  });
  const dueAtMs = Date.parse(dueAt);
  for (const { scope, atMs } of [
    { scope: '1-days', atMs: dueAtMs - DAY_MS },
    { scope: 'overdue', atMs: dueAtMs },
  ] as const) {
    if (await wf.condition(() => isThere, Math.max(1, atMs - Date.now()))) return 'received';
    if (await askAfterLogExport(demandId, scope, new Date().toISOString())) return 'received';
  }
  return 'overdue';
}
