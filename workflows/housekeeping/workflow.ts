import * as wf from '@temporalio/workflow';
import type { HousekeepingActivities } from '../../activities/housekeeping';

const { removeExpired, abandonEnrollments, resumeDeletions } = wf.proxyActivities<HousekeepingActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 5 },
});

/**
 * Run by a schedule: removes what has outlived its term, closes enrollments whose process never began, and begins
 * deletions that are due and have none.
 */
export async function housekeepingWorkflow(): Promise<{ removed: number; abandoned: number; deleting?: number }> {
  const done = { removed: await removeExpired(), abandoned: await abandonEnrollments() };
  return wf.patched('resume-deletions') ? { ...done, deleting: await resumeDeletions() } : done;
}
