import type { Response } from 'express';
import { Provider, errors, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import type { JWK } from 'jose';
import type { Logger } from '../../config/logger';
import type { Database } from '../../prisma/database';
import type { Integration } from '../../contracts/ids';
import { thumbprintOf } from '../../partners/announced';
import { noteKnown } from '../authentication/caller';
import { IDENTITY_TOKEN_LIFE_S, rememberIdentity } from '../identity-tokens';
import { createClientSecrets, type ClientSecrets } from '../client-secrets';
import type { RefusalLimits } from '../refusal-limits';
import { createAdapterFactory } from './adapter';
import { clientCertificate, isIssuedFor } from './client-certificate';
import { hiddenId } from './hidden-id';
import type { IdentifiedAtTokenEndpoint, IdentifyAtTokenEndpoint } from './identification-request';
import { CLIENT_AUTH_METHODS, ENDPOINTS } from './metadata';
import { ACCESS_TOKEN_LIFE_S, audienceOf, issuerUrl, resourceUrl, SCOPES, type Audience } from './resources';
import { SecretChecksBusy } from '../../vault/slow-hash';

export type ProviderOptions = {
  readonly publicUrl: string;
  readonly database: Database;
  /** Private Ed25519 keys; the first signs, all are published. */
  readonly signingKeys: readonly JWK[];
  readonly hiddenIdKey: Buffer;
  /** Variant A: who stands at the device that the token request names (R1.6, R1.9). */
  readonly identify: IdentifyAtTokenEndpoint;
  readonly refusals: Pick<RefusalLimits, 'assertFew' | 'refused'>;
  readonly log: Logger;
};

/**
 * oidc-provider as an authorization server for machines (R1.5, R2.8): client credentials, short JWT access tokens bound
 * to one of our audiences, introspection, revocation, mutual TLS. Everything else that it can do is off.
 */
export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(issuerUrl(options.publicUrl), configuration(options));
  provider.proxy = false;
  countRefusals(provider, options);
  compareSecretHashes(provider, createClientSecrets(options.database, options.log));
  rememberStructuredTokens(provider, options);
  provider.on('server_error', (_ctx, error) => {
    options.log.error({ event: 'oauth', error }, 'the authorization server failed');
  });
  return provider;
}

function configuration({ publicUrl, database, signingKeys, identify }: ProviderOptions): Configuration {
  return {
    adapter: createAdapterFactory(database),
    clients: [],
    jwks: { keys: signingKeys },
    routes: ENDPOINTS,
    clientAuthMethods: [...CLIENT_AUTH_METHODS],
    extraClientMetadata: { properties: ['audience', 'integration', 'secretHashes', 'certificateThumbprints'] },
    scopes: Object.values(SCOPES).flat(),
    responseTypes: [],
    ttl: {
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? ACCESS_TOKEN_LIFE_S,
      Grant: () => ACCESS_TOKEN_LIFE_S,
    },
    formats: {
      customizers: {
        jwt(ctx, token, jwt) {
          const found = foundBy(ctx);
          if (found === null) return;
          // The record of the token takes it from here (rememberStructuredTokens).
          (token as unknown as StructuredToken).identity = found.identity;
          const { payload } = jwt;
          payload['act'] = { sub: payload['sub'] };
          payload['sub'] = found.subject;
          payload['device_id'] = found.deviceId;
        },
      },
    },
    enabledJWA: { idTokenSigningAlgValues: ['EdDSA'] },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      clientCredentials: { enabled: true },
      // A client may ask about its own tokens and no others.
      introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => clientCertificate(ctx.req)?.toString(),
        certificateAuthorized: (ctx) => clientCertificate(ctx.req) !== null,
        certificateSubjectMatches: (ctx, property, expected) => {
          const certificate = clientCertificate(ctx.req);
          if (property !== 'tls_client_auth_san_dns' || certificate === null) return false;
          const known = ctx.oidc.client?.['certificateThumbprints'] as readonly string[] | undefined;
          const isKnown = known === undefined || known.includes(thumbprintOf(certificate));
          const isTheirs = isKnown && isIssuedFor(certificate, expected);
          if (isTheirs) noteClient(ctx, ctx.oidc.client);
          return isTheirs;
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, client) => resourceUrl(publicUrl, client['audience'] as Audience),
        useGrantedResource: () => true,
        getResourceServerInfo: async (ctx, resource, client) => {
          const audience = audienceOf(publicUrl, resource);
          if (audience === undefined || audience !== client['audience']) throw new errors.InvalidTarget();
          refuseUnknownScopes(ctx, client.scope);
          const found = audience === 'partner' ? await identifyOnce(ctx, client, identify) : null;
          return {
            scope: (found === null ? SCOPES[audience] : IDENTITY_SCOPES).join(' '),
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: found === null ? ACCESS_TOKEN_LIFE_S : IDENTITY_TOKEN_LIFE_S,
            jwt: { sign: { alg: 'EdDSA' } },
          };
        },
      },
    },
    findAccount: () => undefined,
    renderError: (ctx: KoaContextWithOIDC, out) => {
      ctx.type = 'application/json';
      ctx.body = out;
    },
  };
}

/** A token that names somebody is for opening and for nothing else. */
const IDENTITY_SCOPES = ['openings:request'];

const identifications = new WeakMap<object, Promise<IdentifiedAtTokenEndpoint | null>>();
const identified = new WeakMap<object, IdentifiedAtTokenEndpoint>();

/** The library asks for the resource more than once a request; a face is looked for, and counted, once. */
async function identifyOnce(
  ctx: KoaContextWithOIDC,
  client: { clientId: string; scope?: string | undefined },
  identify: IdentifyAtTokenEndpoint,
): Promise<IdentifiedAtTokenEndpoint | null> {
  const body = (ctx.req as { body?: Record<string, unknown> }).body ?? {};
  if (ctx.oidc.route !== 'token') return null;
  let finding = identifications.get(ctx.req);
  if (!finding) identifications.set(ctx.req, (finding = identify(client.clientId, body, ctx.req)));
  const found = await finding;
  if (found === null) return null;
  if (!(client.scope ?? '').split(' ').includes('openings:request'))
    throw new errors.InvalidScope('', 'openings:request');
  identified.set(ctx.req, found);
  return found;
}

const foundBy = (ctx: KoaContextWithOIDC): IdentifiedAtTokenEndpoint | null => identified.get(ctx.req) ?? null;

/** The library leaves out scopes that it does not know. Who asks for too much is to hear of it (RFC 6749, section 5.2). */
function refuseUnknownScopes({ oidc }: KoaContextWithOIDC, registered = ''): void {
  const asked = oidc.params?.['scope'];
  if (typeof asked !== 'string' || asked === '') return;
  const allowed = registered.split(' ');
  const tooMuch = asked.split(' ').filter((scope) => !allowed.includes(scope));
  if (tooMuch.length > 0) throw new errors.InvalidScope('requested scope is not allowed', tooMuch.join(' '));
}

/** Every hash of the row counts, so that a secret that is being replaced overlaps with its successor. */
function compareSecretHashes(provider: Provider, secrets: ClientSecrets): void {
  const client = provider.Client.prototype as unknown as {
    compareClientSecret: (this: ProvedClient & { secretHashes?: string[] }, actual: string) => Promise<boolean>;
  };
  client.compareClientSecret = async function compareClientSecret(actual) {
    const client = { secretHashes: this.secretHashes ?? [] };
    const stored = await secrets.check(this.clientId, actual, client).catch(comeBack);
    if (stored !== null) await secrets.seen(this.clientId, stored);
    if (stored !== null) noteClient(Provider.ctx, this);
    return stored !== null;
  };
}

/** What is answered when there were too many is what every other address of ours answers then. */
function countRefusals(provider: Provider, { refusals }: ProviderOptions): void {
  provider.use(async (ctx, next) => {
    await next();
    const instead = ctx.status === 401 ? await refusals.refused(ctx.res as unknown as Response) : null;
    if (!instead) return;
    ctx.remove('www-authenticate');
    ctx.status = instead.problem.status;
    ctx.set({ ...instead.headers });
    ctx.body = JSON.stringify(instead.problem);
    ctx.type = 'application/problem+json';
  });
}

type ProvedClient = { readonly clientId: string; readonly integration?: unknown };

/**
 * For the evidence of the request (router.ts), where it is proved: what the library knows of a client when it refuses is
 * what was claimed.
 */
function noteClient(ctx: Pick<KoaContextWithOIDC, 'res'> | undefined, client: ProvedClient | undefined): void {
  if (!ctx || !client) return;
  const { clientId, integration } = client;
  const known = { clientId, ...(typeof integration === 'string' && { integration: integration as Integration }) };
  noteKnown(ctx.res as unknown as Response, known);
}

function comeBack(error: unknown): never {
  if (error instanceof SecretChecksBusy) throw new errors.OIDCProviderError(503, 'temporarily_unavailable');
  throw error;
}

type StructuredToken = {
  jti: string;
  kind: string;
  clientId?: string;
  scope?: string;
  aud?: string | string[];
  iat?: number;
  expiration: number;
  'x5t#S256'?: string;
  resourceServer?: { accessTokenFormat?: string };
  identity?: IdentifiedAtTokenEndpoint['identity'];
  adapter: { upsert(id: string, payload: object, expiresIn: number): Promise<unknown> };
};

/**
 * The library does not keep JWT access tokens, and so can neither introspect nor revoke them (docs/adr/0006). We keep
 * a record of each under its hidden id; `oauthRouter` leads the two endpoints to it. Touches an internal method: the
 * version is pinned, and test/api/oauth.test.ts notices.
 */
function rememberStructuredTokens(provider: Provider, options: ProviderOptions): void {
  const prototype = provider.ClientCredentials.prototype as unknown as {
    getValueAndPayload: (this: StructuredToken) => Promise<{ payload?: unknown }>;
  };
  const original = prototype.getValueAndPayload;
  prototype.getValueAndPayload = async function getValueAndPayload() {
    const result = await original.call(this);
    if (result.payload !== undefined || this.resourceServer?.accessTokenFormat !== 'jwt') return result;
    const id = hiddenId(options.hiddenIdKey, this.jti);
    const iat = this.iat ?? Math.floor(Date.now() / 1_000);
    const { kind, clientId, scope, aud, expiration } = this;
    const record = { jti: id, kind, clientId, scope, aud, iat, exp: iat + expiration, 'x5t#S256': this['x5t#S256'] };
    // Before its record: a token whose identity was not written down is refused, never taken for a client's own.
    if (this.identity) await rememberIdentity(options.database, id, this.identity);
    await this.adapter.upsert(id, JSON.parse(JSON.stringify(record)) as object, expiration);
    return result;
  };
}
