import * as wf from '@temporalio/workflow';
import type { OpenAccessActivities } from '../../activities/open-access';
import type { BillingStanding } from '../../contracts/access';
import type { OpenAccessRequest, OpenAccessResult } from '../../contracts/openings';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { awaitOutcome } from './messages';
import { billingBudgetMs, timeLeftMs } from './state';

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
export async function openAccessWorkflow(request: OpenAccessRequest): Promise<OpenAccessResult> {
  const ended = new wf.Trigger<OpenAccessResult>();
  wf.setHandler(awaitOutcome, async () => await ended);
  const result = await decideAndOpen(request);
  wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: result.outcome }]);
  ended.resolve(result);
  await wf.condition(wf.allHandlersFinished);
  return result;
}

async function decideAndOpen(request: OpenAccessRequest): Promise<OpenAccessResult> {
  if (timeLeftMs(request.notAfter, Date.now()) === null) return records.concludeOpening(request);
  const assessment = await records.assessOpening(request);
  if (assessment.kind === 'ended') return assessment.result;

  const billing = await billingStanding(request, assessment.billing);
  const leftMs = timeLeftMs(request.notAfter, Date.now());
  if (leftMs === null) return records.concludeOpening(request);
  try {
    return await withinTime(leftMs).openAccessPoint(request, billing);
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return records.concludeOpening(request);
  }
}

/** Billing's answer; while it is out, the last one that is remembered, which the decision may find too old. */
async function billingStanding(
  { notAfter }: OpenAccessRequest,
  question: { accountIds: string[]; service: string },
): Promise<BillingStanding | 'unavailable'> {
  const leftMs = timeLeftMs(notAfter, Date.now());
  if (leftMs === null) return 'unavailable';
  try {
    return await withinTime(billingBudgetMs(leftMs)).askBilling(question);
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return records.recallBilling(question);
  }
}

/** Effects outside: tried again quickly, and never after `leftMs`. */
const withinTime = (leftMs: number) =>
  wf.proxyLocalActivities<OpenAccessActivities>({
    scheduleToCloseTimeout: leftMs,
    startToCloseTimeout: leftMs,
    retry: { initialInterval: '100 milliseconds', backoffCoefficient: 2, maximumInterval: '1 second' },
  });
