import * as wf from '@temporalio/workflow';
import type { OpenAccessActivities } from '../../activities/open-access';
import type { BillingStanding } from '../../contracts/access';
import type { OpenAccessEnd, OpenAccessRequest, OpenAccessResult } from '../../contracts/openings';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { awaitOutcome } from './messages';
import { billingTryMs, BILLING_TRIES, timeLeftMs } from './state';

/** Our own database: tried again for as long as it takes, because what happened must be written down. */
const records = wf.proxyLocalActivities<OpenAccessActivities>({
  startToCloseTimeout: '5 seconds',
  retry: { initialInterval: '50 milliseconds', maximumInterval: '5 seconds' },
});

/**
 * One request to open a door or barrier (P3): assess, ask billing, authorize and command, all inside the not-after
 * time. Activities are local: an opening is one workflow task on the integration's own worker. If that worker dies the
 * task runs again elsewhere; the opening's id is the partner's idempotency key, so the device still opens once.
 */
export async function openAccessWorkflow(request: OpenAccessRequest): Promise<OpenAccessEnd> {
  const ended = new wf.Trigger<OpenAccessEnd>();
  wf.setHandler(awaitOutcome, async () => await ended);
  const { requestedAt, notAfter } = request;
  const result = { ...(await decideAndOpen(request)), requestedAt, notAfter };
  // One that completed without a state has opened. An update of what is searched by costs a quarter of a start.
  if (request.steps !== 'one' || result.outcome !== 'opened') {
    wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: result.outcome }]);
  }
  ended.resolve(result);
  await wf.condition(wf.allHandlersFinished);
  return result;
}

async function decideAndOpen(request: OpenAccessRequest): Promise<OpenAccessResult> {
  const atFirstMs = timeLeftMs(request.notAfter, Date.now());
  if (atFirstMs === null) return records.concludeOpening(request, 'time-over');
  // Said in the request, because a patch costs each opening a marker and a search attribute.
  if (request.steps === 'one' || wf.patched('one-step')) return decideAndOpenAtOnce(request, atFirstMs);
  const assessment = await records.assessOpening(request, billingTryMs(atFirstMs));
  if (assessment.kind === 'ended') return assessment.result;
  const billing =
    assessment.kind === 'billing-known' ? assessment.standing : await billingStanding(request, assessment.billing);
  return open(request, billing);
}

/** As a rule one step. Only when billing gives no answer it is asked again, apart, before the command. */
async function decideAndOpenAtOnce(request: OpenAccessRequest, leftMs: number): Promise<OpenAccessResult> {
  try {
    const attempt = await commands(leftMs).attemptOpening(request, billingTryMs(leftMs));
    if (attempt.kind === 'ended') return attempt.result;
    return await open(request, await billingStanding(request, attempt.billing));
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return records.concludeOpening(request, 'gave-up');
  }
}

async function open(request: OpenAccessRequest, billing: BillingStanding | 'unavailable'): Promise<OpenAccessResult> {
  const leftMs = timeLeftMs(request.notAfter, Date.now());
  if (leftMs === null) return records.concludeOpening(request, 'time-over');
  try {
    return await commands(leftMs).openAccessPoint(request, billing);
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return records.concludeOpening(request, 'gave-up');
  }
}

/** Billing asked again; while it is out, the last answer that is remembered, which the decision may find too old. */
async function billingStanding(
  { notAfter }: OpenAccessRequest,
  question: { accountIds: string[]; service: string },
): Promise<BillingStanding | 'unavailable'> {
  const leftMs = timeLeftMs(notAfter, Date.now());
  if (leftMs === null) return 'unavailable';
  try {
    return await questions(billingTryMs(leftMs)).askBilling(question);
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return records.recallBilling(question);
  }
}

/**
 * The command: tried again quickly. That no try comes late is not left to a time-out here, because the SDK does not end
 * a local activity's retries by `scheduleToCloseTimeout`: the activity itself ends the opening when its time is over.
 */
const commands = (leftMs: number) =>
  wf.proxyLocalActivities<OpenAccessActivities>({
    startToCloseTimeout: leftMs,
    retry: { initialInterval: '100 milliseconds', backoffCoefficient: 2, maximumInterval: '500 milliseconds' },
  });

/** Billing was asked once with the assessment: these are the tries that remain. */
const questions = (tryMs: number) =>
  wf.proxyLocalActivities<OpenAccessActivities>({
    startToCloseTimeout: tryMs,
    retry: { initialInterval: '50 milliseconds', backoffCoefficient: 2, maximumAttempts: BILLING_TRIES - 1 },
  });
