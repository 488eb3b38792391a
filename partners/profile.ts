import { createPublicKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { ReplaceableSecret } from './ports';

const Certificates = z
  .string()
  .refine(isCertificate, 'must be PEM that begins with a certificate that can be read')
  .describe('One certificate or several, PEM');

/** Ed25519 and nothing else: what a key is decides what a signature with it means. */
export const PublicKey = z.string().refine(isEd25519PublicKey, 'must be an Ed25519 public key, PEM');

/** Keys that sign messages to us, by the ids that the messages name. */
export const MessageKeys = z.array(z.object({ keyId: z.string().min(1), publicKeyPem: PublicKey }));

/** An address without query and fragment; no slash at the end, because paths are appended. */
const BaseUrl = z
  .url({ protocol: /^https$/ })
  .refine((url) => !/[?#]/.test(url), 'must have neither query nor fragment')
  .transform((url) => url.replace(/\/+$/, ''));
const HttpsUrl = z.url({ protocol: /^https$/ });

const Connection = {
  baseUrl: BaseUrl,
  /** Version of the partner's API that is agreed; the adapters speak this one and no other (R4.12). */
  apiVersion: z.literal('v1'),
  /** The only certificate authorities that this partner's servers are believed by. */
  caPem: Certificates,
  /** Longest wait for one answer, milliseconds. */
  timeoutMs: z.number().int().min(100).max(60_000).default(3_000),
  /** Sockets towards this partner. */
  maxConnections: z.number().int().min(1).max(256).default(32),
  /** Calls under way at once, those that wait for a socket included; twice the sockets unless given. */
  concurrency: z.number().int().min(1).max(1_024).optional(),
  /** `person`: the partner has no interface for credentials; somebody carries them there. `api` unless given. */
  credentialDelivery: z.enum(['api', 'person']).optional(),
  /** Agreed rate of our calls (R4.13). */
  requestsPerSecond: z.number().positive().max(10_000).default(200),
};

const BasicSigned = z.object({
  profile: z.literal('basic-signed'),
  ...Connection,
  username: z
    .string()
    .min(1)
    .refine((name) => !name.includes(':'), 'must have no colon (RFC 7617)'),
  /** Key id of our signing key at the partner. */
  keyId: z.string().min(1),
  /** The partner's keys: for its answers, and for its requests to us. */
  partnerKeys: MessageKeys.min(1),
});

const OauthClient = z
  .object({
    profile: z.literal('oauth-client'),
    ...Connection,
    /** The partner's authorization server, whose metadata names the token endpoint (RFC 8414). */
    issuer: HttpsUrl.optional(),
    /** The token endpoint itself, at a server without metadata. */
    tokenUrl: HttpsUrl.optional(),
    clientId: z.string().min(1),
    scope: z.string().optional(),
  })
  .refine(
    ({ issuer, tokenUrl }) => (issuer === undefined) !== (tokenUrl === undefined),
    'issuer or tokenUrl, not both',
  );

const MtlsOidc = z
  .object({
    profile: z.literal('mtls-oidc'),
    ...Connection,
    issuer: HttpsUrl,
    clientId: z.string().min(1),
    grant: z.enum(['password', 'client-certificate']),
    /** The technical account; with the grant `password` only. */
    username: z.string().min(1).optional(),
    /** Our first client certificate at the partner; later ones are in the vault, with their keys. */
    certificatePem: Certificates,
    /** Who signs our client certificates there; `caPem` unless given. Of those that a person brings it has to be one. */
    clientCaPem: Certificates.optional(),
  })
  .refine(({ grant, username }) => (grant === 'password') === (username !== undefined), 'username goes with password');

/**
 * Settings of a partner's row, by profile: how the two sides reach and recognise each other. Secrets are not in here;
 * adapters read them through {@link PartnerSecrets} each time, so that rotation takes effect at once.
 */
export const PartnerProfile = z.discriminatedUnion('profile', [BasicSigned, OauthClient, MtlsOidc]);
export type PartnerProfile = z.infer<typeof PartnerProfile>;
export type ProfileOf<Name extends PartnerProfile['profile']> = Extract<PartnerProfile, { profile: Name }>;

/** Whether partners of a profile recognize plates themselves; their gateways then have a `PlateCustodian` (R1.9, R3.13). */
export const HOLDS_PLATES: Readonly<Record<PartnerProfile['profile'], boolean>> = {
  'basic-signed': true,
  'oauth-client': false,
  'mtls-oidc': true,
};

/** Which of our secrets at a partner of each profile are replaced by rotation (R0.6). */
export const REPLACEABLE_BY_PROFILE: Readonly<Record<PartnerProfile['profile'], readonly ReplaceableSecret[]>> = {
  'basic-signed': ['basic-password', 'signing-key'],
  'oauth-client': ['client-secret'],
  'mtls-oidc': ['password', 'tls-key'],
};

export const SECRET_NAMES = ['basic-password', 'signing-key', 'client-secret', 'tls-key', 'password'] as const;
export type SecretName = (typeof SECRET_NAMES)[number];

/** Reads the newest version of a secret that we present to this partner. */
export type PartnerSecrets = (name: SecretName) => Promise<string>;

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function isEd25519PublicKey(pem: string): boolean {
  try {
    return pem.includes('PUBLIC KEY') && createPublicKey(pem).asymmetricKeyType === 'ed25519';
  } catch {
    return false;
  }
}
