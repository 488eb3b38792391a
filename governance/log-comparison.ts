import type { LogComparison, LogEntry, Withheld } from '../contracts/log-exports';

/** An order of ours that may have reached the partner, by the key that it went under. */
export type OwnOrder = { readonly key: string; readonly atMs: number };

/** What the keys of our orders about doors, faces and plates begin with; of others we keep no record with a key. */
const COMPARED = /^(open|enroll|enroll-undo|delete|erase-again|allow-plate|block-plate)\//;

/** Two clocks differ, and an order is on its way for a while: an edge of time that a partner names is as wide as this. */
export const EDGE_MS = 30_000;

/**
 * Of what a log tells, the keys that nobody but us can have made, and those of what only we can order, whatever they
 * look like.
 */
export const comparedKeys = (entries: readonly LogEntry[]): string[] => [
  ...new Set(entries.filter(({ key, event }) => COMPARED.test(key) || event !== 'other').map(({ key }) => key)),
];

/**
 * Holds a partner's log against our own records of the same time (R3.6). What it names as withheld explains what is
 * missing inside of that time; nothing explains an order in our name that we never gave.
 *
 * @param ours what its log has to have
 * @param known keys of orders that we gave at any time, however they ended: its log may have them
 */
export function compareLogs(
  { ours, known }: { ours: readonly OwnOrder[]; known: ReadonlySet<string> },
  entries: readonly LogEntry[],
  withheld: readonly Withheld[],
): LogComparison {
  const told = new Set(entries.map(({ key }) => key));
  const own = new Set(ours.map(({ key }) => key));
  const absent = ours.filter(({ key }) => !told.has(key));
  const isExplained = ({ atMs }: OwnOrder): boolean =>
    withheld.some(({ from, to }) => Date.parse(from) - EDGE_MS <= atMs && atMs <= Date.parse(to) + EDGE_MS);
  const keysOf = (orders: readonly OwnOrder[]): string[] => orders.map(({ key }) => key).sort();
  return {
    ours: own.size,
    matched: own.size - absent.length,
    missing: keysOf(absent.filter((order) => !isExplained(order))),
    withheld: keysOf(absent.filter(isExplained)),
    unknown: comparedKeys(entries)
      .filter((key) => !own.has(key) && !known.has(key))
      .sort(),
  };
}
