import * as wf from '@temporalio/workflow';
import type { AccessReviewActivities } from '../../activities/access-review';
import { rightsDecided } from './messages';
import { REVIEW_MS, reviewMoments } from './state';

/** Our own tables: tried again for as long as it takes. */
const records = wf.proxyActivities<AccessReviewActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { initialInterval: '1 second', maximumInterval: '5 minutes' },
});

/**
 * One execution per campaign (R4.3): writes down every right, waits for reviewers, reminds them, and lets lapse what
 * nobody confirmed. A revocation does not wait for it: it takes effect where it is decided.
 *
 * @param asked.reviewId of a campaign that somebody asked for; a schedule leaves it out
 * @param asked.dueAt of one that has begun, and whose execution was ended early
 */
export async function accessReviewWorkflow(asked: {
  reviewId?: string;
  dueAt?: string;
}): Promise<{ rights: number; lapsed: number }> {
  const reviewId = asked.reviewId ?? wf.uuid4();
  let hints = 0;
  wf.setHandler(rightsDecided, () => {
    hints++;
  });
  const dueAtMs = asked.dueAt === undefined ? Date.now() + REVIEW_MS : Date.parse(asked.dueAt);
  const due = new Date(dueAtMs).toISOString();
  const { workflowId } = wf.workflowInfo();
  const rights = await records.openReview({ reviewId, workflowId, openedAt: new Date().toISOString(), dueAt: due });
  for (const { atMs, remind } of reviewMoments(dueAtMs)) {
    if (await isDecidedBefore(atMs)) break;
    if (remind !== null) await records.remindOfReview(reviewId, remind, { now: new Date().toISOString(), due });
  }
  return { rights, lapsed: await records.closeReview(reviewId, new Date().toISOString()) };

  async function isDecidedBefore(untilMs: number): Promise<boolean> {
    for (;;) {
      const seen = hints;
      if ((await records.undecidedRights(reviewId)) === 0) return true;
      const leftMs = untilMs - Date.now();
      if (leftMs <= 0 || !(await wf.condition(() => hints > seen, leftMs))) return false;
    }
  }
}
