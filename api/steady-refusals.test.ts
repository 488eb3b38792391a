import { setTimeout as pause } from 'node:timers/promises';
import { notFound } from './problem';
import { withSteadyRefusals } from './steady-refusals';

/** How long it took until this was refused, milliseconds. */
async function tookMs(work: () => Promise<never>): Promise<number> {
  const startedMs = performance.now();
  await expect(withSteadyRefusals(work)).rejects.toThrow('There is no such resource');
  return performance.now() - startedMs;
}
const afterMs = (ms: number) => async (): Promise<never> => {
  await pause(ms);
  throw notFound('deviceId');
};

test('two refusals of different cost leave at the same step of time', async () => {
  const apart: number[] = [];
  // A machine that stalls may make one of them miss a step; they would never leave together if there were none.
  while (apart.length < 5 && !apart.some((ms) => ms < 100)) {
    const [cheap, dear] = await Promise.all([tookMs(() => Promise.reject(notFound('deviceId'))), tookMs(afterMs(120))]);
    // Timers of Node may fire a millisecond early.
    for (const took of [cheap, dear]) expect(took).toBeGreaterThanOrEqual(249);
    apart.push(Math.abs(cheap - dear));
  }
  expect(Math.min(...apart)).toBeLessThan(100);
});

test('a success is not held back', async () => {
  const first = await Promise.race([withSteadyRefusals(() => Promise.resolve('done')), pause(200, 'held back')]);
  expect(first).toBe('done');
});
