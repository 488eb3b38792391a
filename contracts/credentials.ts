import type { Integration } from './ids';

/**
 * A secret between us and one partner, whose versions take each other's place (R0.6). `presented`: what we show the
 * partner. `issued`: what we made and the partner shows us. `announced`: what the partner made and shows us, of which we
 * know the public half. `own`: what proves us to ourselves. No value is ever part of it.
 */
export type CredentialRef = {
  /** `null`: belongs to no integration. */
  readonly integration: Integration | null;
  readonly partnerId: string;
  readonly direction: 'presented' | 'issued' | 'announced' | 'own';
  /** Of a presented one, its name in the vault; of an issued one, the client id; of an announced one, what it is. */
  readonly name: string;
};

/** A credential lives so long in all, its overlap with the next one included (R0.6). */
export const CREDENTIAL_LIFE_MS = 30 * 24 * 3_600_000;

/** What a partner makes itself and proves itself to us by: in the handshake, or by signatures over its messages. */
export const ANNOUNCED_NAMES = ['client-certificate', 'message-key'] as const;
export type AnnouncedName = (typeof ANNOUNCED_NAMES)[number];

const own = (name: string): CredentialRef => ({ integration: null, partnerId: 'domovoy', direction: 'own', name });

/** The keys that our authorization server signs access tokens with. */
export const TOKEN_SIGNING_KEY = own('token-signing-key');
/** The keys that we sign our answers to partners of profile `basic-signed` with (R0.8). */
export const MESSAGE_SIGNING_KEY = own('message-signing-key');
/** What we sign with ourselves, by what it signs: `purpose` is the word of its table. */
export const OWN_CREDENTIALS = [
  { purpose: 'token', credential: TOKEN_SIGNING_KEY },
  { purpose: 'message', credential: MESSAGE_SIGNING_KEY },
] as const;

/** Where a credential stands in our own tables. */
export type CredentialStanding = {
  /** When the version in use was issued, ISO 8601. */
  readonly issuedAt: string;
  /** A successor that is not in use yet. */
  readonly pending: number | null;
  /** The version in use, while an older one has not been seen to be refused. */
  readonly overlapping: number | null;
  /** How long a successor is known before it is used, milliseconds; left out: it is used once it is proven. */
  readonly leadMs?: number;
};

/** Days before a credential's end at which somebody is told that it has no successor in use; 0 is the end itself. */
export type AlarmDay = 5 | 3 | 1 | 0;
