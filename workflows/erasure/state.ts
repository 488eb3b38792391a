import type { ErasureCallReason, ErasureStanding } from '../../contracts/erasure';

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 3_600_000;
const DAY_MS = 24 * 3_600_000;

/** What the execution itself has to remember; everything else is in the row. */
export type Progress = {
  /** How often in a row it looked and nothing had moved. */
  readonly looks: number;
  /** What was left when it last looked. */
  readonly left: string;
  /** How often a person was called about the law's time. */
  readonly level: number;
  /** Which end of that time was counted for. */
  readonly dueAt?: string;
  /** How often a person was called because holders do not answer, counted anew for each certificate. */
  readonly followUp?: { readonly lateAt: string; readonly level: number };
};

export const begun: Progress = { looks: 0, left: '', level: 0 };

/** Whatever moved makes the pauses short again. */
export const looked = (progress: Progress, left: string): Progress => ({
  ...progress,
  left,
  looks: left === progress.left ? progress.looks + 1 : 0,
});

/** A time that was prolonged has another end, and calls of its own: those about the first do not count for it. */
export function countedFor(progress: Progress, { dueAt }: Pick<ErasureStanding, 'dueAt'>): Progress {
  if (progress.dueAt === dueAt) return progress;
  return { ...progress, dueAt, level: progress.dueAt === undefined ? progress.level : 0 };
}

/** How many calls to a person are due: a warning, one when the law's time is over, then every day. */
export function callsDue({ warnAt, dueAt }: Pick<ErasureStanding, 'warnAt' | 'dueAt'>, nowMs: number): number {
  const lateMs = nowMs - Date.parse(dueAt);
  if (lateMs >= 0) return 2 + Math.floor(lateMs / DAY_MS);
  return nowMs >= Date.parse(warnAt) ? 1 : 0;
}

export type Call = { readonly level: number; readonly reason: ErasureCallReason };

/** @returns the call to a person that is due and was not made; each has levels of its own */
export function callDue(standing: ErasureStanding, progress: Progress, nowMs: number): Call | null {
  if (standing.state === 'erased') {
    const lateAt = standing.followUpLateAt ?? null;
    if (lateAt === null || nowMs < Date.parse(lateAt)) return null;
    const level = 1 + Math.floor((nowMs - Date.parse(lateAt)) / DAY_MS);
    const made = progress.followUp?.lateAt === lateAt ? progress.followUp.level : 0;
    return level > made ? { level, reason: 'follow-up-unanswered' } : null;
  }
  const level = callsDue(standing, nowMs);
  return level > progress.level ? { level, reason: level === 1 ? 'due-soon' : 'overdue' } : null;
}

/** The call was made. */
export const called = (progress: Progress, { followUpLateAt }: ErasureStanding, { level, reason }: Call): Progress =>
  reason === 'follow-up-unanswered'
    ? { ...progress, followUp: { lateAt: followUpLateAt ?? '', level } }
    : { ...progress, level };

/** @returns milliseconds until the next call is due, more than 0 */
export function msUntilCall({ warnAt, dueAt }: Pick<ErasureStanding, 'warnAt' | 'dueAt'>, nowMs: number): number {
  const dueMs = Date.parse(dueAt);
  const nextMs =
    nowMs < Date.parse(warnAt)
      ? Date.parse(warnAt)
      : nowMs < dueMs
        ? dueMs
        : dueMs + (Math.floor((nowMs - dueMs) / DAY_MS) + 1) * DAY_MS;
  return Math.max(1, nextMs - nowMs);
}

/** @returns milliseconds to wait for a hint before looking again */
export const pauseMs = ({ looks }: Pick<Progress, 'looks'>): number =>
  Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 1.5 ** Math.min(looks, 40));
