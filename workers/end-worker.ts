import type { Worker } from '@temporalio/worker';

/**
 * Asks a worker to end. One that has failed, or that is ending already, does so by itself: to ask it again is an error to
 * the SDK, and it would be a signal's handler that throws it, in the middle of the closing of everything else.
 */
export function endWorker(worker: Pick<Worker, 'getState' | 'shutdown'>): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}
