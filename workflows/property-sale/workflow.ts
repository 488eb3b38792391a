import * as wf from '@temporalio/workflow';
import type { PropertySaleActivities } from '../../activities/property-sale';
import type { SaleProgress, SaleRequest, SaleState } from '../../contracts/property-sales';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { getSaleProgress, saleChanged } from './messages';
import { called, isOverdue, looked, obstacles, pauseMs, watched, type SaleWatch } from './state';

/** Our own rows and our own Temporal: tried until it works. */
const { takeSaleEffect, tellSalePartners, surveySale, raiseSaleEscalation } =
  wf.proxyActivities<PropertySaleActivities>({
    startToCloseTimeout: '1 minute',
    // A worker that died is missed after this long, and not only when its step should have ended.
    heartbeatTimeout: '10 seconds',
    retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
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
    if (progress.state === 'scheduled' && isDue) await takeSaleEffect(request);
    else if (watch.tells && progress.state !== 'scheduled') await tellSalePartners(request);
    const before = progress.state;
    progress = await surveySale(request);
    // Nobody was told yet of what this state brings.
    if (progress.state !== before) {
      watch = watched(Date.now());
      continue;
    }
    if (progress.isDone) {
      if (changes > seen) continue;
      show(progress.state);
      return { state: progress.state };
    }
    watch = looked(watch);
    show(progress.state === 'scheduled' ? 'scheduled' : 'telling');
    if (progress.state !== 'scheduled' && isOverdue(watch, Date.now())) {
      watch = called(watch, Date.now());
      await escalate(request, progress, watch.level);
      show('escalated');
      continue;
    }
    if (wf.workflowInfo().continueAsNewSuggested) {
      return wf.continueAsNew<typeof propertySaleWorkflow>(request, { ...watch, state: progress.state });
    }
    const waitMs = progress.state === 'scheduled' ? msUntil(request.effectiveAt) : pauseMs(watch, Date.now());
    await wf.condition(() => changes > seen, waitMs);
  }
}

const msUntil = (time: string): number => Math.max(1, Date.parse(time) - Date.now());

async function escalate(request: SaleRequest, progress: SaleProgress, level: number): Promise<void> {
  const raisedAt = new Date().toISOString();
  for (const obstacle of obstacles(progress)) await raiseSaleEscalation(request, { ...obstacle, level, raisedAt });
}
