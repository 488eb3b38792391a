/** @returns the value below or at which the share `p` (0 to 1) of the samples lies (nearest rank); NaN of none */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? NaN;
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

export const mean = (samples: readonly number[]): number =>
  samples.reduce((sum, value) => sum + value, 0) / samples.length;

/** To so many digits that a second run would not repeat the next one. */
export const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits));

/**
 * A generator of numbers from 0 to 1 that gives the same row for the same seed (mulberry32), so that two runs of a
 * benchmark look at the same made-up data.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Normally distributed around 0 with a standard deviation of 1 (Box and Muller). */
export function seededNormal(random: () => number): () => number {
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
