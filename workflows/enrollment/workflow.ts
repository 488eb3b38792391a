import * as wf from '@temporalio/workflow';
import type { EnrollmentActivities } from '../../activities/enrollment';
import type { EnrollmentRequest, EnrollmentResult, PhotoRefusal } from '../../contracts/enrollment';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { withCompensation } from '../lib/compensation';
import { fail, failureType } from '../lib/fail';
import { enrollmentChanged } from './messages';
import { CUSTODIAN_MAY_TAKE_MS, pauseBeforeAskingMs } from './state';

/** Forward steps give up after a day: by then the undo is the better answer for the resident. */
const FORWARD: wf.ActivityOptions = {
  startToCloseTimeout: '30 seconds',
  scheduleToCloseTimeout: '1 day',
  retry: { initialInterval: '1 second', maximumInterval: '5 minutes' },
};
const hastySteps = wf.proxyActivities<EnrollmentActivities>(FORWARD);
/** A cancelled step is waited for: a photo that is on the wire would otherwise arrive after its own undo. */
const patientSteps = wf.proxyActivities<EnrollmentActivities>({
  ...FORWARD,
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
});
type Steps = typeof patientSteps;
/** Undo and bookkeeping never give up: a photo or template that nobody wants must not stay. */
const cleanup = wf.proxyActivities<EnrollmentActivities>({
  startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '10 minutes' },
});

/** One photo on its way to a face template (P2): the only process here that compensates (design rule 7). */
export async function enrollmentWorkflow(request: EnrollmentRequest): Promise<EnrollmentResult> {
  const result = await enroll(request).catch((error: unknown) => outcomeOf(error));
  await wf.CancellationScope.nonCancellable(() => cleanup.concludeEnrollment(request, result));
  wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: result.state }]);
  return result;
}

async function enroll(request: EnrollmentRequest): Promise<EnrollmentResult> {
  const steps = wf.patched('undo-after-attempt') ? patientSteps : hastySteps;
  return withCompensation(async (announce) => {
    await steps.assertConsent(request);
    announce('remove what was enrolled', () => cleanup.undoEnrollment(request));
    const refusal =
      request.custody === 'company' ? await steps.extractTemplate(request) : await enrollAtPartner(request, steps);
    if (refusal !== null) {
      await cleanup.undoEnrollment(request);
      return { state: 'rejected', refusal };
    }
    await steps.activateEnrollment(request);
    return { state: 'active' };
  });
}

/** Sends the photo and asks until the partner has decided; a webhook only shortens the pause. */
async function enrollAtPartner(request: EnrollmentRequest, steps: Steps): Promise<PhotoRefusal | null> {
  let changed = false;
  wf.setHandler(enrollmentChanged, () => void (changed = true));
  const sent = await steps.sendPhoto(request);
  if (sent.refusal !== null) return sent.refusal;
  const giveUpAtMs = Date.now() + CUSTODIAN_MAY_TAKE_MS;
  for (let question = 0; Date.now() < giveUpAtMs; question++) {
    await wf.condition(() => changed, pauseBeforeAskingMs(question));
    changed = false;
    await steps.assertConsent(request);
    const answer = await steps.askEnrollmentState(request);
    if (answer.state === 'active') return null;
    if (answer.state === 'rejected') return answer.refusal;
  }
  throw fail('DeadlinePassed', 'The partner did not enroll the face in time.');
}

function outcomeOf(error: unknown): EnrollmentResult {
  // A step may also fail because what it needs was purged when the consent was withdrawn.
  const isCancelled = wf.isCancellation(error) || wf.CancellationScope.current().consideredCancelled;
  return { state: isCancelled || failureType(error) === 'ConsentMissing' ? 'cancelled' : 'failed' };
}
