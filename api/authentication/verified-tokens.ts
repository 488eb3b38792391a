import { createHash } from 'node:crypto';
import type { JSONWebKeySet, JWTPayload } from 'jose';

export type VerifiedTokens = {
  /**
   * What the token says, once its signature and its claims were found good.
   *
   * @param keys the same object for as long as the keys are the same: what other keys have verified is not asked
   * @param use what the token is good for; for another use it is verified anew
   * @param verify throws for one that is not good; it is asked again then, whoever brings the token
   */
  payloadOf(
    keys: JSONWebKeySet,
    use: string,
    token: string,
    verify: () => Promise<JWTPayload>,
  ): Promise<Readonly<JWTPayload>>;
};

const AT_MOST = 2_000;

/**
 * Remembers which tokens were verified until they run out, because a backend sends the same one with each request for
 * minutes. Only what cannot change is remembered, that we signed it and what it says: whether it was revoked, whose it
 * is and what that client may do is asked of the database each time (api/authentication/token.ts). Who is not let in
 * fills nothing, and of a token its digest is kept.
 *
 * @param clockSkewS seconds that a token is good beyond its `exp`, as where it was verified
 */
export function createVerifiedTokens(clockSkewS: number, atMost = AT_MOST): VerifiedTokens {
  const byKeys = new WeakMap<JSONWebKeySet, Map<string, Readonly<JWTPayload>>>();
  return {
    async payloadOf(keys, use, token, verify) {
      const known = byKeys.get(keys) ?? new Map<string, Readonly<JWTPayload>>();
      byKeys.set(keys, known);
      const id = createHash('sha256').update(`${use}\n${token}`).digest('base64');
      const remembered = known.get(id);
      if (remembered) {
        if (isInTime(remembered, clockSkewS)) return remembered;
        known.delete(id);
      }
      const payload = Object.freeze(await verify());
      known.set(id, payload);
      const [oldest] = known.size > atMost ? known.keys() : [];
      if (oldest !== undefined) known.delete(oldest);
      return payload;
    },
  };
}

const isInTime = ({ exp = 0 }: JWTPayload, skewS: number): boolean => exp > Math.floor(Date.now() / 1_000) - skewS;
