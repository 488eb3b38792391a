import type { Client } from '@temporalio/client';
import { equipmentSyncWorkflowId, type Integration } from '../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../contracts/search-attributes';
import { equipmentChanged } from '../workflows/equipment-sync/messages';

/** Compares a partner's equipment; joins the comparison that is under way, which then compares once more. */
export async function compareEquipment(temporal: Client, partnerId: string, integration: Integration): Promise<void> {
  await temporal.workflow.signalWithStart('equipmentSyncWorkflow', {
    workflowId: equipmentSyncWorkflowId(partnerId),
    taskQueue: integration,
    args: [{ partnerId }],
    signal: equipmentChanged,
    staticSummary: 'equipment of one partner',
    typedSearchAttributes: [
      { key: INTEGRATION_ATTRIBUTE, value: integration },
      { key: PROCESS_ATTRIBUTE, value: 'equipment-sync' },
      { key: STATE_ATTRIBUTE, value: 'comparing' },
    ],
  });
}
