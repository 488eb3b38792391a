/** Light enough for the workflow bundle: no zod in here. */

/** Those that call until somebody has looked, the most severe first, which is also their order as text. */
export const CALLING_SEVERITIES = ['critical', 'high', 'medium'] as const;
export type CallingSeverity = (typeof CALLING_SEVERITIES)[number];
/** `low` is a notice: in the list of alerts, and nobody is called for it. */
export const SEVERITIES = [...CALLING_SEVERITIES, 'low'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What the execution of an alert goes by. */
export type AlertRequest = { readonly alertId: string; readonly severity: CallingSeverity; readonly raisedAt: string };

/**
 * After how long without anybody having looked at it the next person is called, minutes since it was raised; the last
 * pause repeats until somebody has.
 */
export const ESCALATE_AFTER_MIN: Readonly<Record<CallingSeverity, readonly number[]>> = {
  critical: [5, 15, 30],
  high: [15, 60, 240],
  medium: [60, 480, 1_440],
};

/** What the security team is told: of the alert, of each call, and that somebody has looked. */
export const ALERT_EVENTS = ['raised', 'escalated', 'acknowledged'] as const;
export type AlertEvent = (typeof ALERT_EVENTS)[number];
