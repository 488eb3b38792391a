/**
 * How long one try of an activity may take so that the whole opening stays inside its not-after time (design rule 4).
 *
 * @returns milliseconds, at least 1; `null` when the time has passed and nothing may be sent any more
 */
export function timeLeftMs(notAfter: string, nowMs: number): number | null {
  const leftMs = Date.parse(notAfter) - nowMs;
  return Number.isFinite(leftMs) && leftMs > 0 ? leftMs : null;
}

/** Billing may use up to this share of what is left: the command needs the rest. */
const BILLING_SHARE = 0.4;

/** @returns milliseconds that asking billing may take, all tries together */
export const billingBudgetMs = (leftMs: number): number => Math.max(1, Math.floor(leftMs * BILLING_SHARE));
