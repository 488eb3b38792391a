import * as wf from '@temporalio/workflow';
import type { SecurityMonitoringActivities } from '../../activities/security-monitoring';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import type { AlertRequest } from '../../contracts/security-alerts';
import { alertAcknowledged } from './messages';
import { callAfterMs, nextLevel } from './state';

/** Our own rows: tried until it works. */
const own = wf.proxyActivities<SecurityMonitoringActivities>({
  startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});
/** The receiver may be away for long: a message that is told late is better than none. */
const told = wf.proxyActivities<SecurityMonitoringActivities>({
  startToCloseTimeout: '1 minute',
  scheduleToCloseTimeout: '3 days',
  retry: { initialInterval: '5 seconds', maximumInterval: '5 minutes' },
});

/**
 * One alert, until a person has looked at it (R0.12): the security team is told, then called again and again, the more
 * often the more severe it is. That it cannot be told keeps nobody from being called.
 */
export async function securityAlertWorkflow(request: AlertRequest, carried = 0): Promise<void> {
  let hints = 0;
  wf.setHandler(alertAcknowledged, () => {
    hints++;
  });
  const { alertId, severity } = request;
  const telling: Promise<void>[] = [];
  const tell = async (messageId: string): Promise<void> => {
    await told.deliverAlert(messageId).catch(unlessCancelled);
  };
  if (carried === 0) telling.push(tell(await own.prepareAlertMessage({ alertId, event: 'raised', level: 0 })));
  const raisedMs = Date.parse(request.raisedAt);
  for (
    let level = nextLevel(severity, carried, Date.now() - raisedMs);
    ;
    level = nextLevel(severity, level, Date.now() - raisedMs)
  ) {
    const dueMs = raisedMs + callAfterMs(severity, level);
    await waitUntil(alertId, dueMs, () => hints);
    if (await own.isAlertAcknowledged(alertId)) break;
    telling.push(tell(await own.prepareAlertMessage({ alertId, event: 'escalated', level })));
    wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: 'escalated' }]);
    if (wf.workflowInfo().continueAsNewSuggested) {
      await Promise.all(telling);
      await wf.continueAsNew<typeof securityAlertWorkflow>(request, level);
    }
  }
  wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: 'acknowledged' }]);
  telling.push(tell(await own.prepareAlertMessage({ alertId, event: 'acknowledged', level: 0 })));
  await Promise.all(telling);
}

/** Until then, or until somebody has looked: the signal is a hint, the row says it. */
async function waitUntil(alertId: string, dueMs: number, hints: () => number): Promise<void> {
  // A hint that comes while the row is being asked may be newer than the answer: it has to wake what waits after it.
  // Executions of before took it for old, and called once more.
  const countsBefore = wf.patched('hints-counted-before-asking');
  for (;;) {
    const before = hints();
    if (await own.isAlertAcknowledged(alertId)) return;
    const seen = countsBefore ? before : hints();
    const leftMs = dueMs - Date.now();
    if (leftMs <= 0 || !(await wf.condition(() => hints() > seen, leftMs))) return;
  }
}

/** What could not be delivered in days is in the row and in the log. */
function unlessCancelled(error: unknown): void {
  if (wf.isCancellation(error)) throw error;
}
