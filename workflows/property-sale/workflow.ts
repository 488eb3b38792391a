import * as wf from '@temporalio/workflow';
import type { PropertySaleActivities } from '../../activities/property-sale';
import type { SaleProgress, SaleRequest, SaleState } from '../../contracts/property-sales';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { getSaleProgress, saleChanged } from './messages';
import { called, isOverdue, looked, obstacles, pauseMs, waitingSince, watched, type SaleWatch } from './state';

const patience = {
  startToCloseTimeout: '1 minute',
  // A worker that died is missed after this long, and not only when its step should have ended.
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
} as const;
/** That a person is called is our own rows' matter alone: tried until it works. */
const { raiseSaleEscalation } = wf.proxyActivities<PropertySaleActivities>(patience);
/** A step that keeps failing is let go after a while, so that a person is called about it; the next turn tries again. */
const { takeSaleEffect, tellSalePartners, surveySale } = wf.proxyActivities<PropertySaleActivities>({
  ...patience,
  scheduleToCloseTimeout: '30 minutes',
});

/**
 * One execution per sale (P4). Waits for a date that is yet to come; then sees to it that every partner of the house
 * confirms what follows, each through processes of its own, so that none waits for another. It goes forward only
 * (design rule 7): that nobody comes in any more was decided in the transaction in which the sale took effect. A
 * reversal begins it anew, for what follows from that.
 */
export async function propertySaleWorkflow(
  request: SaleRequest,
  carried?: SaleWatch,
): Promise<{ readonly state: SaleState }> {
  let progress: SaleProgress = { state: carried?.state ?? 'scheduled', isDone: false, partners: [] };
  let changes = 0;
  let seen = 0;
  wf.setHandler(saleChanged, () => {
    changes++;
  });
  wf.setHandler(getSaleProgress, () => progress);
  let shown = '';
  const show = (state: string): void => {
    if (state !== shown) wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: state }]);
    shown = state;
  };

  let watch = carried ?? watched(Date.now());
  for (;;) {
    if (changes > seen) watch = { ...watch, tells: true };
    seen = changes;
    const isDue = Date.now() >= Date.parse(request.effectiveAt);
    const before = progress.state;
    let untold = 0;
    // A history from before has no step that failed, and nobody who was not told: it goes on here as it did then.
    const isThrough = await isDone(async () => {
      if (before === 'scheduled' && isDue) await takeSaleEffect(request);
      else if (watch.tells && before !== 'scheduled') untold = await tellPartners(request);
      progress = await surveySale(request);
    });
    // Nobody was told yet of what this state brings.
    if (progress.state !== before) {
      watch = watched(Date.now());
      continue;
    }
    if (isThrough && progress.isDone) {
      if (changes > seen) continue;
      show(progress.state);
      return { state: progress.state };
    }
    // Who could not be told is told in the next turn.
    watch = { ...looked(watch), tells: watch.tells && (!isThrough || untold > 0) };
    show(progress.state === 'scheduled' ? 'scheduled' : 'telling');
    const late = progress.state === 'scheduled' ? waitingSince(watch, request.effectiveAt) : watch;
    if ((progress.state !== 'scheduled' || (isDue && !isThrough)) && isOverdue(late, Date.now())) {
      watch = called(late, Date.now());
      await escalate(request, obstacles(progress, isThrough), watch.level);
      show('escalated');
      continue;
    }
    if (wf.workflowInfo().continueAsNewSuggested) {
      return wf.continueAsNew<typeof propertySaleWorkflow>(request, { ...watch, state: progress.state });
    }
    const waitMs = progress.state === 'scheduled' && !isDue ? msUntil(request.effectiveAt) : pauseMs(watch, Date.now());
    await wf.condition(() => changes > seen, waitMs);
  }
}

const msUntil = (time: string): number => Math.max(1, Date.parse(time) - Date.now());

/** @returns how many could not be told; one of before did not say */
async function tellPartners(request: SaleRequest): Promise<number> {
  const untold = (await tellSalePartners(request)) as number | undefined;
  return untold ?? 0;
}

/** @returns whether it worked; a step that does not for long keeps nobody from being called */
async function isDone(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return false;
  }
}

async function escalate(request: SaleRequest, found: ReturnType<typeof obstacles>, level: number): Promise<void> {
  const raisedAt = new Date().toISOString();
  for (const obstacle of found) await raiseSaleEscalation(request, { ...obstacle, level, raisedAt });
}
