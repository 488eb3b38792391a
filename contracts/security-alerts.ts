/** Light enough for the workflow bundle: no zod in here. */

export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What the execution of an alert goes by. */
export type AlertRequest = { readonly alertId: string; readonly severity: Severity; readonly raisedAt: string };

/**
 * After how long without anybody having looked at it the next person is called, minutes since it was raised; the last
 * pause repeats until somebody has.
 */
export const ESCALATE_AFTER_MIN: Readonly<Record<Severity, readonly number[]>> = {
  critical: [5, 15, 30],
  high: [15, 60, 240],
  medium: [60, 480, 1_440],
  low: [1_440, 4_320],
};

/** What the security team is told: of the alert, of each call, and that somebody has looked. */
export const ALERT_EVENTS = ['raised', 'escalated', 'acknowledged'] as const;
export type AlertEvent = (typeof ALERT_EVENTS)[number];
