import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { ErasureExecutions } from '../activities/erasure';
import { startDeletion } from '../workflows/biometric-deletion/start';
import { consentWithdrawn } from '../workflows/consent/messages';
import { tellVehicleAccess } from '../workflows/vehicle-access/start';

/** What erasure asks of Temporal, with the client of the `core` worker. */
export function createErasureExecutions(client: Client): ErasureExecutions {
  return {
    startDeletion: (request, integration) => startDeletion(client, request, integration),
    tellVehicle: (vehicleId, partners) => tellVehicleAccess(client, vehicleId, partners),
    async isRunning(workflowId) {
      const found = await client.workflow.getHandle(workflowId).describe().catch(nullIfNotFound);
      return found?.status.name === 'RUNNING';
    },
    async endConsent(workflowId) {
      await client.workflow.getHandle(workflowId).signal(consentWithdrawn).catch(nullIfNotFound);
    },
    async remove(workflowIds) {
      const query = `WorkflowId IN (${workflowIds.map((id) => `"${id}"`).join(', ')})`;
      let left = 0;
      for await (const { workflowId, runId, status } of client.workflow.list({ query })) {
        left++;
        if (status.name === 'RUNNING') continue;
        const workflowExecution = { workflowId, runId };
        const { namespace } = client.options;
        await client.workflowService
          .deleteWorkflowExecution({ namespace, workflowExecution })
          .catch((error: unknown) => {
            // Gone already; the list is behind what happens.
            if ((error as { code?: number }).code !== GRPC_NOT_FOUND) throw error;
          });
      }
      return left;
    },
  };
}

const GRPC_NOT_FOUND = 5;

function nullIfNotFound(error: unknown): null {
  if (error instanceof WorkflowNotFoundError) return null;
  throw error;
}
