/**
 * The values that the access decision (P3) takes and gives. No I/O and no zod here: `access/` and the workflows
 * share these types, and the workflow bundle must stay small.
 */

/** Numbers in a face's feature vector, as every partner in company custody computes it (R1.2). */
export const FACE_VECTOR_LENGTH = 512;

/** How the resident asked: in the app, relayed by a partner (R0.4), by face (R1.6, R1.7) or by plate (R1.9). */
export const ACCESS_METHODS = ['app', 'relay', 'face', 'plate'] as const;
export type AccessMethod = (typeof ACCESS_METHODS)[number];

/** Why an opening was denied. Complete in our own records; callers get at most {@link PublicDenialReason}. */
export const DENIAL_REASONS = [
  'device-unavailable',
  'identity-unknown',
  'resident-inactive',
  'no-right',
  'outside-hours',
  'consent-missing',
  'partner-not-attested',
  'service-unpaid',
  'billing-unknown',
  'locked-out',
] as const;
export type DenialReason = (typeof DENIAL_REASONS)[number];

/** Kinds of right that visiting hours are set for. */
export const RIGHT_KINDS = ['owner', 'tenant', 'guest'] as const;

/** What billing says of the service that the opening belongs to, and as of when (epoch milliseconds). */
export type BillingStanding = { readonly standing: 'paid' | 'unpaid'; readonly asOfMs: number };

export type AccessFacts = {
  readonly nowMs: number;
  readonly method: AccessMethod;
  /** `null`: no such device. */
  readonly device: { readonly status: 'active' | 'blocked' | 'removed' } | null;
  /** `null`: nobody was identified. */
  readonly resident: { readonly status: 'active' | 'blocked' | 'erased' } | null;
  /** Rights of the resident to a property in the house that the device serves. `endsAtMs: null` means open-ended. */
  readonly rights: readonly { readonly kind: string; readonly startsAtMs: number; readonly endsAtMs: number | null }[];
  /** When the device opens, by the clock of its house; `null`: always. */
  readonly hours: {
    /** IANA name. */
    readonly timeZone: string;
    readonly windows: readonly {
      /** `null`: rights of every kind. */
      readonly rightKind: string | null;
      /** On which it begins; Monday is 1. */
      readonly days: readonly number[];
      /** Minutes since midnight. An end that is not after the beginning is on the next day. */
      readonly fromMinute: number;
      readonly toMinute: number;
    }[];
  } | null;
  /** The resident's consent to biometrics with the partner of this device; asked for by face only. */
  readonly consent: {
    readonly status: 'offered' | 'granted' | 'withdrawn' | 'expired';
    readonly expiresAtMs: number;
  } | null;
  /** End of the partner's letter of attestation (R3.5), `null`: there is none. Asked for by face only. */
  readonly attestedUntilMs: number | null;
  /** `not-asked`: the decision may ask for it. `unavailable`: billing did not answer and nothing is remembered. */
  readonly billing: 'not-asked' | 'unavailable' | BillingStanding;
  /** Identification at this device is refused until then (R2.6); `null`: no lockout. Asked for by face and plate. */
  readonly lockedUntilMs: number | null;
  readonly policy: {
    /** How old a remembered billing answer may be while billing is out. Older is `billing-unknown`. */
    readonly billingMaxAgeMs: number;
  };
};

export type AccessDecision =
  | { readonly kind: 'allow' }
  | { readonly kind: 'ask-billing' }
  | { readonly kind: 'deny'; readonly reason: DenialReason };
