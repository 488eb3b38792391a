import { readFileSync } from 'node:fs';
import { createRemoteJWKSet, customFetch as customKeyFetch, jwtVerify, type JWTPayload } from 'jose';
import * as oidc from 'openid-client';
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { ApiSettings } from '../../config/environment';
import type { NoteCall } from '../../contracts/partner-calls';
import { notedRequest } from '../../partners/noted-request';
import { derived } from './session-token';

/** The provider, as the journal names it. */
export const IDENTITY_PROVIDER = 'identity-provider';

/** Who signed in and how, as a verified ID token says. */
export type SignedIn = {
  readonly issuer: string;
  readonly subject: string;
  readonly authenticatedAt: Date;
  readonly acr: string | null;
  readonly amr: readonly string[];
  /** Values of the roles' claim. */
  readonly groups: readonly string[];
};

/** What the browser keeps of a sign-in that it began; state, nonce and PKCE verifier are made of it. */
export type SignInSecret = { readonly secret: string; readonly maxAgeS: number };

export type IdentityProvider = {
  /** Where the browser goes to sign in. @throws IdentityProviderUnreachable */
  authorizationUrl(signIn: SignInSecret): Promise<URL>;
  /** Checks what came back with the browser. @throws IdentityProviderUnreachable, or an error: it is not to be believed */
  conclude(callback: URL, signIn: SignInSecret): Promise<SignedIn>;
  /**
   * Checks a security event token (RFC 8417) or a logout token (OpenID Connect Back-Channel Logout 1.0) that came to us.
   *
   * @throws IdentityProviderUnreachable, or an error: it is not to be believed
   */
  verifyEvent(token: string, kind: keyof typeof EVENT_TYPES): Promise<JWTPayload>;
  readonly close: () => Promise<void>;
};

/** What the header says that a token is, so that no token of one kind passes for another (RFC 8725, section 3.11). */
const EVENT_TYPES = { event: 'secevent+jwt', logout: 'logout+jwt' } as const;
/** Whatever a provider signs with that is no shared secret. */
const EVENT_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'];
/** An event that could not be delivered for longer is of no use: who it is about is signed out since. */
export const EVENT_AGE_S = 7 * 24 * 3_600;

export class IdentityProviderUnreachable extends Error {
  override readonly name = 'IdentityProviderUnreachable';
}

type Settings = Pick<
  ApiSettings,
  'API_PUBLIC_URL' | 'STAFF_ISSUER' | 'STAFF_ISSUER_CA_FILE' | 'STAFF_CLIENT_ID' | 'STAFF_ROLES_CLAIM' | 'STAFF_MFA_ACR'
>;

/** Where browsers come back to, as it is registered at the provider. */
export const callbackUrl = ({ API_PUBLIC_URL }: Pick<ApiSettings, 'API_PUBLIC_URL'>): URL =>
  new URL('/staff/callback', API_PUBLIC_URL);

const TIMEOUT_MS = 5_000;
const CLOCK_SKEW_S = 5;
/** Endpoints change rarely; keys are fetched anew when an unknown one is named. */
const METADATA_LIFE_MS = 3_600_000;

const Words = z.array(z.string().max(256)).max(256).catch([]);
const Claims = z.looseObject({
  iss: z.string(),
  sub: z.string().min(1).max(255),
  auth_time: z.number(),
  acr: z.string().max(256).optional().catch(undefined),
  amr: Words,
});

/**
 * The company's identity provider for staff, by OpenID Connect (R4.8): authorization code flow with PKCE (RFC 7636),
 * state and nonce; the ID token's signature is verified too, although it comes straight from the provider over TLS.
 *
 * @param note told of each request to it
 */
export function createIdentityProvider(
  settings: Settings,
  clientSecret: string,
  note: NoteCall = () => undefined,
): IdentityProvider {
  const redirectUri = callbackUrl(settings).href;
  const ca = settings.STAFF_ISSUER_CA_FILE === undefined ? undefined : readFileSync(settings.STAFF_ISSUER_CA_FILE);
  const dispatcher = new Agent({
    connect: { timeout: TIMEOUT_MS, ...(ca && { ca }) },
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    maxResponseSize: 1_000_000,
    connections: 8,
  });
  let keys: ReturnType<typeof createRemoteJWKSet> | undefined;
  let known: { readonly untilMs: number; readonly metadata: Promise<oidc.Configuration> } | undefined;

  const customFetch: oidc.CustomFetch = async (url, { method, headers, body }) => {
    // The library sends forms only.
    const form = body instanceof URLSearchParams || typeof body === 'string' ? body.toString() : null;
    const operation = method === 'POST' ? 'token' : url.includes('/.well-known/') ? 'discover' : 'keys';
    return send(operation, url, { method: method === 'POST' ? 'POST' : 'GET', headers, body: form });
  };

  async function send(
    operation: 'discover' | 'keys' | 'token',
    url: string,
    asked: { method: 'GET' | 'POST'; headers: Record<string, string>; body?: string | null },
  ): Promise<Response> {
    const answered = async (): Promise<Response> => {
      const answer = await request(url, { dispatcher, ...asked });
      const bytes = await answer.body.bytes();
      const given = Object.entries(answer.headers).map(([name, value]) => [name, String(value)] as [string, string]);
      return new Response(answer.statusCode === 204 ? null : new Uint8Array(bytes), {
        status: answer.statusCode,
        headers: given,
      });
    };
    try {
      return await notedRequest((...sent) => note(IDENTITY_PROVIDER, ...sent), operation, answered, unreachable);
    } catch (cause) {
      throw new IdentityProviderUnreachable('The staff identity provider does not answer.', { cause });
    }
  }

  async function discover(): Promise<oidc.Configuration> {
    const configuration = await oidc.discovery(
      new URL(settings.STAFF_ISSUER),
      settings.STAFF_CLIENT_ID,
      { [oidc.clockTolerance]: CLOCK_SKEW_S },
      oidc.ClientSecretBasic(clientSecret),
      { [oidc.customFetch]: customFetch, timeout: TIMEOUT_MS / 1_000, execute: [oidc.enableNonRepudiationChecks] },
    );
    configuration[oidc.customFetch] = customFetch;
    return configuration;
  }

  async function metadata(): Promise<oidc.Configuration> {
    if (!known || known.untilMs < Date.now()) known = { untilMs: Date.now() + METADATA_LIFE_MS, metadata: discover() };
    const asked = known;
    try {
      return await asked.metadata;
    } catch (cause) {
      if (known === asked) known = undefined;
      throw new IdentityProviderUnreachable('The staff identity provider does not say who it is.', { cause });
    }
  }

  return {
    async authorizationUrl({ secret, maxAgeS }) {
      const configuration = await metadata();
      return oidc.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: 'openid',
        state: derived(secret, 'state'),
        nonce: derived(secret, 'nonce'),
        code_challenge: await oidc.calculatePKCECodeChallenge(derived(secret, 'verifier')),
        code_challenge_method: 'S256',
        max_age: maxAgeS.toString(),
        ...(settings.STAFF_MFA_ACR.length > 0 && { acr_values: settings.STAFF_MFA_ACR.join(' ') }),
      });
    },

    async conclude(callback, { secret, maxAgeS }) {
      const tokens = await oidc.authorizationCodeGrant(await metadata(), callback, {
        expectedState: derived(secret, 'state'),
        expectedNonce: derived(secret, 'nonce'),
        pkceCodeVerifier: derived(secret, 'verifier'),
        idTokenExpected: true,
        maxAge: maxAgeS,
      });
      const claims = Claims.parse(tokens.claims());
      return {
        issuer: claims.iss,
        subject: claims.sub,
        authenticatedAt: new Date(Math.min(claims.auth_time * 1_000, Date.now())),
        acr: claims.acr ?? null,
        amr: claims.amr,
        groups: Words.parse(claims[settings.STAFF_ROLES_CLAIM]),
      };
    },

    async verifyEvent(token, kind) {
      const { issuer, jwks_uri: keysAt } = (await metadata()).serverMetadata();
      if (keysAt === undefined) throw new IdentityProviderUnreachable('The staff identity provider shows no keys.');
      keys ??= createRemoteJWKSet(new URL(keysAt), { timeoutDuration: TIMEOUT_MS, [customKeyFetch]: fetchKeys });
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: settings.STAFF_CLIENT_ID,
        typ: EVENT_TYPES[kind],
        algorithms: EVENT_ALGORITHMS,
        requiredClaims: ['iat', 'jti'],
        maxTokenAge: EVENT_AGE_S,
        clockTolerance: CLOCK_SKEW_S,
      });
      return payload;
    },

    close: () => dispatcher.close(),
  };

  function fetchKeys(url: string): Promise<Response> {
    return send('keys', url, { method: 'GET', headers: { accept: 'application/json' } });
  }
}

const unreachable = (): string => 'unreachable';

/** Whether the provider was away; the library wraps what its fetch throws. */
export function isUnreachable(error: unknown): boolean {
  if (error instanceof IdentityProviderUnreachable) return true;
  return error instanceof Error && error.cause !== undefined && isUnreachable(error.cause);
}
