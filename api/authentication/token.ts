import { createHash } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import type { Logger } from '../../config/logger';
import type { Integration } from '../../contracts/ids';
import { thumbprintOf } from '../../partners/announced';
import { query, sql, type Database } from '../../prisma/database';
import type { OAuthClient } from '../../prisma/generated/client';
import { seeCertificate } from '../announced-credentials';
import { clientCertificate } from '../oauth/client-certificate';
import { isClientId, isSwitchedOn, usesTokens } from '../oauth/client-row';
import { hiddenId } from '../oauth/hidden-id';
import { issuerUrl, resourceUrl, type Audience } from '../oauth/resources';
import { HttpProblem } from '../problem';
import { noteTried, type RefusalLimits } from '../refusal-limits';
import { admissionKey, type Admitted, type AgreedLimits, type RequestLimits } from '../request-limits';
import { noteKnown, type Caller } from './caller';
import { createVerifiedTokens } from './verified-tokens';

export type TokenChecks = {
  readonly publicUrl: string;
  /** The same object for as long as the keys are the same. */
  readonly publicKeys: () => JSONWebKeySet;
  readonly hiddenIdKey: Buffer;
  readonly database: Database;
  readonly refusals: Pick<RefusalLimits, 'counted'>;
  readonly requests: Pick<RequestLimits, 'taking'>;
  readonly log: Logger;
  /** Of the company's own backends; a partner's are in its row. */
  readonly limits: AgreedLimits;
};

/** Tokens of ours live five minutes; one that claims more than an hour was not made by us as we make them (R3.1). */
const LONGEST_LIFE_S = 3_600;
const CLOCK_SKEW_S = 5;

const DEMANDS = {
  typ: 'at+jwt',
  algorithms: ['EdDSA'],
  clockTolerance: CLOCK_SKEW_S,
  requiredClaims: ['exp', 'iat', 'jti', 'client_id'],
};
const verifiedTokens = createVerifiedTokens(CLOCK_SKEW_S);

/** Lets in who brings a token of ours for this audience and scope; leaves the {@link Caller} in `res.locals.caller`. */
export function requireToken(checks: TokenChecks, audience: Audience, scope: string): RequestHandler {
  return async (req, res, next) => {
    await checks.refusals.counted(res, async () => {
      const payload = await verifiedToken(checks, audience, req, res);
      const caller = await callerOf(checks, audience, payload, { req, res });
      noteKnown(res, caller);
      if (!scopesOf(payload).includes(scope)) throw insufficientScope(scope);
      (res.locals as { caller?: Caller }).caller = caller;
    });
    next();
  };
}

/**
 * Signature with a key of ours and EdDSA only, type, issuer, audience, times, possession of the certificate that it is
 * bound to (RFC 8705).
 */
async function verifiedToken(
  checks: TokenChecks,
  audience: Audience,
  req: Request,
  res: Response,
): Promise<Readonly<JWTPayload>> {
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(req.get('authorization') ?? '')?.[1];
  if (token === undefined) throw unauthorized(checks.log, 'no-token');
  const resource = resourceUrl(checks.publicUrl, audience);
  const keys = checks.publicKeys();
  const payload = await verifiedTokens
    .payloadOf(keys, resource, token, async () => {
      const issuer = issuerUrl(checks.publicUrl);
      const verified = await jwtVerify(token, keySetOf(keys), { ...DEMANDS, issuer, audience: resource });
      return verified.payload;
    })
    .catch(() => null);
  // A token that is none of ours names nobody, and costs next to nothing.
  if (!payload) throw unauthorized(checks.log, 'bad-token');
  const { exp = Infinity, iat = 0, client_id: clientId } = payload;
  if (isClientId(clientId)) noteTried(res, clientId);
  if (exp - iat > LONGEST_LIFE_S || iat > Date.now() / 1_000 + CLOCK_SKEW_S) throw unauthorized(checks.log, 'bad-life');
  if (!holdsBoundCertificate(payload, req)) throw unauthorized(checks.log, 'not-the-holder');
  return payload;
}

type KeySet = ReturnType<typeof createLocalJWKSet>;
const keySets = new WeakMap<JSONWebKeySet, KeySet>();

/** A key set imports its keys when they are first used, and keeps them. */
function keySetOf(keys: JSONWebKeySet): KeySet {
  const known = keySets.get(keys) ?? createLocalJWKSet(keys);
  keySets.set(keys, known);
  return known;
}

/** A token bound to a certificate is of use only over a connection that was opened with it. */
function holdsBoundCertificate(payload: JWTPayload, req: Request): boolean {
  const bound = (payload['cnf'] as { 'x5t#S256'?: unknown } | undefined)?.['x5t#S256'];
  if (payload['cnf'] === undefined) return true;
  const certificate = clientCertificate(req);
  return certificate !== null && createHash('sha256').update(certificate.raw).digest('base64url') === bound;
}

/** What the database has of a token's client, its partner and the token at one moment. */
type TokenRow = Pick<
  OAuthClient,
  'id' | 'audience' | 'partnerId' | 'integration' | 'authMethod' | 'active' | 'suspendedUntil'
> & {
  readonly isRemembered: boolean;
  readonly partnerActive: boolean | null;
  readonly inboundPerSecond: number;
  readonly inboundConcurrency: number;
};

/** One statement: every request waits for it. It counts the request with the others of its caller. */
async function tokenRow(
  { database, hiddenIdKey, requests, limits }: TokenChecks,
  clientId: string,
  { jti = '' }: JWTPayload,
  res: Response,
): Promise<TokenRow | null> {
  const { from, took } = requests.taking(res);
  const counted = {
    key: sql`coalesce(c.partner_id, ${admissionKey({ clientId })})`,
    perSecond: sql`coalesce(p.inbound_per_second, ${limits.requestsPerSecond}::integer)`,
    concurrency: sql`coalesce(p.inbound_concurrency, ${limits.concurrency}::integer)`,
  };
  const [row] = await query<TokenRow & Admitted & { readonly perSecond: number }>(
    database,
    sql`SELECT c.id, c.audience, c.partner_id AS "partnerId", c.integration, c.auth_method AS "authMethod", c.active,
        c.suspended_until AS "suspendedUntil", p.active AS "partnerActive",
        p.inbound_per_second AS "inboundPerSecond", p.inbound_concurrency AS "inboundConcurrency",
        ${counted.perSecond} AS "perSecond", admitted.used, admitted.reset_ms AS "resetMs", admitted.slot,
        EXISTS (SELECT FROM oidc_payloads
                 WHERE model = 'ClientCredentials' AND id = ${hiddenId(hiddenIdKey, jti)}) AS "isRemembered"
      FROM oauth_clients c LEFT JOIN partners p ON p.id = c.partner_id CROSS JOIN LATERAL ${from(counted)} AS admitted
      WHERE c.id = ${clientId}`,
  );
  if (!row) return null;
  took({ key: admissionKey({ partnerId: row.partnerId, clientId }), perSecond: row.perSecond }, row);
  return row;
}

/**
 * The rows of the client, of its partner and of the token as they are now: who was switched off, or has to sign by now,
 * is refused, whatever the token says; and so is a token without its record, which revocation takes away.
 */
async function callerOf(
  checks: TokenChecks,
  audience: Audience,
  payload: JWTPayload,
  { req, res }: { readonly req: Request; readonly res: Response },
): Promise<Caller> {
  const { log } = checks;
  const clientId = payload['client_id'];
  const client = isClientId(clientId) ? await tokenRow(checks, clientId, payload, res) : null;
  if (!client || !isSwitchedOn(client) || client.audience !== audience || !usesTokens(client)) {
    throw unauthorized(log, 'client');
  }
  if (client.authMethod === 'tls_client_auth' && payload['cnf'] === undefined) throw unauthorized(log, 'not-bound');
  if (!client.isRemembered) throw unauthorized(log, 'revoked');
  if (audience === 'partner' && client.partnerActive !== true) throw unauthorized(log, 'partner');
  // Last, because a good one that is seen for the first time is taken to be in use from now on.
  if (client.authMethod === 'tls_client_auth') await assertGoodCertificate(checks, client, req);
  const identity = payload['device_id'] === undefined ? null : await identityOf(checks, payload);
  return {
    clientId: client.id,
    audience,
    limits: audience === 'partner' ? agreedLimits(client) : checks.limits,
    ...(identity && { identity }),
    ...(client.partnerId !== null && { partnerId: client.partnerId }),
    ...(client.integration !== null && { integration: client.integration as Integration }),
    ...(audience === 'partner' && {
      profile: client.authMethod === 'tls_client_auth' ? ('mtls-oidc' as const) : ('oauth-client' as const),
    }),
  };
}

/** That the certificate is one of those that are the partner's now: what was retired is of no use, whatever its tokens say. */
async function assertGoodCertificate(
  checks: TokenChecks,
  { partnerId, integration }: Pick<OAuthClient, 'partnerId' | 'integration'>,
  req: Request,
): Promise<void> {
  const certificate = clientCertificate(req);
  const shown = certificate && { keyId: thumbprintOf(certificate), publicPem: certificate.toString() };
  const isGood = shown !== null && partnerId !== null && integration !== null;
  const partner = { id: partnerId ?? '', integration: integration ?? '' };
  if (!isGood || !(await seeCertificate(checks, partner, shown))) throw unauthorized(checks.log, 'certificate');
}

/** Who was identified for a token of variant A; such a token is nothing without its record. */
async function identityOf(checks: TokenChecks, { jti = '' }: JWTPayload): Promise<NonNullable<Caller['identity']>> {
  const tokenId = hiddenId(checks.hiddenIdKey, jti);
  const row = await checks.database.identityToken.findUnique({ where: { id: tokenId } });
  if (!row) throw unauthorized(checks.log, 'no-identity');
  return { tokenId, accessPointId: row.accessPointId, method: row.method === 'plate' ? 'plate' : 'face' };
}

export const agreedLimits = (partner: { inboundPerSecond: number; inboundConcurrency: number }): AgreedLimits => ({
  requestsPerSecond: partner.inboundPerSecond,
  concurrency: partner.inboundConcurrency,
});

const scopesOf = ({ scope }: JWTPayload & { scope?: unknown }): string[] =>
  typeof scope === 'string' ? scope.split(' ') : [];

/** One answer for every cause; the cause goes to the log as a word (RFC 6750, section 3). */
export function unauthorized(log: Logger, code: string, challenge = 'Bearer'): HttpProblem {
  log.info({ event: 'authentication', outcome: 'refused', code }, 'refused');
  return new HttpProblem({
    status: 401,
    type: 'unauthorized',
    title: 'The credentials are missing or not good for this',
    headers: { 'www-authenticate': challenge },
  });
}

export const insufficientScope = (scope: string): HttpProblem =>
  new HttpProblem({
    status: 403,
    type: 'insufficient-scope',
    title: 'The credentials are not good for this operation',
    headers: { 'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"` },
  });
