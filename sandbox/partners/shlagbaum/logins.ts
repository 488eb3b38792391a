import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { LoginFamily } from '../custody';
import type { CustodyStore } from '../custody-store';
import { TokenRefusal } from '../token-request';

/** Life of a refresh token, and of everything that comes of one login. */
export const LOGIN_HOURS = 12;

/**
 * Refresh tokens that rotate. Each is used once; one that comes again means that somebody has a copy, and ends its
 * family with the access tokens of it (RFC 9700, section 4.14.2). Only hashes are kept, and a restart changes nothing.
 */
export function createLogins(store: CustodyStore, now: () => Date) {
  const hash = (token: string) => createHash('sha256').update(token).digest('hex');
  const newToken = () => randomBytes(32).toString('base64url');

  return {
    async begin(username: string, certificate: string): Promise<{ familyId: string; refreshToken: string }> {
      const refreshToken = newToken();
      const family: LoginFamily = {
        familyId: randomUUID(),
        username,
        certificate,
        current: hash(refreshToken),
        used: [],
        expiresAt: new Date(now().getTime() + LOGIN_HOURS * 3_600_000).toISOString(),
        ended: false,
      };
      await store.commit([{ record: 'family', family }]);
      return { familyId: family.familyId, refreshToken };
    },

    async refresh(presented: string, certificate: string): Promise<{ family: LoginFamily; refreshToken: string }> {
      const seen = hash(presented);
      const family = [...store.families.values()].find(({ current, used }) => current === seen || used.includes(seen));
      if (family?.certificate !== certificate) throw new TokenRefusal('invalid_grant');
      if (family.ended || Date.parse(family.expiresAt) <= now().getTime()) throw new TokenRefusal('invalid_grant');
      if (family.current !== seen) {
        await store.commit([{ record: 'family', family: { ...family, ended: true } }]);
        throw new TokenRefusal('invalid_grant');
      }
      const refreshToken = newToken();
      const next = { ...family, current: hash(refreshToken), used: [...family.used, seen] };
      await store.commit([{ record: 'family', family: next }]);
      return { family: next, refreshToken };
    },

    /** Ends every login, with its refresh token and the access tokens that came of it. @returns how many */
    async endAll(): Promise<number> {
      const alive = [...store.families.values()].filter(({ ended }) => !ended);
      await store.commit(alive.map((family) => ({ record: 'family' as const, family: { ...family, ended: true } })));
      return alive.length;
    },

    isAlive(familyId: string): boolean {
      return store.families.get(familyId)?.ended === false;
    },
  };
}
export type Logins = ReturnType<typeof createLogins>;
