import { ESCALATE_AFTER_MIN, type Severity } from '../../contracts/security-alerts';

/** @returns when the `level`-th person is called (from 1), milliseconds since the alert was raised */
export function callAfterMs(severity: Severity, level: number): number {
  const minutes = ESCALATE_AFTER_MIN[severity];
  const last = minutes.length - 1;
  const pause = (minutes[last] ?? 0) - (minutes[last - 1] ?? 0);
  const beyond = Math.max(0, level - minutes.length);
  return ((minutes[Math.min(level, minutes.length) - 1] ?? 0) + beyond * pause) * 60_000;
}
