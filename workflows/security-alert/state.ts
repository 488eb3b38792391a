import { ESCALATE_AFTER_MIN, type CallingSeverity } from '../../contracts/security-alerts';

/** @returns when the `level`-th person is called (from 1), milliseconds since the alert was raised */
export function callAfterMs(severity: CallingSeverity, level: number): number {
  const minutes = ESCALATE_AFTER_MIN[severity];
  const last = minutes.length - 1;
  const pause = (minutes[last] ?? 0) - (minutes[last - 1] ?? 0);
  const beyond = Math.max(0, level - minutes.length);
  return ((minutes[Math.min(level, minutes.length) - 1] ?? 0) + beyond * pause) * 60_000;
}

/**
 * Of calls that were missed while nobody could make them, only the newest is made.
 *
 * @returns the level after `made` that is to be called next: the newest that is due, or the first that is not yet
 */
export function nextLevel(severity: CallingSeverity, made: number, sinceRaisedMs: number): number {
  let level = made + 1;
  while (callAfterMs(severity, level + 1) <= sinceRaisedMs) level++;
  return level;
}
