import { Provider, errors, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import type { JWK } from 'jose';
import type { Logger } from '../../config/logger';
import type { Database } from '../../prisma/database';
import { createAdapterFactory } from './adapter';
import { clientCertificate, isIssuedFor } from './client-certificate';
import { hiddenId } from './hidden-id';
import { CLIENT_AUTH_METHODS, ENDPOINTS } from './metadata';
import { ACCESS_TOKEN_LIFE_S, audienceOf, issuerUrl, resourceUrl, SCOPES, type Audience } from './resources';
import { matchesSecret } from './secret-hash';

export type ProviderOptions = {
  readonly publicUrl: string;
  readonly database: Database;
  /** Private Ed25519 keys; the first signs, all are published. */
  readonly signingKeys: readonly JWK[];
  readonly hiddenIdKey: Buffer;
  readonly log: Logger;
};

/**
 * oidc-provider as an authorization server for machines (R1.5, R2.8): client credentials, short JWT access tokens bound
 * to one of our audiences, introspection, revocation, mutual TLS. Everything else that it can do is off.
 */
export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(issuerUrl(options.publicUrl), configuration(options));
  provider.proxy = false;
  compareSecretHashes(provider);
  rememberStructuredTokens(provider, options.hiddenIdKey);
  provider.on('server_error', (_ctx, error) => {
    options.log.error({ event: 'oauth', error }, 'the authorization server failed');
  });
  return provider;
}

function configuration({ publicUrl, database, signingKeys }: ProviderOptions): Configuration {
  return {
    adapter: createAdapterFactory(database),
    clients: [],
    jwks: { keys: signingKeys },
    routes: ENDPOINTS,
    clientAuthMethods: [...CLIENT_AUTH_METHODS],
    extraClientMetadata: { properties: ['audience', 'secretHashes'] },
    scopes: Object.values(SCOPES).flat(),
    responseTypes: [],
    ttl: { ClientCredentials: () => ACCESS_TOKEN_LIFE_S, Grant: () => ACCESS_TOKEN_LIFE_S },
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
          return property === 'tls_client_auth_san_dns' && certificate !== null && isIssuedFor(certificate, expected);
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, client) => resourceUrl(publicUrl, client['audience'] as Audience),
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource, client) => {
          const audience = audienceOf(publicUrl, resource);
          if (audience === undefined || audience !== client['audience']) throw new errors.InvalidTarget();
          refuseUnknownScopes(ctx, client.scope);
          return {
            scope: SCOPES[audience].join(' '),
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: ACCESS_TOKEN_LIFE_S,
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

/** The library leaves out scopes that it does not know. Who asks for too much is to hear of it (RFC 6749, section 5.2). */
function refuseUnknownScopes({ oidc }: KoaContextWithOIDC, registered = ''): void {
  const asked = oidc.params?.['scope'];
  if (typeof asked !== 'string' || asked === '') return;
  const allowed = registered.split(' ');
  const tooMuch = asked.split(' ').filter((scope) => !allowed.includes(scope));
  if (tooMuch.length > 0) throw new errors.InvalidScope('requested scope is not allowed', tooMuch.join(' '));
}

/** Every hash of the row counts, so that a secret that is being replaced overlaps with its successor. */
function compareSecretHashes(provider: Provider): void {
  const client = provider.Client.prototype as unknown as {
    compareClientSecret: (this: { secretHashes?: string[] }, actual: string) => boolean;
  };
  client.compareClientSecret = function compareClientSecret(actual) {
    return matchesSecret(actual, this.secretHashes ?? []);
  };
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
  adapter: { upsert(id: string, payload: object, expiresIn: number): Promise<unknown> };
};

/**
 * The library does not keep JWT access tokens, and so can neither introspect nor revoke them (docs/adr/0006). We keep
 * a record of each under its hidden id; `oauthRouter` leads the two endpoints to it. Touches an internal method: the
 * version is pinned, and test/api/oauth.test.ts notices.
 */
function rememberStructuredTokens(provider: Provider, hiddenIdKey: Buffer): void {
  const prototype = provider.ClientCredentials.prototype as unknown as {
    getValueAndPayload: (this: StructuredToken) => Promise<{ payload?: unknown }>;
  };
  const original = prototype.getValueAndPayload;
  prototype.getValueAndPayload = async function getValueAndPayload() {
    const result = await original.call(this);
    if (result.payload !== undefined || this.resourceServer?.accessTokenFormat !== 'jwt') return result;
    const id = hiddenId(hiddenIdKey, this.jti);
    const iat = this.iat ?? Math.floor(Date.now() / 1_000);
    const { kind, clientId, scope, aud, expiration } = this;
    const record = { jti: id, kind, clientId, scope, aud, iat, exp: iat + expiration, 'x5t#S256': this['x5t#S256'] };
    await this.adapter.upsert(id, JSON.parse(JSON.stringify(record)) as object, expiration);
    return result;
  };
}
