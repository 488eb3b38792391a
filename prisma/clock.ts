import type { Transaction } from './database';

/**
 * How far the clock of this process is ahead of the database's, milliseconds. The way there and back is shared equally:
 * what is left is the difference of the clocks.
 */
export async function clockSkewMs(tx: Transaction): Promise<number> {
  const beforeMs = Date.now();
  const [row] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
  const nowMs = Date.now();
  return (beforeMs + nowMs) / 2 - (row?.now.getTime() ?? nowMs);
}
