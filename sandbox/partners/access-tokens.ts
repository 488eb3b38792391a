import { createPublicKey, randomUUID, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, jwtVerify, SignJWT, type JWK } from 'jose';
import { z } from 'zod';
import { Refusal } from './answer';

/** Life of an access token, seconds (sandbox/README.md). */
export const ACCESS_TOKEN_S = 300;
/** RFC 9068, section 2.1. */
const ACCESS_TOKEN_TYPE = 'at+jwt';

const Claims = z.object({
  client_id: z.string(),
  sub: z.string(),
  sid: z.string().optional(),
  cnf: z.object({ 'x5t#S256': z.string() }).optional(),
});
export type AccessClaims = z.infer<typeof Claims>;

/** Issues and checks a partner's access tokens: JWT by RFC 9068, Ed25519 only, for one audience. */
export async function createAccessTokens(options: {
  readonly issuer: () => string;
  readonly audience: () => string;
  readonly key: KeyObject;
  readonly now: () => Date;
}) {
  const { issuer, audience, key } = options;
  /** Ids of what was given and what was taken back since the start: a restart forgets both. */
  const given = new Set<string>();
  const revoked = new Set<string>();
  const verificationKey = createPublicKey(key);
  const exported = await exportJWK(verificationKey);
  const kid = await calculateJwkThumbprint(exported);
  const jwk: JWK = { ...exported, kid, alg: 'EdDSA', use: 'sig' };

  async function signed(typ: string, claims: Record<string, unknown>, aud: string, sub: string): Promise<string> {
    const id = randomUUID();
    if (typ === ACCESS_TOKEN_TYPE) given.add(id);
    const issuedAt = Math.floor(options.now().getTime() / 1_000);
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'EdDSA', kid, typ })
      .setIssuer(issuer())
      .setAudience(aud)
      .setSubject(sub)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + ACCESS_TOKEN_S)
      .setJti(id)
      .sign(key);
  }

  return {
    jwks: { keys: [jwk] },
    issue: ({ sub, ...claims }: AccessClaims): Promise<string> => signed(ACCESS_TOKEN_TYPE, claims, audience(), sub),
    idToken: (clientId: string, sub: string): Promise<string> => signed('JWT', {}, clientId, sub),
    /** Takes back every access token that was given so far. @returns how many */
    revokeAll(): number {
      const count = given.size;
      given.forEach((id) => revoked.add(id));
      given.clear();
      return count;
    },
    /** Signature, algorithm, type, issuer, audience and life; whoever calls checks client and certificate. */
    async check(authorization: string | undefined): Promise<AccessClaims> {
      const token = /^Bearer ([A-Za-z0-9._-]+)$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) throw new Refusal(401, 'token_missing', { headers: { 'www-authenticate': 'Bearer' } });
      try {
        const { payload } = await jwtVerify(token, verificationKey, {
          issuer: issuer(),
          audience: audience(),
          algorithms: ['EdDSA'],
          typ: ACCESS_TOKEN_TYPE,
          requiredClaims: ['exp', 'iat', 'jti'],
          maxTokenAge: ACCESS_TOKEN_S,
          currentDate: options.now(),
        });
        if (revoked.has(payload.jti ?? '')) throw invalidToken();
        return Claims.parse(payload);
      } catch {
        throw invalidToken();
      }
    },
  };
}
export type AccessTokens = Awaited<ReturnType<typeof createAccessTokens>>;

export function invalidToken(): Refusal {
  return new Refusal(401, 'invalid_token', { headers: { 'www-authenticate': 'Bearer error="invalid_token"' } });
}
