import { lockReview, rightsInForce, takeAwayRight, type HeldRight } from '../governance/rights';
import { nameBasedId, raiseAlertOnce } from '../journal/alerts';
import { appendJournal } from '../journal/journal';
import type { Database } from '../prisma/database';

export type AccessReviewActivities = ReturnType<typeof createAccessReviewActivities>;

/** Many rights go in one commit: longer than Prisma's five seconds. */
const LONG = { timeout: 60_000 };
const ACTOR = 'access-review';

/** Effects of a campaign in which rights are confirmed or go (R4.3), run by the `core` worker. */
export function createAccessReviewActivities({ database }: { database: Database }) {
  return {
    /** Writes down every right that holds now, and tells staff. A repeat finds it written. @returns how many there are */
    async openReview(review: {
      reviewId: string;
      workflowId: string;
      openedAt: string;
      dueAt: string;
    }): Promise<number> {
      const { reviewId, workflowId } = review;
      const [openedAt, dueAt] = [new Date(review.openedAt), new Date(review.dueAt)];
      return database.$transaction(async (tx) => {
        const { count } = await tx.accessReview.createMany({
          data: [{ id: reviewId, workflowId, openedAt, dueAt }],
          skipDuplicates: true,
        });
        if (count > 0) {
          const data = (await rightsInForce(tx)).map((right) => ({ id: itemId(reviewId, right), reviewId, ...right }));
          await tx.accessReviewItem.createMany({ data });
          const alert = {
            kind: 'access-review',
            severity: 'low',
            scope: 'opened',
            objectId: reviewId,
            integration: null,
          } as const;
          const told = { cause: `${reviewId}/opened`, kind: 'access-review', actor: ACTOR } as const;
          await raiseAlertOnce(tx, { ...alert, until: dueAt, raisedAt: openedAt }, told);
        }
        return tx.accessReviewItem.count({ where: { reviewId } });
      }, LONG);
    },

    /** @returns how many rights nobody has decided about */
    undecidedRights: (reviewId: string): Promise<number> =>
      database.accessReviewItem.count({ where: { reviewId, decision: null } }),

    /** Tells staff once that what nobody confirms is about to lapse. */
    async remindOfReview(
      reviewId: string,
      scope: '7-days' | '1-days',
      at: { now: string; due: string },
    ): Promise<void> {
      const severity = scope === '1-days' ? 'high' : 'medium';
      const alert = { kind: 'access-review', severity, scope, objectId: reviewId, integration: null } as const;
      const told = { cause: `${reviewId}/${scope}`, kind: 'access-review', actor: ACTOR } as const;
      await database.$transaction((tx) =>
        raiseAlertOnce(tx, { ...alert, until: new Date(at.due), raisedAt: new Date(at.now) }, told),
      );
    },

    /** Ends the campaign: what nobody confirmed lapses, in the same commit. @returns how many rights lapsed now */
    async closeReview(reviewId: string, at: string): Promise<number> {
      const closedAt = new Date(at);
      return database.$transaction(async (tx) => {
        await lockReview(tx, reviewId);
        const { state } = await tx.accessReview.findUniqueOrThrow({ where: { id: reviewId } });
        if (state === 'closed') return 0;
        const left = await tx.accessReviewItem.findMany({ where: { reviewId, decision: null } });
        for (const { id, kind, holder, granted } of left) {
          await takeAwayRight(tx, { kind: kind as HeldRight['kind'], holder, granted });
          const decided = { decision: 'lapsed', decidedBy: ACTOR, decidedAt: closedAt };
          await tx.accessReviewItem.update({ where: { id }, data: decided });
          const entry = { integration: null, objectId: id, actor: ACTOR, outcome: 'lapsed' };
          await appendJournal(tx, { kind: 'access-review', ...entry });
        }
        await tx.accessReview.update({ where: { id: reviewId }, data: { state: 'closed', closedAt } });
        const entry = { integration: null, objectId: reviewId, actor: ACTOR, outcome: 'closed' };
        await appendJournal(tx, { kind: 'access-review', ...entry, reason: `lapsed-${left.length.toString()}` });
        return left.length;
      }, LONG);
    },
  };
}

const itemId = (reviewId: string, { kind, holder, granted }: HeldRight): string =>
  nameBasedId(JSON.stringify(['access-review', reviewId, kind, holder, granted]));
