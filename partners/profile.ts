import { z } from 'zod';

const Connection = {
  baseUrl: z.url({ protocol: /^https$/ }),
  /** Version of the partner's API that the adapter speaks (R4.12). */
  apiVersion: z.string().min(1),
  /** The only certificate authorities that this partner's servers are believed by. */
  caPem: z.string().includes('BEGIN CERTIFICATE'),
  /** Longest wait for one answer, milliseconds. */
  timeoutMs: z.number().int().min(100).max(60_000).default(3_000),
  /** Sockets, and so calls at once, towards this partner. */
  maxConnections: z.number().int().min(1).max(256).default(32),
  /** Agreed rate of our calls (R4.13). */
  requestsPerSecond: z.number().positive().max(10_000).default(200),
};

const PublicKeys = z.array(z.object({ keyId: z.string().min(1), publicKeyPem: z.string().includes('PUBLIC KEY') }));

/**
 * Settings of a partner's row, by profile: how the two sides reach and recognise each other. Secrets are not in here;
 * adapters read them through {@link PartnerSecrets} each time, so that rotation takes effect at once.
 */
export const PartnerProfile = z.discriminatedUnion('profile', [
  z.object({
    profile: z.literal('basic-signed'),
    ...Connection,
    username: z.string().min(1),
    /** Key id of our signing key at the partner. */
    keyId: z.string().min(1),
    /** The partner's keys: for its answers, and for its requests to us. */
    partnerKeys: PublicKeys.min(1),
  }),
  z.object({
    profile: z.literal('oauth-client'),
    ...Connection,
    issuer: z.url({ protocol: /^https$/ }),
    clientId: z.string().min(1),
    scope: z.string().optional(),
  }),
  z.object({
    profile: z.literal('mtls-oidc'),
    ...Connection,
    issuer: z.url({ protocol: /^https$/ }),
    clientId: z.string().min(1),
    grant: z.enum(['password', 'client-certificate']),
    username: z.string().min(1).optional(),
    /** Our client certificate at the partner; its key is a secret. */
    certificatePem: z.string().includes('BEGIN CERTIFICATE'),
  }),
]);
export type PartnerProfile = z.infer<typeof PartnerProfile>;
export type ProfileOf<Name extends PartnerProfile['profile']> = Extract<PartnerProfile, { profile: Name }>;

export const SECRET_NAMES = ['basic-password', 'signing-key', 'client-secret', 'tls-key', 'password'] as const;
export type SecretName = (typeof SECRET_NAMES)[number];

/** Reads the newest version of a secret that we present to this partner. */
export type PartnerSecrets = (name: SecretName) => Promise<string>;
