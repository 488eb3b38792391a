import type { DeletionRequest } from '../../contracts/deletions';
import { deletionWorkflowId, type Integration } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';

/** How a deletion's execution is begun, by whoever begins it. One that ended without success may be begun again. */
export const deletionOptions = (request: DeletionRequest, integration: Integration) => ({
  workflowId: deletionWorkflowId(request.deletionId),
  taskQueue: integration,
  args: [request] as [DeletionRequest],
  workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' as const,
  staticSummary: `deletion of biometrics, ${request.reason}`,
  typedSearchAttributes: [
    { key: INTEGRATION_ATTRIBUTE, value: integration },
    { key: PROCESS_ATTRIBUTE, value: 'biometric-deletion' },
    { key: STATE_ATTRIBUTE, value: 'deleting' },
  ],
});
