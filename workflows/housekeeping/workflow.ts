import * as wf from '@temporalio/workflow';
import type { HousekeepingActivities } from '../../activities/housekeeping';

const { removeExpired, abandonEnrollments, resumeDeletions, resumeSales } = wf.proxyActivities<HousekeepingActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 5 },
});

/**
 * Run by a schedule: removes what has outlived its term, closes enrollments whose process never began, and begins
 * what is due and has no process.
 */
export async function housekeepingWorkflow(): Promise<Tidied> {
  let done: Tidied = { removed: await removeExpired(), abandoned: await abandonEnrollments() };
  if (wf.patched('resume-deletions')) done = { ...done, deleting: await resumeDeletions() };
  if (wf.patched('resume-sales')) done = { ...done, sales: await resumeSales() };
  return done;
}

type Tidied = {
  readonly removed: number;
  readonly abandoned: number;
  readonly deleting?: number;
  readonly sales?: number;
};
