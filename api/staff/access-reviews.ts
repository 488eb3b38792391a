import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { z } from 'zod';
import { AccessReviewView, ReviewedRightView, RightDecisions } from '../../contracts/access-reviews';
import { accessReviewWorkflowId } from '../../contracts/ids';
import { giveBackRight, lockReview, takeAwayRight, type HeldRight } from '../../governance/rights';
import { appendJournal } from '../../journal/journal';
import type { Database, Transaction } from '../../prisma/database';
import { rightsDecided } from '../../workflows/access-review/messages';
import { startReview } from '../../workflows/access-review/start';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, notFound } from '../problem';
import { memberOf, ownRight } from './member';

const OneReview = z.object({ reviewId: z.uuid() });
const ReviewList = z.object({ reviews: z.array(AccessReviewView) }).meta({ id: 'AccessReviewList' });
const ReviewWithRights = AccessReviewView.extend({ rights: z.array(ReviewedRightView) }).meta({
  id: 'AccessReviewWithRights',
});
const ReviewStarted = z.object({ reviewId: z.uuid() }).meta({ id: 'AccessReviewStarted' });

type ReviewRow = Awaited<ReturnType<Database['accessReview']['findUniqueOrThrow']>>;
type ItemRow = Awaited<ReturnType<Database['accessReviewItem']['findUniqueOrThrow']>>;

/** Campaigns in which reviewers confirm or revoke each right; a revocation takes effect in the transaction that says so. */
export function accessReviewOperations({ database, temporal }: { database: Database; temporal: Client }): Operation[] {
  return [
    defineOperation({
      id: 'listAccessReviews',
      method: 'get',
      path: '/access-reviews',
      summary: 'Campaigns, newest first',
      permission: 'access-reviews:read',
      params: z.object({}),
      responses: { 200: { description: 'Campaigns', schema: ReviewList } },
      async handle() {
        const rows = await database.accessReview.findMany({ orderBy: { openedAt: 'desc' }, take: 50 });
        return { status: 200, body: { reviews: await Promise.all(rows.map((row) => viewOf(database, row))) } };
      },
    }),
    defineOperation({
      id: 'getAccessReview',
      method: 'get',
      path: '/access-reviews/{reviewId}',
      summary: 'Every right of a campaign, and what was decided about it',
      permission: 'access-reviews:read',
      params: OneReview,
      responses: { 200: { description: 'The campaign', schema: ReviewWithRights } },
      async handle({ params: { reviewId: id } }) {
        const row = await database.accessReview.findUnique({ where: { id } });
        if (!row) throw notFound('reviewId');
        return { status: 200, body: { ...(await viewOf(database, row)), rights: await rightsOf(database, id) } };
      },
    }),
    defineOperation({
      id: 'openAccessReview',
      method: 'post',
      path: '/access-reviews',
      summary: 'Begin a campaign now, beside those of each quarter',
      permission: 'access-reviews:open',
      stepUp: true,
      params: z.object({}),
      idempotency: 'stored',
      responses: { 202: { description: 'It begins; its rights are there in a moment', schema: ReviewStarted } },
      async handle({ caller, idempotencyKey }) {
        const reviewId = resourceIdFor(caller.clientId, 'openAccessReview', idempotencyKey);
        const entry = { integration: null, objectId: reviewId, actor: caller.clientId, outcome: 'requested' };
        await database.$transaction((tx) => appendJournal(tx, { kind: 'access-review', ...entry }));
        await startReview(temporal, { reviewId, workflowId: accessReviewWorkflowId(reviewId) });
        return { status: 202, body: { reviewId } };
      },
    }),
    defineOperation({
      id: 'decideAccessReview',
      method: 'post',
      path: '/access-reviews/{reviewId}/decisions',
      summary: "Confirm or revoke rights of others; nobody decides about one's own",
      permission: 'access-reviews:decide',
      stepUp: true,
      params: OneReview,
      body: { kind: 'json', schema: RightDecisions },
      idempotency: 'stored',
      responses: { 200: { description: 'Decided, all of them', schema: AccessReviewView } },
      async handle({ params: { reviewId }, body, caller }) {
        const by = { memberId: memberOf(caller).memberId, actor: caller.clientId };
        const row = await database.$transaction(async (tx) => {
          const review = await openReview(tx, reviewId);
          for (const [index, { itemId, decision }] of body.decisions.entries()) {
            const item = await itemOf(tx, reviewId, itemId, `decisions.${index.toString()}.itemId`);
            await decide(tx, item, decision, by);
          }
          return review;
        });
        await hint(temporal, row.workflowId);
        return { status: 200, body: await viewOf(database, row) };
      },
    }),
    defineOperation({
      id: 'restoreReviewedRight',
      method: 'post',
      path: '/access-reviews/{reviewId}/rights/{itemId}/restoration',
      summary: 'Give back what a campaign took from somebody else',
      permission: 'access-reviews:decide',
      stepUp: true,
      params: OneReview.extend({ itemId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'Given back, now or earlier', schema: AccessReviewView } },
      async handle({ params: { reviewId, itemId }, caller }) {
        const row = await database.$transaction(async (tx) => {
          const review = await tx.accessReview.findUnique({ where: { id: reviewId } });
          if (!review) throw notFound('reviewId');
          const item = await itemOf(tx, reviewId, itemId);
          assertNotOwn(item, memberOf(caller).memberId);
          if (item.decision !== 'revoked' && item.decision !== 'lapsed') throw reviewConflict();
          if (item.restoredAt !== null) return review;
          await giveBackRight(tx, rightOf(item));
          await tx.accessReviewItem.updateMany({ where: { id: itemId }, data: { restoredAt: new Date() } });
          const entry = { integration: null, objectId: itemId, actor: caller.clientId, outcome: 'restored' };
          await appendJournal(tx, { kind: 'access-review', ...entry });
          return review;
        });
        return { status: 200, body: await viewOf(database, row) };
      },
    }),
  ];
}

/** The same decision twice is one; another one than was made is refused. */
async function decide(
  tx: Transaction,
  item: ItemRow,
  wanted: 'confirm' | 'revoke',
  by: { memberId: string; actor: string },
): Promise<void> {
  assertNotOwn(item, by.memberId);
  const decision = wanted === 'confirm' ? 'confirmed' : 'revoked';
  if (item.decision === decision) return;
  if (item.decision !== null) throw reviewConflict();
  if (decision === 'revoked') await takeAwayRight(tx, rightOf(item));
  const decided = { decision, decidedBy: by.actor, decidedAt: new Date() };
  await tx.accessReviewItem.updateMany({ where: { id: item.id }, data: decided });
  const entry = { integration: null, objectId: item.id, actor: by.actor, outcome: decision };
  await appendJournal(tx, { kind: 'access-review', ...entry });
}

function assertNotOwn({ kind, holder }: ItemRow, memberId: string): void {
  if (kind !== 'member' || holder !== memberId) return;
  throw ownRight();
}

async function openReview(tx: Transaction, id: string): Promise<ReviewRow> {
  await lockReview(tx, id);
  const row = await tx.accessReview.findUnique({ where: { id } });
  if (!row) throw notFound('reviewId');
  if (row.state !== 'open') throw reviewConflict();
  return row;
}

async function itemOf(tx: Transaction, reviewId: string, id: string, field = 'itemId'): Promise<ItemRow> {
  const item = await tx.accessReviewItem.findUnique({ where: { id, reviewId } });
  if (!item) throw notFound(field);
  return item;
}

const rightOf = ({ kind, holder, granted }: ItemRow): HeldRight => ({
  kind: kind as HeldRight['kind'],
  holder,
  granted,
});

const reviewConflict = (): HttpProblem =>
  new HttpProblem({ status: 409, type: 'access-review-conflict', title: 'It was decided otherwise, or is over' });

async function viewOf(database: Database, row: ReviewRow): Promise<z.infer<typeof AccessReviewView>> {
  const { id: reviewId, state, openedAt, dueAt, closedAt } = row;
  return {
    reviewId,
    state: state as 'open' | 'closed',
    openedAt: openedAt.toISOString(),
    dueAt: dueAt.toISOString(),
    closedAt: closedAt?.toISOString() ?? null,
    undecided: await database.accessReviewItem.count({ where: { reviewId, decision: null } }),
  };
}

async function rightsOf(database: Database, reviewId: string): Promise<z.infer<typeof ReviewedRightView>[]> {
  const items = await database.accessReviewItem.findMany({
    where: { reviewId },
    orderBy: [{ kind: 'asc' }, { holder: 'asc' }, { granted: 'asc' }],
  });
  const holdersOf = (kind: string) => items.filter((item) => item.kind === kind).map(({ holder }) => holder);
  const members = await database.staffMember.findMany({ where: { id: { in: holdersOf('member') } } });
  const seen = await database.secretSighting.groupBy({
    by: ['clientId'],
    where: { clientId: { in: holdersOf('client') } },
    _max: { seenAt: true },
  });
  return items.map(({ id: itemId, kind, holder, granted, decision, decidedBy, decidedAt, restoredAt }) => {
    const member = members.find(({ id }) => id === holder);
    const usedAt = member?.lastSignInAt ?? seen.find(({ clientId }) => clientId === holder)?._max.seenAt ?? null;
    return {
      ...{ itemId, kind: kind as HeldRight['kind'], holder, granted, decidedBy },
      subject: member?.subject ?? null,
      lastUsedAt: usedAt?.toISOString() ?? null,
      decision: decision as z.infer<typeof ReviewedRightView>['decision'],
      decidedAt: decidedAt?.toISOString() ?? null,
      restoredAt: restoredAt?.toISOString() ?? null,
    };
  });
}

/** An execution that is over needs no hint. */
async function hint(temporal: Client, workflowId: string): Promise<void> {
  try {
    await temporal.workflow.getHandle(workflowId).signal(rightsDecided);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
