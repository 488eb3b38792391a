import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rounded } from './statistics';

/** Linux counts processor time for `/proc` in hundredths of a second, whatever its own clock is (proc(5), `USER_HZ`). */
const TICK_MS = 10;

/** Only Linux tells it this way. */
const IS_COUNTED = existsSync('/proc/self/stat');

type Counted = {
  readonly pid: number;
  readonly parent: number;
  readonly ownMs: number;
  readonly endedChildrenMs: number;
};

/** Processor time so far by process, milliseconds. */
type ProcessorTime = ReadonlyMap<string, number>;

/**
 * What each process has used so far, in user and system mode on all of its threads, with the processes that it started,
 * those that have ended too. Wall-clock time says how busy the machine was with others; this does not.
 *
 * @param pids process ids by name; this process is added as `benchmark`, without those that it started
 */
function processorTime(pids: ReadonlyMap<string, number>): ProcessorTime {
  if (!IS_COUNTED) return new Map();
  const all = everyProcess();
  const times = [...pids].map(([name, pid]) => [name, withChildren(all, pid)] as const);
  return new Map([...times, ['benchmark', counted(process.pid)?.ownMs ?? 0]]);
}

/** What the processes that this one began have used so far, and theirs, milliseconds; 0 where it cannot be told. */
export function descendantsTimeMs(): number {
  if (!IS_COUNTED) return 0;
  const all = everyProcess();
  const children = all.filter(({ parent }) => parent === process.pid);
  return children.reduce((sum, { pid }) => sum + withChildren(all, pid), 0);
}

const everyProcess = (): readonly Counted[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => counted(Number(name)) ?? []);

const withChildren = (all: readonly Counted[], pid: number): number =>
  all.reduce((sum, each) => {
    if (each.pid === pid) return sum + each.ownMs + each.endedChildrenMs;
    return each.parent === pid ? sum + withChildren(all, each.pid) : sum;
  }, 0);

/** @returns `null` for a process that has ended meanwhile */
function counted(pid: number): Counted | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid.toString()}/stat`, 'utf8');
  } catch {
    return null;
  }
  return countedIn(pid, stat);
}

/** The line of `/proc/<pid>/stat` (proc(5)). The second field is a name that may hold anything, brackets too. */
export function countedIn(pid: number, stat: string): Counted {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    pid,
    parent: field(4),
    ownMs: (field(14) + field(15)) * TICK_MS,
    endedChildrenMs: (field(16) + field(17)) * TICK_MS,
  };
}

export type PerUnit = { readonly all: number; readonly byProcess: Readonly<Record<string, number>> };

/** Sums up what blocks of work cost, by process. */
export function createProcessorCount(pids: () => ReadonlyMap<string, number>) {
  const spent = new Map<string, number>();
  let units = 0;
  return {
    /** Runs a block. What it leaves to be done afterwards is its own as well, and waited for. */
    async of<T extends { readonly units: number }>(run: () => Promise<T>): Promise<T> {
      const before = processorTime(pids());
      const done = await run();
      await new Promise((resolve) => setTimeout(resolve, AFTERWARDS_MS));
      for (const [name, ms] of processorTime(pids())) {
        spent.set(name, (spent.get(name) ?? 0) + ms - (before.get(name) ?? 0));
      }
      units += done.units;
      return done;
    },
    /**
     * Milliseconds of one unit, in all and by process; what costs next to nothing is summed up as `others`.
     *
     * @returns `null` where processor time cannot be told
     */
    perUnit(): PerUnit | null {
      if (!IS_COUNTED) return null;
      const each = [...spent].map(([name, ms]) => [name, ms / units] as const).toSorted(([, a], [, b]) => b - a);
      const dear = each.filter(([, ms]) => ms >= DEAR_MS);
      const sum = (part: typeof each): number => part.reduce((total, [, ms]) => total + ms, 0);
      const others = ['others', sum(each) - sum(dear)] as const;
      const byProcess = Object.fromEntries([...dear, others].map(([name, ms]) => [name, rounded(ms, 2)]));
      return { all: rounded(sum(each), 2), byProcess };
    },
  };
}

/** Longer than it takes to write what was noted of exchanges (journal/exchanges.ts). */
const AFTERWARDS_MS = 700;
const DEAR_MS = 0.2;
