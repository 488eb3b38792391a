import type { Integration } from './ids';

/**
 * A secret between us and one partner, whose versions take each other's place (R0.6). `presented`: what we show the
 * partner. `issued`: what the partner shows us. `own`: what proves us to ourselves. No value is ever part of it.
 */
export type CredentialRef = {
  /** `null`: belongs to no integration. */
  readonly integration: Integration | null;
  readonly partnerId: string;
  readonly direction: 'presented' | 'issued' | 'own';
  /** Of a presented one, its name in the vault; of an issued one, the client id at our authorization server. */
  readonly name: string;
};

/** The keys that our authorization server signs access tokens with. */
export const TOKEN_SIGNING_KEY: CredentialRef = {
  integration: null,
  partnerId: 'domovoy',
  direction: 'own',
  name: 'token-signing-key',
};

/** Where a credential stands in our own tables. */
export type CredentialStanding = {
  /** When the version in use was issued, ISO 8601. */
  readonly issuedAt: string;
  /** A successor that is not in use yet. */
  readonly pending: number | null;
  /** The version in use, while an older one has not been seen to be refused. */
  readonly overlapping: number | null;
};

/** Days before a credential's end at which somebody is told that it has no successor in use; 0 is the end itself. */
export type AlarmDay = 5 | 3 | 1 | 0;
