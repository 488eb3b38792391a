import { createHash } from 'node:crypto';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { ErasureExecutions } from '../activities/erasure';
import { deletionWorkflowId } from '../contracts/ids';
import { decodePayloadsIn } from '../vault/payload-codec';
import { deletionChanged } from '../workflows/biometric-deletion/messages';
import { startDeletion } from '../workflows/biometric-deletion/start';
import { consentWithdrawn } from '../workflows/consent/messages';
import { tellVehicleAccess } from '../workflows/vehicle-access/start';

/**
 * What erasure asks of Temporal, with the client of the `core` worker.
 *
 * @param options.historiesAtMost how many histories that have ended one search reads; the next one reads on
 */
export function createErasureExecutions(
  client: Client,
  { historiesAtMost = HISTORIES_AT_MOST }: { historiesAtMost?: number } = {},
): ErasureExecutions {
  /** Runs that have ended and name nothing of what a search looks for: they stay so. By what is looked for. */
  const cleanRuns = new Map<string, Set<string>>();
  return {
    startDeletion: (request, integration) => startDeletion(client, request, integration),
    async hintDeletion(deletionId) {
      await client.workflow.getHandle(deletionWorkflowId(deletionId)).signal(deletionChanged).catch(nullIfNotFound);
    },
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
      const search = createHash('sha256').update(needles.toSorted().join()).digest('hex');
      const clean = cleanRuns.get(search) ?? new Set<string>();
      const visibility: string[] = [];
      const mayName: Run[] = [];
      let ended = 0;
      let unread = 0;
      for await (const { raw, type, workflowId, runId, status } of client.workflow.list()) {
        if (names(raw)) visibility.push(workflowId);
        if (!NAMES_RESIDENTS.includes(type) || clean.has(runId)) continue;
        const hasEnded = status.name !== 'RUNNING';
        if (hasEnded && ended === historiesAtMost) unread++;
        else mayName.push({ workflowId, runId, hasEnded });
        if (hasEnded && ended < historiesAtMost) ended++;
      }
      const histories: string[] = [];
      let unreadable = 0;
      const next = mayName.values();
      const readers = Array.from({ length: READERS }, async () => {
        for (const { workflowId, runId, hasEnded } of next) {
          const history = await historyOf(workflowId, runId);
          if (history === 'unreadable') unreadable++;
          else if (names(history)) histories.push(workflowId);
          else if (hasEnded) clean.add(runId);
        }
      });
      await Promise.all(readers);
      if (unread > 0) cleanRuns.set(search, clean);
      else cleanRuns.delete(search);
      return { visibility, histories, unreadable, unread };
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
type Run = { readonly workflowId: string; readonly runId: string; readonly hasEnded: boolean };

/** A history is read in some milliseconds, and as many of them well within the search's half an hour. */
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
