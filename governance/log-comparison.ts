import type { LogComparison, LogEntry, Withheld } from '../contracts/log-exports';

/** An order of ours that may have reached the partner, by the key that it went under. */
export type OwnOrder = { readonly key: string; readonly atMs: number };

/** Orders that we compare: of others we keep no record with a key. */
const COMPARED = /^(open|enroll)\//;

/**
 * Holds a partner's log against our own records of the same time (R3.6). What it names as withheld explains what is
 * missing inside of that time; nothing explains an order in our name that we never gave.
 */
export function compareLogs(
  ours: readonly OwnOrder[],
  entries: readonly LogEntry[],
  withheld: readonly Withheld[],
): LogComparison {
  const told = new Set(entries.map(({ key }) => key));
  const own = new Set(ours.map(({ key }) => key));
  const absent = ours.filter(({ key }) => !told.has(key));
  const isExplained = ({ atMs }: OwnOrder): boolean =>
    withheld.some(({ from, to }) => Date.parse(from) <= atMs && atMs <= Date.parse(to));
  const keysOf = (orders: readonly OwnOrder[]): string[] => orders.map(({ key }) => key).sort();
  return {
    ours: own.size,
    matched: own.size - absent.length,
    missing: keysOf(absent.filter((order) => !isExplained(order))),
    withheld: keysOf(absent.filter(isExplained)),
    unknown: [...told].filter((key) => COMPARED.test(key) && !own.has(key)).sort(),
  };
}
