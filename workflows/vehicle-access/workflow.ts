import * as wf from '@temporalio/workflow';
import type { VehicleAccessActivities } from '../../activities/vehicle-access';
import type { VehicleAccessRequest, VehicleStanding } from '../../contracts/vehicle-access';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { vehicleChanged } from './messages';
import { pauseMs, VEHICLE_COMES_WITHIN_MS } from './state';

/** Never gives up: a plate that was removed must not stay at the partner. Each try reads anew what is wanted and what was done. */
const { settleVehicle } = wf.proxyActivities<VehicleAccessActivities>({
  startToCloseTimeout: '30 seconds',
  // A worker that died is missed after this long, and not only when its step should have ended.
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '5 minutes' },
});

/**
 * One execution per vehicle and partner in plate custody (R3.13), as long as the vehicle is registered: has the partner
 * allow the plate where the resident has a right and block it where not, and ends when the vehicle was removed and the
 * partner has confirmed. Forward only (design rule 7).
 */
export async function vehicleAccessWorkflow(request: VehicleAccessRequest): Promise<Pick<VehicleStanding, 'state'>> {
  let changes = 0;
  wf.setHandler(vehicleChanged, () => {
    changes++;
  });
  const giveUpAtMs = Date.now() + VEHICLE_COMES_WITHIN_MS;
  let shown = '';
  const show = (state: string): void => {
    if (state !== shown) wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: state }]);
    shown = state;
  };

  for (let seen = 0; ;) {
    if (changes > seen) show('settling');
    seen = changes;
    const standing = await settled(request);
    show(standing?.state ?? 'refused');
    if (standing?.state === 'removed') return { state: 'removed' };
    if (changes > seen) continue;
    if (standing?.state === 'absent' && Date.now() >= giveUpAtMs) return { state: 'absent' };
    if (wf.workflowInfo().continueAsNewSuggested) return wf.continueAsNew<typeof vehicleAccessWorkflow>(request);
    await wf.condition(() => changes > seen, pauseMs(standing, Date.now()));
  }
}

/** @returns `null` when the partner refused in a way that trying again at once does not help */
async function settled(request: VehicleAccessRequest): Promise<VehicleStanding | null> {
  try {
    return await settleVehicle(request);
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return null;
  }
}
