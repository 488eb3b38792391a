import { Gauge, type Registry } from 'prom-client';

/** Clocks go apart slowly, and a scrape is to cost the database nothing. */
const KEEP_MS = 60_000;

/**
 * Shows how far the clock of this process is from the database's: windows of signatures and not-after times rest on it.
 *
 * @param skewMs how far it is ahead
 * @param monotonicMs a clock that nobody sets
 */
export function showClock(
  registry: Registry,
  skewMs: () => Promise<number>,
  monotonicMs = () => performance.now(),
): void {
  let askedMs = -Infinity;
  const skew = new Gauge({
    name: 'domovoy_clock_skew_seconds',
    help: 'How far the clock of this process is ahead of the database’s.',
    registers: [registry],
    async collect() {
      if (monotonicMs() - askedMs < KEEP_MS) return;
      askedMs = monotonicMs();
      // A database that does not answer leaves the figure as it was: readiness says so.
      const ms = await skewMs().catch(() => null);
      if (ms !== null) skew.set(ms / 1_000);
    },
  });
}
