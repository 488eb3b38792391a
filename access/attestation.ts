/** After the end of its letter a partner has so long to bring another one. Then biometrics stop (R3.5). */
export const ATTESTATION_GRACE_DAYS = 14;
/** No letter speaks for longer: what was audited ages. */
export const ATTESTATION_MAX_DAYS = 366;
/** Days before the end of a letter at which somebody is told. */
const WARNING_DAYS = [30, 14, 7, 1] as const;

const DAY_MS = 86_400_000;
const GRACE_MS = ATTESTATION_GRACE_DAYS * DAY_MS;

/** `missing`: there never was a letter, or it was withdrawn. Biometrics are refused with `missing` and `suspended`. */
export type AttestationStanding = 'valid' | 'ending' | 'grace' | 'suspended' | 'missing';

/** The moment at which biometrics stop unless another letter comes; `null`: they have none. */
export const biometricsUntilMs = (attestedUntilMs: number | null): number | null =>
  attestedUntilMs === null ? null : attestedUntilMs + GRACE_MS;

/** Denied when unsure: with no letter at all, and with one whose end is no time. */
export function mayUseBiometrics(attestedUntilMs: number | null, nowMs: number): boolean {
  const until = biometricsUntilMs(attestedUntilMs);
  return until !== null && nowMs < until;
}

export function attestationStanding(attestedUntilMs: number | null, nowMs: number): AttestationStanding {
  if (attestedUntilMs === null) return 'missing';
  if (!mayUseBiometrics(attestedUntilMs, nowMs)) return 'suspended';
  if (nowMs >= attestedUntilMs) return 'grace';
  return nowMs >= attestedUntilMs - WARNING_DAYS[0] * DAY_MS ? 'ending' : 'valid';
}

/** The latest warning whose moment has come: a word, and until when it is of use. `null`: there is nothing to warn of. */
export function attestationWarning(
  attestedUntilMs: number | null,
  nowMs: number,
): { readonly scope: string; readonly untilMs: number } | null {
  if (attestedUntilMs === null) return { scope: 'missing', untilMs: nowMs };
  const suspendedAtMs = attestedUntilMs + GRACE_MS;
  if (nowMs >= suspendedAtMs) return { scope: 'biometrics-suspended', untilMs: suspendedAtMs };
  if (nowMs >= attestedUntilMs) return { scope: 'ended', untilMs: suspendedAtMs };
  const due = WARNING_DAYS.filter((days) => nowMs >= attestedUntilMs - days * DAY_MS).at(-1);
  return due === undefined ? null : { scope: `${due.toString()}-days`, untilMs: attestedUntilMs };
}
