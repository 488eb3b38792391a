import * as wf from '@temporalio/workflow';
import type { SecurityMonitoringActivities } from '../../activities/security-monitoring';

const { watchJournal, beginAlerts } = wf.proxyActivities<SecurityMonitoringActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { initialInterval: '1 second', maximumInterval: '10 seconds', maximumAttempts: 4 },
});

/** What is left after that many is for the next turn. */
const MOST_BATCHES = 50;

/** Run by a schedule: shows the rules what is new in the journal, and sees to it that every alert is looked after. */
export async function securityMonitoringWorkflow(): Promise<{ seen: number; raised: number; open: number }> {
  let seen = 0;
  let raised = 0;
  for (let batch = 0, more = true; more && batch < MOST_BATCHES; batch++) {
    const turn = await watchJournal();
    seen += turn.seen;
    raised += turn.raised;
    more = turn.more;
  }
  return { seen, raised, open: await beginAlerts() };
}
