import { setTimeout as pause } from 'node:timers/promises';

/** Refusals leave at multiples of this after the request came, milliseconds; no check of ours takes longer at ease. */
const STEP_MS = 250;

/**
 * Lets refusals out at steps of time only, so that how long one took does not tell which check it was that refused
 * (R2.6): nobody's face, and somebody's who has no right, look the same. Successes are not held back.
 */
export async function withSteadyRefusals<T>(work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  try {
    return await work();
  } catch (error) {
    const tookMs = performance.now() - startedMs;
    await pause(Math.ceil(tookMs / STEP_MS) * STEP_MS - tookMs);
    throw error;
  }
}
