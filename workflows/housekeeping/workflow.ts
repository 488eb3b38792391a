import * as wf from '@temporalio/workflow';
import type { HousekeepingActivities } from '../../activities/housekeeping';

type Tidied = {
  removed: number;
  abandoned: number;
  deleting?: number;
  sales?: number;
  erasing?: number;
  ended?: number;
  logs?: number;
  reviews?: number;
  months?: number;
};

const tidying = wf.proxyActivities<HousekeepingActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 5 },
});

/**
 * Run by a schedule: removes what has outlived its term, closes enrollments whose process never began, begins what is
 * due and has no process, and ends what was kept for its time.
 */
export async function housekeepingWorkflow(): Promise<Tidied> {
  let done: Tidied = { removed: await tidying.removeExpired(), abandoned: await tidying.abandonEnrollments() };
  if (wf.patched('resume-deletions')) done = { ...done, deleting: await tidying.resumeDeletions() };
  if (wf.patched('resume-sales')) done = { ...done, sales: await tidying.resumeSales() };
  if (wf.patched('resume-erasures')) {
    done = { ...done, erasing: await tidying.resumeErasures(), ended: await tidying.endRetention() };
  }
  if (wf.patched('resume-log-exports')) done = { ...done, logs: await tidying.resumeLogExports() };
  if (wf.patched('resume-reviews')) done = { ...done, reviews: await tidying.resumeReviews() };
  if (wf.patched('journal-months')) done = { ...done, months: await tidying.keepJournalMonths() };
  return done;
}
