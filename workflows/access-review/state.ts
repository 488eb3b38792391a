const DAY_MS = 24 * 3_600_000;

/** Reviewers have so long. */
export const REVIEW_MS = 21 * DAY_MS;

const REMINDERS = [
  { scope: '7-days', beforeMs: 7 * DAY_MS },
  { scope: '1-days', beforeMs: DAY_MS },
] as const;
export type ReviewReminder = (typeof REMINDERS)[number]['scope'];

/** The moments until which the execution waits, earliest first; at the last one, without a reminder, all lapses. */
export const reviewMoments = (dueAtMs: number): { readonly atMs: number; readonly remind: ReviewReminder | null }[] => [
  ...REMINDERS.map(({ scope, beforeMs }) => ({ atMs: dueAtMs - beforeMs, remind: scope })),
  { atMs: dueAtMs, remind: null },
];
