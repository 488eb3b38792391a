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

/** How often billing is asked, the time in which the opening is assessed included. */
export const BILLING_TRIES = 3;

/** @returns milliseconds that one try at billing may take, at least 1, so that all of them fit into its share */
export const billingTryMs = (leftMs: number): number =>
  Math.max(1, Math.floor((leftMs * BILLING_SHARE) / BILLING_TRIES));
