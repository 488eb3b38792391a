import type { Consent } from '../../contracts/consents';

const DAY_MS = 86_400_000;

/** A consent that was offered and waits for the resident's word until its offer ends. */
export const offered = (consentId: string, expiresAt: string): Consent => ({
  consentId,
  status: 'offered',
  expiresAt,
  revision: 0,
});

export const isOver = ({ status }: Consent): boolean => status === 'withdrawn' || status === 'expired';

/** Granted for the form's term from now. A consent that is granted already keeps the term it has. */
export function granted(consent: Consent, validForDays: number, nowMs: number): Consent {
  if (consent.status === 'granted') return consent;
  return next(consent, { status: 'granted', expiresAt: new Date(nowMs + validForDays * DAY_MS).toISOString() });
}

export const expired = (consent: Consent): Consent => next(consent, { status: 'expired' });

export const msUntilExpiry = ({ expiresAt }: Consent, nowMs: number): number =>
  Math.max(1, Date.parse(expiresAt) - nowMs);

function next(consent: Consent, change: Partial<Consent>): Consent {
  return isOver(consent) ? consent : { ...consent, ...change, revision: consent.revision + 1 };
}
