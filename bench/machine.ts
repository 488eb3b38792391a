import { availableParallelism, cpus, totalmem } from 'node:os';

/** What a figure was measured on. No host name, no path. */
export const machine = () => ({
  cores: availableParallelism(),
  processor: cpus()[0]?.model ?? 'unknown',
  memoryGb: Math.round(totalmem() / 1_073_741_824),
  node: process.version,
  platform: `${process.platform}-${process.arch}`,
});
