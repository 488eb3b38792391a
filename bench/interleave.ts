import { rounded } from './statistics';

/** Whatever is compared: one unit of work, answered when it is over. */
export type Work = () => Promise<void>;
export type Twins<T> = { readonly measured: T; readonly bare: T };
const SIDES = ['measured', 'bare'] as const;

/**
 * Times both twins one unit at a time, in short blocks that take turns (A B A B …), so that whatever else the machine
 * does falls on both alike.
 *
 * @param limits.untilMs no block begins after this (`performance.now()`)
 * @param limits.before what makes ready for a block of that side; its time counts for nothing
 * @returns milliseconds of every unit
 */
export async function interleavedLatencies(
  twins: Twins<Work>,
  limits: {
    blocks: number;
    unitsPerBlock: number;
    untilMs: number;
    before?: (side: keyof Twins<unknown>) => Promise<void>;
  },
): Promise<Twins<number[]>> {
  const taken: Twins<number[]> = { measured: [], bare: [] };
  for (let block = 0; block < limits.blocks && performance.now() < limits.untilMs; block++) {
    for (const side of SIDES) {
      await limits.before?.(side);
      for (let unit = 0; unit < limits.unitsPerBlock; unit++) {
        const startedMs = performance.now();
        await twins[side]();
        taken[side].push(performance.now() - startedMs);
      }
    }
  }
  return taken;
}

/** A unit that was answered, and too late for what was asked for: it counts as none. */
export class Missed extends Error {}

export type Throughput = {
  readonly units: number;
  readonly missed: number;
  readonly seconds: number;
  readonly latenciesMs: number[];
};

type Around = (side: keyof Twins<unknown>, run: () => Promise<Throughput>) => Promise<Throughput>;

/**
 * So many callers at once, each with its next unit as soon as the last one is answered; blocks take turns as above.
 *
 * @param limits.around is given each block to run; what it does before and after counts for nothing
 */
export async function interleavedThroughput(
  twins: Twins<Work>,
  limits: {
    blocks: number;
    callers: number;
    blockMs: number;
    untilMs: number;
    around?: Around;
  },
): Promise<Twins<Throughput[]>> {
  const around: Around = limits.around ?? ((_side, run) => run());
  const done: Twins<Throughput[]> = { measured: [], bare: [] };
  for (let block = 0; block < limits.blocks && performance.now() < limits.untilMs; block++) {
    for (const side of SIDES) done[side].push(await around(side, () => crowded(twins[side], limits)));
  }
  return done;
}

/** Counts until the last answer, so that no unit that began counts for nothing. */
async function crowded(work: Work, { callers, blockMs }: { callers: number; blockMs: number }): Promise<Throughput> {
  const startedMs = performance.now();
  const latenciesMs: number[] = [];
  let missed = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - startedMs < blockMs) {
      const askedMs = performance.now();
      try {
        await work();
        latenciesMs.push(performance.now() - askedMs);
      } catch (error) {
        if (!(error instanceof Missed)) throw error;
        missed++;
      }
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { units: latenciesMs.length, missed, seconds: (performance.now() - startedMs) / 1_000, latenciesMs };
}

/** All blocks together, units per second. */
export const perSecond = (blocks: readonly Pick<Throughput, 'units' | 'seconds'>[]): number =>
  rounded(blocks.reduce((sum, { units }) => sum + units, 0) / blocks.reduce((sum, { seconds }) => sum + seconds, 0), 1);
