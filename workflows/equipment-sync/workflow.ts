import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import * as wf from '@temporalio/workflow';
import type { EquipmentActivities } from '../../activities/equipment';
import type { EquipmentSyncRequest, EquipmentSyncResult, HouseSync } from '../../contracts/equipment';
import { equipmentSyncWorkflowId, type Integration } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { failureType } from '../lib/fail';
import { equipmentChanged } from './messages';

const records = wf.proxyActivities<EquipmentActivities>({ startToCloseTimeout: '10 seconds' });
/** The next round asks again anyway: a partner that is away is not worth more tries than these. */
const partner = wf.proxyActivities<EquipmentActivities>({
  startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', maximumAttempts: 3 },
});

/**
 * Compares the equipment of one partner with our access points (R3.11). One execution at a time for a partner, so that
 * an older list never overwrites a newer one.
 */
export async function equipmentSyncWorkflow({ partnerId }: EquipmentSyncRequest): Promise<EquipmentSyncResult> {
  let wanted = true;
  wf.setHandler(equipmentChanged, () => void (wanted = true));
  let houses: HouseSync[] = [];
  while (wanted) {
    wanted = false;
    houses = [];
    for (const houseId of await records.servedHouses(partnerId)) houses.push(await syncHouse(partnerId, houseId));
  }
  const failed = houses.some((house) => house.failed !== null);
  wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: failed ? 'incomplete' : 'done' }]);
  wf.setCurrentDetails(described(houses));
  return { houses };
}

/** A house that cannot be asked about keeps what it has; the others go on. */
async function syncHouse(partnerId: string, houseId: string): Promise<HouseSync> {
  try {
    return { houseId, changes: await partner.syncHouse({ partnerId, houseId }), failed: null };
  } catch (error) {
    if (wf.isCancellation(error)) throw error;
    return { houseId, changes: [], failed: failureType(error) ?? 'unknown' };
  }
}

/** What a person sees in the Temporal UI. */
function described(houses: readonly HouseSync[]): string {
  const lines = houses.flatMap(({ houseId, changes, failed }) => [
    ...(failed === null ? [] : [`- house \`${houseId}\`: not compared, ${failed}`]),
    ...changes.map(({ accessPointId, change }) => `- access point \`${accessPointId}\`: ${change}`),
  ]);
  return lines.length === 0 ? 'Nothing changed.' : lines.join('\n');
}

/** One round over all partners of an integration, run by a schedule. */
export async function equipmentRoundWorkflow({ integration }: { integration: Integration }): Promise<void> {
  const partnerIds = await records.partnersWithEquipment();
  await Promise.all(
    partnerIds.map(async (partnerId) => {
      try {
        await wf.executeChild(equipmentSyncWorkflow, {
          workflowId: equipmentSyncWorkflowId(partnerId),
          args: [{ partnerId }],
          staticSummary: 'equipment of one partner',
          typedSearchAttributes: [
            { key: INTEGRATION_ATTRIBUTE, value: integration },
            { key: PROCESS_ATTRIBUTE, value: 'equipment-sync' },
            { key: STATE_ATTRIBUTE, value: 'comparing' },
          ],
        });
      } catch (error) {
        // It is at work already, because somebody asked for it.
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    }),
  );
}
