import type { AttestationView } from '../contracts/attestation-letters';
import { attestationStanding, biometricsUntilMs } from '../access/attestation';

/** Where a partner stands with its letter at this moment, as staff and the partner itself are told. */
export function attestationOf(attestedUntil: Date | null, nowMs: number): AttestationView {
  const endMs = attestedUntil?.getTime() ?? null;
  const until = biometricsUntilMs(endMs);
  return {
    standing: attestationStanding(endMs, nowMs),
    validUntil: attestedUntil?.toISOString() ?? null,
    biometricsUntil: until === null ? null : new Date(until).toISOString(),
  };
}
