import { setTimeout as pause } from 'node:timers/promises';
import type { Harness } from './harness';

/**
 * Asks until it is so. A test that never gets its answer fails with what it was waiting for. What takes long is asked
 * about seldom, a tenth of the time later at most: the questions would take the processor from what they wait for.
 */
export async function until(what: string, isSo: () => Promise<boolean>, withinMs = 120_000): Promise<void> {
  const startMs = Date.now();
  for (let elapsedMs = 0; elapsedMs < withinMs; elapsedMs = Date.now() - startMs) {
    if (await isSo()) return;
    await pause(Math.min(500, Math.max(25, elapsedMs / 10)));
  }
  throw new Error(`Waited in vain: ${what}`);
}

/** Waits for the end of an execution without skipping time, as `result()` would. */
export function ended(h: Harness, workflowId: string): Promise<void> {
  const handle = h.temporal.client.workflow.getHandle(workflowId);
  return until(`${workflowId} ends`, async () => (await handle.describe()).status.name !== 'RUNNING');
}
