import * as wf from '@temporalio/workflow';
import type { HousekeepingActivities } from '../../activities/housekeeping';

const { removeExpired, abandonEnrollments } = wf.proxyActivities<HousekeepingActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 5 },
});

/** Run by a schedule: removes what has outlived its term and closes enrollments whose process never began. */
export async function housekeepingWorkflow(): Promise<{ removed: number; abandoned: number }> {
  return { removed: await removeExpired(), abandoned: await abandonEnrollments() };
}
