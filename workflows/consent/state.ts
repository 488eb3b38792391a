import type { Consent, ConsentReminder } from '../../contracts/consents';

const DAY_MS = 86_400_000;

/** How many days before its end a resident is reminded of a consent. */
export const REMINDER_DAYS = [30, 7, 1] as const;

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
  return next(consent, { status: 'granted', ...term(nowMs + validForDays * DAY_MS, nowMs) });
}

/** Granted anew for the form's term from now; a term is never made shorter. Only what is granted can be renewed. */
export function renewed(consent: Consent, validForDays: number, nowMs: number): Consent {
  if (consent.status !== 'granted') return consent;
  const endMs = Math.max(Date.parse(consent.expiresAt), nowMs + validForDays * DAY_MS);
  return next(consent, term(endMs, nowMs));
}

export const expired = (consent: Consent): Consent => next(consent, { status: 'expired' });
export const withdrawn = (consent: Consent): Consent => next(consent, { status: 'withdrawn' });

export const msUntilExpiry = ({ expiresAt }: Consent, nowMs: number): number =>
  Math.max(1, Date.parse(expiresAt) - nowMs);

/** The reminder that is due now; `undefined` when none is. Of several that were missed only the last is given. */
export function dueReminder(consent: Consent, nowMs: number): ConsentReminder | undefined {
  const endMs = Date.parse(consent.expiresAt);
  if (consent.status !== 'granted' || nowMs >= endMs) return undefined;
  const daysBefore = lastPassed(endMs, nowMs);
  if (daysBefore === undefined || daysBefore >= (consent.reminded ?? Infinity)) return undefined;
  return { daysBefore, expiresAt: consent.expiresAt };
}

/** That the reminder was given, unless the term is another by now. */
export const reminded = (consent: Consent, { daysBefore, expiresAt }: ConsentReminder): Consent =>
  consent.expiresAt === expiresAt ? { ...consent, reminded: daysBefore } : consent;

/** @returns milliseconds until the next reminder or the end, whichever comes first */
export function msUntilNext(consent: Consent, nowMs: number): number {
  const untilEndMs = msUntilExpiry(consent, nowMs);
  if (consent.status !== 'granted') return untilEndMs;
  const days = REMINDER_DAYS.find((each) => each < (consent.reminded ?? Infinity));
  return days === undefined ? untilEndMs : Math.max(1, untilEndMs - days * DAY_MS);
}

/** A term that ends then. Reminders whose day is past already when it begins are not given. */
function term(endMs: number, nowMs: number): Pick<Consent, 'expiresAt'> & { reminded?: number } {
  const passed = lastPassed(endMs, nowMs);
  return { expiresAt: new Date(endMs).toISOString(), ...(passed !== undefined && { reminded: passed }) };
}

const lastPassed = (endMs: number, nowMs: number): number | undefined =>
  REMINDER_DAYS.findLast((days) => endMs - days * DAY_MS <= nowMs);

function next(consent: Consent, change: Partial<Consent>): Consent {
  if (isOver(consent)) return consent;
  const { reminded: before, ...rest } = consent;
  const kept = change.expiresAt === undefined && before !== undefined ? { reminded: before } : {};
  return { ...rest, ...kept, ...change, revision: consent.revision + 1 };
}
