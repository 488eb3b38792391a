import * as wf from '@temporalio/workflow';
import type { ErasedHolderActivities } from '../../activities/erased-holders';
import type { ErasureActivities } from '../../activities/erasure';
import type { ErasureRequest, ErasureStanding } from '../../contracts/erasure';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { erasureChanged } from './messages';
import { begun, callDue, called, countedFor, looked, msUntilCall, pauseMs, type Progress } from './state';

/** A worker that died is missed after this long, and not only when its step should have ended. */
const heartbeatTimeout = '10 seconds';
/** Our own rows: tried until it works. */
const own = wf.proxyActivities<ErasureActivities>({
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout,
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});
/** A step that keeps failing is let go after a while, so that a person is called about it; the next turn tries again. */
const scheduleToCloseTimeout = '1 hour';
const step = wf.proxyActivities<ErasureActivities>({
  startToCloseTimeout: '2 minutes',
  scheduleToCloseTimeout,
  heartbeatTimeout,
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});
/** Looks through everything there is. */
const search = wf.proxyActivities<ErasureActivities>({
  startToCloseTimeout: '30 minutes',
  scheduleToCloseTimeout,
  heartbeatTimeout,
  retry: { initialInterval: '5 seconds', maximumInterval: '5 minutes' },
});

/**
 * Erases one person (R1.4; 152-FZ, articles 14 and 21). It goes forward only: waits for every other holder, destroys our
 * own rows and the key, looks through every store, certifies, and asks the holders of faces once more days later; by
 * then there is nothing to ask by about a plate (docs/adr/0074). What is to be done follows from the row each time, so
 * that it may die and begin again anywhere.
 */
export async function erasureWorkflow(request: ErasureRequest, carried?: Progress): Promise<void> {
  const { erasureId } = request;
  let progress = carried ?? begun;
  let hints = 0;
  wf.setHandler(erasureChanged, () => {
    hints++;
  });
  for (;;) {
    const seen = hints;
    const { standing, isSurveyed } = await survey(erasureId);
    wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: standing.state }]);
    if (standing.state === 'closed') return;
    progress = await callIfDue(erasureId, standing, progress);
    const left = isSurveyed ? await tryStep(erasureId, standing) : 'survey-failed';
    if (left !== null) {
      progress = looked(progress, left);
      await wf.condition(() => hints > seen, waitMs(standing, progress));
    }
    if (wf.workflowInfo().continueAsNewSuggested) {
      await wf.continueAsNew<typeof erasureWorkflow>(request, progress);
    }
  }
}

/** When it cannot be found out how far it is, the row's dates still say whether a person is to be called. */
async function survey(erasureId: string): Promise<{ standing: ErasureStanding; isSurveyed: boolean }> {
  try {
    return { standing: await step.surveyErasure(erasureId), isSurveyed: true };
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return { standing: await own.readErasure(erasureId), isSurveyed: false };
  }
}

async function tryStep(erasureId: string, standing: ErasureStanding): Promise<string | null> {
  try {
    return await stepOf(erasureId, standing);
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return 'step-failed';
  }
}

/** Does what is next. @returns what is left, in a word of its own for each; `null`: go on at once */
async function stepOf(erasureId: string, standing: ErasureStanding): Promise<string | null> {
  switch (standing.state) {
    case 'closed':
      return null;
    case 'held':
      return 'hold';
    case 'waiting':
    case 'erasing':
      return standing.pending.length > 0 ? standing.pending.join() : erase(erasureId);
    case 'reopened':
      return (await ask(standing, true)) ? erase(erasureId) : 'holders';
    case 'erased':
      if (msUntilFollowUp(standing) > 0) return 'follow-up';
      if (!(await ask(standing, false))) return 'holders';
      await step.closeErasure(erasureId);
      return null;
  }
}

/** Until a hint comes, something may have moved, or a person is to be called. */
function waitMs(standing: ErasureStanding, progress: Progress): number {
  const callMs = msUntilCall(standing, Date.now());
  if (standing.state === 'held') return callMs;
  if (standing.state !== 'erased') return Math.min(pauseMs(progress), callMs);
  const followUpMs = msUntilFollowUp(standing);
  return followUpMs > 0 ? followUpMs : pauseMs(progress);
}

const msUntilFollowUp = ({ followUpAt }: ErasureStanding): number =>
  followUpAt === null ? 0 : Date.parse(followUpAt) - Date.now();

/** @returns `null` when nothing is found any more and it is certified; else what is left */
async function erase(erasureId: string): Promise<string | null> {
  const executions = await search.removeExecutions(erasureId);
  if (executions > 0) return `executions ${executions.toString()}`;
  await step.enterLedger(erasureId);
  if (!(await step.eraseRows(erasureId))) return 'rows';
  const { found } = await search.searchEverywhere(erasureId);
  if (found.length > 0) return found.map(({ place, hits }) => `${place} ${hits.toString()}`).join();
  await step.certifyErasure(erasureId);
  return null;
}

/**
 * Asks those who confirmed whether it is still so; who was found to hold something is ordered anew to delete it. Each is
 * asked once a turn, by its own integration's worker.
 *
 * @returns whether all have said that nothing is there
 */
async function ask({ holders }: ErasureStanding, onlyFound: boolean): Promise<boolean> {
  const asked = holders.filter(({ isFound }) => isFound || !onlyFound);
  const answers = await Promise.all(
    asked.map(async ({ holderId, integration }) => {
      const { askErasedHolder } = wf.proxyActivities<ErasedHolderActivities>({
        taskQueue: integration,
        startToCloseTimeout: '1 minute',
        scheduleToCloseTimeout: '5 minutes',
        heartbeatTimeout,
      });
      try {
        return await askErasedHolder(holderId);
      } catch (error) {
        if (wf.isCancellation(error)) throw error;
        return 'NotAsked';
      }
    }),
  );
  return answers.every((answer) => answer === 'gone');
}

async function callIfDue(erasureId: string, standing: ErasureStanding, before: Progress): Promise<Progress> {
  const progress = wf.patched('calls-for-each-date') ? countedFor(before, standing) : before;
  const call = callDue(standing, progress, Date.now());
  if (call === null) return progress;
  const { dueAt } = standing;
  await own.escalateErasure(erasureId, { ...call, raisedAt: new Date().toISOString(), dueAt });
  return called(progress, standing, call);
}
