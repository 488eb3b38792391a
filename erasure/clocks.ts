import type { ErasureBasis } from '../contracts/erasure';

/** 152-FZ, article 21, parts 5 and 5.1. Counsel confirms them before production. */
export type ErasureClocks = {
  readonly withdrawalDays: number;
  readonly demandWorkingDays: number;
  readonly prolongByWorkingDays: number;
  /** A person is called this long before the time is over, or when half of it is. */
  readonly warnDays: number;
};

const DAY_MS = 24 * 3_600_000;

/** @returns by when the law wants it done */
export function dueAt(basis: ErasureBasis, requestedAt: Date, clocks: ErasureClocks): Date {
  return basis === 'consent-withdrawn'
    ? new Date(requestedAt.getTime() + clocks.withdrawalDays * DAY_MS)
    : addWorkingDays(requestedAt, clocks.demandWorkingDays);
}

/**
 * Counts Monday to Friday in Moscow's time. Public holidays are not left out: without them the time is over earlier than
 * the law has it, never later.
 */
export function addWorkingDays(from: Date, days: number): Date {
  let ms = from.getTime();
  for (let left = days; left > 0;) {
    ms += DAY_MS;
    const weekday = new Date(ms + MOSCOW_MS).getUTCDay();
    if (weekday !== 0 && weekday !== 6) left--;
  }
  return new Date(ms);
}
const MOSCOW_MS = 3 * 3_600_000;

/** @returns when a person is called although the time is not over yet */
export function warnAt(requestedAt: Date, due: Date, { warnDays }: Pick<ErasureClocks, 'warnDays'>): Date {
  const halfMs = (due.getTime() - requestedAt.getTime()) / 2;
  return new Date(due.getTime() - Math.min(warnDays * DAY_MS, halfMs));
}
