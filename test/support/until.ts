import { setTimeout as pause } from 'node:timers/promises';
import type { Harness } from './harness';

/** Asks until it is so. A test that never gets its answer fails with what it was waiting for. */
export async function until(what: string, isSo: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  for (const endMs = Date.now() + withinMs; Date.now() < endMs;) {
    if (await isSo()) return;
    await pause(50);
  }
  throw new Error(`Waited in vain: ${what}`);
}

/** Waits for the end of an execution without skipping time, as `result()` would. */
export function ended(h: Harness, workflowId: string): Promise<void> {
  const handle = h.temporal.client.workflow.getHandle(workflowId);
  return until(`${workflowId} ends`, async () => (await handle.describe()).status.name !== 'RUNNING');
}
