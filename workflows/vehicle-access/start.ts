import type { Client } from '@temporalio/client';
import { vehicleAccessWorkflowId } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { vehicleChanged } from './messages';
import type { vehicleAccessWorkflow } from './workflow';

export type PlatePartner = { readonly partnerId: string; readonly integration: string };

/** Begins the execution of this vehicle with each partner, or has the one that is there look again. Safe to repeat. */
export async function tellVehicleAccess(
  temporal: Client,
  vehicleId: string,
  partners: readonly PlatePartner[],
): Promise<void> {
  await Promise.all(
    partners.map(({ partnerId, integration }) =>
      temporal.workflow.signalWithStart<typeof vehicleAccessWorkflow>('vehicleAccessWorkflow', {
        workflowId: vehicleAccessWorkflowId(vehicleId, partnerId),
        taskQueue: integration,
        args: [{ vehicleId, partnerId }],
        signal: vehicleChanged,
        signalArgs: [],
        staticSummary: 'plate in partner custody',
        typedSearchAttributes: [
          { key: INTEGRATION_ATTRIBUTE, value: integration },
          { key: PROCESS_ATTRIBUTE, value: 'vehicle-access' },
          { key: STATE_ATTRIBUTE, value: 'settling' },
        ],
      }),
    ),
  );
}
