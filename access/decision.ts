import type { AccessDecision, AccessFacts, BillingStanding, DenialReason } from '../contracts/access';
import { mayUseBiometrics } from './attestation';
import { isInForce, rightsThatOpen } from './rights';

type Check = { readonly reason: DenialReason; readonly passes: (facts: AccessFacts) => boolean };

/** The checks before billing, in the order in which a denial is reported. */
const BEFORE_BILLING: readonly Check[] = [
  { reason: 'device-unavailable', passes: ({ device }) => device?.status === 'active' },
  { reason: 'identity-unknown', passes: ({ resident }) => resident !== null },
  { reason: 'resident-inactive', passes: ({ resident }) => resident?.status === 'active' },
  { reason: 'no-right', passes: ({ rights, nowMs }) => rights.some((right) => isInForce(right, nowMs)) },
  { reason: 'outside-hours', passes: (facts) => rightsThatOpen(facts, facts.nowMs).length > 0 },
  { reason: 'consent-missing', passes: hasConsent },
  { reason: 'partner-not-attested', passes: isAttested },
];

/** How far a billing answer may lie ahead of our clock, milliseconds. */
const CLOCK_SKEW_MS = 60_000;

/**
 * Whether the device may open (P3): every check in order, denied when unsure. Asks for billing only when nothing else
 * stands in the way, a lockout included, so that a locked device costs billing nothing.
 */
export function decideAccess(facts: AccessFacts): AccessDecision {
  const failed = BEFORE_BILLING.find(({ passes }) => !passes(facts));
  if (failed) return { kind: 'deny', reason: failed.reason };
  if (facts.billing === 'not-asked') {
    return isLocked(facts) ? { kind: 'deny', reason: 'locked-out' } : { kind: 'ask-billing' };
  }
  const billing = billingReason(facts.billing, facts);
  if (billing !== null) return { kind: 'deny', reason: billing };
  return isLocked(facts) ? { kind: 'deny', reason: 'locked-out' } : { kind: 'allow' };
}

function hasConsent({ method, consent, nowMs }: AccessFacts): boolean {
  return method !== 'face' || (consent?.status === 'granted' && nowMs < consent.expiresAtMs);
}

/** Biometrics are for partners whose head answers for them by a letter (R3.5). */
function isAttested({ method, attestedUntilMs, nowMs }: AccessFacts): boolean {
  return method !== 'face' || mayUseBiometrics(attestedUntilMs, nowMs);
}

function billingReason(
  billing: 'unavailable' | BillingStanding,
  { nowMs, policy }: AccessFacts,
): 'billing-unknown' | 'service-unpaid' | null {
  if (billing === 'unavailable') return 'billing-unknown';
  const ageMs = nowMs - billing.asOfMs;
  if (!(ageMs >= -CLOCK_SKEW_MS && ageMs <= policy.billingMaxAgeMs)) return 'billing-unknown';
  return billing.standing === 'paid' ? null : 'service-unpaid';
}

/** Who is identified by face or plate may be guessing (R2.6); app and relay are authenticated already. */
function isLocked({ method, lockedUntilMs, nowMs }: AccessFacts): boolean {
  if (lockedUntilMs === null || method === 'app' || method === 'relay') return false;
  return !(lockedUntilMs <= nowMs);
}
