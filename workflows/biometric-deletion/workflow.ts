import * as wf from '@temporalio/workflow';
import type { DeletionActivities, HolderSurvey } from '../../activities/biometric-deletion';
import type { DeletionObstacle, DeletionRequest } from '../../contracts/deletions';
import { enrollmentWorkflowId } from '../../contracts/ids';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { deletionChanged } from './messages';
import {
  answered,
  begun,
  escalated,
  escalationLevel,
  isConfirmed,
  needsSurvey,
  pauseMs,
  surveyed,
  toAsk,
  type Deletion,
  type Holder,
} from './state';

/** A worker that died is missed after this long, and not only when its step should have ended. */
const heartbeatTimeout = '10 seconds';
/** Our own rows: tried until it works. */
const own = wf.proxyActivities<DeletionActivities>({
  startToCloseTimeout: '30 seconds',
  heartbeatTimeout,
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});
/** A partner is asked once each time: the workflow itself decides when again, and when a person is called. */
const partner = wf.proxyActivities<DeletionActivities>({
  startToCloseTimeout: '1 minute',
  scheduleToCloseTimeout: '5 minutes',
  heartbeatTimeout,
});

/** A hold that is released is told; one whose time ends is found out after this long, milliseconds. */
const HELD_PAUSE_MS = 3_600_000;

/**
 * Deletes what is held of a resident's biometrics for one partner, at every holder (R3.7). It goes forward only and is
 * over only with each holder's confirmation; until then a person is called, again and again. That nothing is used any
 * more was decided before, in the transaction that made the deletion due. Under a hold it waits, and nobody is called.
 */
export async function biometricDeletionWorkflow(request: DeletionRequest, carried?: Deletion): Promise<void> {
  let deletion = carried ?? begun();
  let hinted = false;
  wf.setHandler(deletionChanged, () => void (hinted = true));
  const respectsHolds = wf.patched('holds');
  for (;;) {
    hinted = false;
    if (respectsHolds && (await own.isOnHold(request))) {
      wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: 'held' }]);
      await wf.condition(() => hinted, HELD_PAUSE_MS);
      wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: 'deleting' }]);
      if (!wf.workflowInfo().continueAsNewSuggested) continue;
      await wf.continueAsNew<typeof biometricDeletionWorkflow>(request, deletion);
    }
    if (needsSurvey(deletion)) deletion = await survey(request, deletion);
    const { asked, obstacle } = await askHolders(request, deletion);
    deletion = { ...asked, question: asked.question + 1 };
    if (isConfirmed(deletion)) {
      if (await own.concludeDeletion(request)) break;
      deletion = { ...deletion, isBusy: true };
    }

    const elapsedMs = Date.now() - Date.parse(request.requestedAt);
    if (escalationLevel(elapsedMs) > deletion.level) {
      deletion = await escalate(request, deletion, obstacle ?? 'EnrollmentInProgress');
    } else await wf.condition(() => hinted, pauseMs(deletion, elapsedMs));
    if (wf.workflowInfo().continueAsNewSuggested) {
      await wf.continueAsNew<typeof biometricDeletionWorkflow>(request, deletion);
    }
  }
  wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: 'deleted' }]);
}

/** Looks where something may be held, stops what may bring more there, and deletes what is ours. */
async function survey(request: DeletionRequest, before: Deletion): Promise<Deletion> {
  const found = await own.surveyHolders(request);
  const deletion = await cancelEnrollments(surveyed(before, found, Date.now()), found);
  if (deletion.question === 0 || deletion.isBusy) await own.eraseOwnBiometrics(request);
  return deletion;
}

/** Tells each enrollment once to end: it undoes what it did. One that never began is closed. */
async function cancelEnrollments(deletion: Deletion, { inFlight }: HolderSurvey): Promise<Deletion> {
  const untold = inFlight.map(({ enrollmentId }) => enrollmentId).filter((id) => !deletion.cancelled.includes(id));
  for (const enrollmentId of untold) {
    try {
      await wf.getExternalWorkflowHandle(enrollmentWorkflowId(enrollmentId)).cancel();
    } catch (error) {
      if (wf.isCancellation(error)) throw error;
      await own.abandonEnrollment(enrollmentId);
    }
  }
  return { ...deletion, cancelled: [...deletion.cancelled, ...untold] };
}

async function askHolders(
  request: DeletionRequest,
  deletion: Deletion,
): Promise<{ asked: Deletion; obstacle: DeletionObstacle | undefined }> {
  const answers = await Promise.all(
    toAsk(deletion).map(async (holder) => ({ houseId: holder.houseId, answer: await ask(request, holder) })),
  );
  const asked = answers.reduce((state, { houseId, answer }) => answered(state, houseId, answerKind(answer)), deletion);
  return { asked, obstacle: answers.map(({ answer }) => answer).find((answer) => answer !== 'deleted') };
}

async function ask(request: DeletionRequest, { houseId, order, state }: Holder): Promise<'deleted' | DeletionObstacle> {
  try {
    return await partner.askHolder(request, { houseId, order, isOrdered: state === 'ordered' });
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return 'NotAsked';
  }
}

function answerKind(answer: 'deleted' | DeletionObstacle): 'deleted' | 'pending' | 'none' {
  if (answer === 'deleted') return 'deleted';
  return answer === 'DeletionPending' ? 'pending' : 'none';
}

/** Calls a person; whoever has not confirmed is then ordered anew at once. Calls that were missed are one. */
async function escalate(request: DeletionRequest, deletion: Deletion, reason: DeletionObstacle): Promise<Deletion> {
  const level = escalationLevel(Date.now() - Date.parse(request.requestedAt));
  await own.raiseEscalation(request, { level, reason, raisedAt: new Date().toISOString() });
  wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: 'escalated' }]);
  return escalated(deletion, level);
}
