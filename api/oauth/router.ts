import { urlencoded, type RequestHandler, type Router } from 'express';
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet, type JWK } from 'jose';
import type { ExchangeJournal } from '../../journal/exchanges';
import type { Database } from '../../prisma/database';
import { exactRouter } from '../exact-paths';
import { SecretChecksBusy } from '../../vault/slow-hash';
import { createClientSecrets } from '../client-secrets';
import { journaled } from '../journaled';
import { noteTried } from '../refusal-limits';
import { findClientRow, registeredScopes } from './client-row';
import { hiddenId, NO_TOKEN } from './hidden-id';
import { ENDPOINTS, metadata } from './metadata';
import { createProvider, type ProviderOptions } from './provider';
import { issuerUrl } from './resources';

export type AuthorizationServer = {
  /** To be mounted at the root: serves `/oauth/…` and the metadata of RFC 8414. */
  readonly router: Router;
  /** Public keys, as our own APIs verify with. */
  readonly publicKeys: () => JSONWebKeySet;
  /** Signs with the first key from now on. Keys that may still be in use stay in the list. */
  useKeys(signingKeys: readonly JWK[]): void;
};

/** What is asked of it by clients that have to prove who they are, as the journal names it. */
const EXCHANGES = {
  [ENDPOINTS.token]: 'issueToken',
  [ENDPOINTS.introspection]: 'introspectToken',
  [ENDPOINTS.revocation]: 'revokeToken',
};

/** How long whoever verifies our tokens may keep the keys; a new one is published long before it signs (R0.6). */
const KEPT_S = 300;

/**
 * Our authorization server. Keys change by building a second provider, as the library's author advises: five
 * milliseconds, no request lost.
 */
export function createAuthorizationServer(
  options: ProviderOptions & { readonly exchanges: Pick<ExchangeJournal, 'note'> },
): AuthorizationServer {
  const issuer = issuerUrl(options.publicUrl);
  let publicKeys = publicKeysOf(options.signingKeys);
  let provider = createProvider(options);
  let callback = provider.callback();
  const router = exactRouter();

  // Where RFC 8414, section 3.1, wants the metadata of an issuer with a path.
  router.get('/.well-known/oauth-authorization-server/oauth', (_req, res) => {
    res.json(metadata(issuer));
  });
  for (const [path, operation] of Object.entries(EXCHANGES)) {
    router.post(`/oauth${path}`, journaled(operation, options.exchanges));
  }
  router.post(
    '/oauth/token',
    urlencoded({ extended: false, limit: '32kb' }),
    wantClient(issuer),
    takeAsLong(options),
    grantUsualScope(options.database),
  );
  router.post(
    ['/oauth/introspect', '/oauth/revoke'],
    urlencoded({ extended: false, limit: '16kb' }),
    wantClient(issuer),
    takeAsLong(options),
    leadToRecord({ issuer, hiddenIdKey: options.hiddenIdKey, keys: () => publicKeys }),
  );
  router.get(`/oauth${ENDPOINTS.jwks}`, (_req, res, next) => {
    res.set('cache-control', `public, max-age=${KEPT_S.toString()}`);
    next();
  });
  router.use('/oauth', (req, res, next) => {
    // The library keeps the routes of flows that are off; they are none of ours.
    if (!Object.values<string>(ENDPOINTS).includes(req.path)) {
      next();
      return;
    }
    callback(req, res).catch(next);
  });

  return {
    router,
    publicKeys: () => publicKeys,
    useKeys(signingKeys) {
      publicKeys = publicKeysOf(signingKeys);
      provider = createProvider({ ...options, signingKeys });
      callback = provider.callback();
    },
  };
}

/** Who does not say who he is gets 401 (RFC 6749, section 5.2; RFC 7662, section 2.3); the library would answer 400. */
function wantClient(issuer: string): RequestHandler {
  return (req, res, next) => {
    const authorization = req.get('authorization');
    const body = req.body as { client_id?: unknown } | undefined;
    const named = authorization === undefined ? typeof body?.client_id === 'string' : /^Basic /i.test(authorization);
    if (named) {
      const name = basicOf(authorization)?.id ?? body?.client_id;
      if (typeof name === 'string') noteTried(res, name);
      next();
      return;
    }
    res
      .status(401)
      .set({ 'www-authenticate': `Basic realm="${issuer}"`, 'cache-control': 'no-store' })
      .json({ error: 'invalid_client', error_description: 'client authentication failed' });
  };
}

/**
 * A secret under a name that nobody shows one by takes as long as a wrong one: the library would answer at once, and say
 * by that who is a client. Before either is looked at, there were not too many.
 */
function takeAsLong({
  database,
  refusals,
  log,
}: Pick<ProviderOptions, 'database' | 'refusals' | 'log'>): RequestHandler {
  const secrets = createClientSecrets(database, log);
  return async (req, res, next) => {
    const shown = basicOf(req.get('authorization'));
    if (!shown) {
      next();
      return;
    }
    const { id, secret } = shown;
    const client = await findClientRow(database, id);
    const known = client?.active === true && client.authMethod === 'client_secret_basic' ? client : null;
    if (!secrets.isRemembered(id, secret, known)) await refusals.assertFew(res);
    try {
      if (!known) await secrets.check(id, secret, null);
    } catch (error) {
      if (!(error instanceof SecretChecksBusy)) throw error;
      res.status(503).set('retry-after', '1').json({ error: 'temporarily_unavailable' });
      return;
    }
    const instead = known ? null : await refusals.refused(res);
    next(instead ?? undefined);
  };
}

/**
 * A client that names no scope gets all that it was registered for: the default that RFC 6749, section 3.3, leaves to
 * the server. The library would give none.
 */
function grantUsualScope(database: Database): RequestHandler {
  return async (req, _res, next) => {
    const body = req.body as { scope?: unknown; client_id?: unknown } | undefined;
    if (body && body.scope === undefined) {
      const id = basicOf(req.get('authorization'))?.id ?? body.client_id;
      const client = typeof id === 'string' ? await findClientRow(database, id) : null;
      if (client) body.scope = registeredScopes(client).join(' ');
    }
    next();
  };
}

const BASIC = /^Basic ((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?)$/i;
const VISIBLE = /^[\x20-\x7e]+$/;

/** @returns what the library would look at, and `undefined` for what it refuses before it looks for a client */
function basicOf(authorization: string | undefined): { readonly id: string; readonly secret: string } | undefined {
  const encoded = BASIC.exec(authorization ?? '')?.[1] ?? '';
  const [id = '', ...rest] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  // OAuth's Basic is form-encoded inside (RFC 6749, section 2.3.1).
  const decoded = (part: string): string => decodeURIComponent(part.replaceAll('+', '%20'));
  try {
    const shown = { id: decoded(id), secret: decoded(rest.join(':')) };
    return Object.values(shown).every((part) => VISIBLE.test(part)) ? shown : undefined;
  } catch {
    return undefined;
  }
}

/** Replaces a JWT in the request by the id of its record. The client's authentication stays the library's. */
function leadToRecord(deps: { issuer: string; hiddenIdKey: Buffer; keys: () => JSONWebKeySet }): RequestHandler {
  return async (req, _res, next) => {
    const body = req.body as { token?: unknown } | undefined;
    if (typeof body?.token === 'string') {
      const verified = await jwtVerify(body.token, createLocalJWKSet(deps.keys()), {
        issuer: deps.issuer,
        typ: 'at+jwt',
        algorithms: ['EdDSA'],
      }).catch(() => null);
      const jti = verified?.payload.jti;
      body.token = jti === undefined ? NO_TOKEN : hiddenId(deps.hiddenIdKey, jti);
    }
    next();
  };
}

const publicKeysOf = (keys: readonly JWK[]): JSONWebKeySet => ({
  keys: keys.map(({ kty, crv, x, kid }) => ({
    ...(kty !== undefined && { kty }),
    ...(crv !== undefined && { crv }),
    ...(x !== undefined && { x }),
    ...(kid !== undefined && { kid }),
    alg: 'EdDSA',
    use: 'sig',
  })),
});
