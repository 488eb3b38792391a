import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { ErasureExecutions } from '../activities/erasure';
import { decodePayloadsIn } from '../vault/payload-codec';
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
    async naming(needles) {
      const names = (value: unknown): boolean => {
        const text = textOf(value);
        return needles.some((needle) => text.includes(needle));
      };
      const visibility: string[] = [];
      const mayName: { workflowId: string; runId: string }[] = [];
      for await (const { raw, type, workflowId, runId } of client.workflow.list()) {
        if (names(raw)) visibility.push(workflowId);
        if (NAMES_RESIDENTS.includes(type) && mayName.length < HISTORIES_AT_MOST) mayName.push({ workflowId, runId });
      }
      const histories: string[] = [];
      let unreadable = 0;
      const next = mayName.values();
      const readers = Array.from({ length: READERS }, async () => {
        for (const { workflowId, runId } of next) {
          const history = await historyOf(workflowId, runId);
          if (history === 'unreadable') unreadable++;
          else if (names(history)) histories.push(workflowId);
        }
      });
      await Promise.all(readers);
      return { visibility, histories, unreadable };
    },
  };

  /** What is gone since it was listed names nobody. */
  async function historyOf(workflowId: string, runId: string): Promise<object | null | 'unreadable'> {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory().catch(nullIfNotFound);
    try {
      await decodePayloadsIn(history, client.options.loadedDataConverter.payloadCodecs);
      return history;
    } catch {
      return 'unreadable';
    }
  }
}

/** Whose arguments or results hold the id of a resident or of a vehicle; the others hold ids of their own and counts. */
const NAMES_RESIDENTS: readonly string[] = [
  'openAccessWorkflow',
  'enrollmentWorkflow',
  'consentWorkflow',
  'biometricDeletionWorkflow',
  'vehicleAccessWorkflow',
];
/** The newest; a history is read in some milliseconds, and all of them within the search's half an hour. */
const HISTORIES_AT_MOST = 20_000;
const READERS = 8;

/** Every text within, in lower case. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value.toLowerCase();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1').toLowerCase();
  if (value === null || typeof value !== 'object') return '';
  return Object.values(value).map(textOf).join('\n');
}

const GRPC_NOT_FOUND = 5;

function nullIfNotFound(error: unknown): null {
  if (error instanceof WorkflowNotFoundError) return null;
  throw error;
}
