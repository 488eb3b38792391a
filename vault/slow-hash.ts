import { createHmac, randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';
import { hashSecret } from './secret-hash';

/**
 * Secrets that others show us, as we keep them: scrypt (RFC 7914) with a salt of each one's own (R4.4). What is found
 * right is remembered for a short time, so that it is paid for once and not with each request; what is wrong is paid for
 * each time (docs/adr/0041).
 */

/** 16 MiB and some 40 ms for each guess. */
const COST = { log2N: 14, r: 8, p: 1 } as const;
const HASH_BYTES = 32;
const SALT_BYTES = 16;
/** What a row says is not believed beyond this: a hash from elsewhere must not take our memory. */
const MOST = { log2N: 16, r: 16, p: 4 } as const;

/** `scrypt$log2N$r$p$salt$hash`, the last two base64url. */
const SLOW = /^scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([\w-]{16,64})\$([\w-]{32,128})$/;
/** SHA-256, hexadecimal: how they were kept before; replaced when it is used. */
const FAST = /^[0-9a-f]{64}$/;

export const isFast = (stored: string): boolean => FAST.test(stored);

const stretch = (
  secret: string,
  salt: Buffer,
  bytes: number,
  { log2N, r, p }: Readonly<Record<keyof typeof COST, number>>,
) =>
  new Promise<Buffer>((resolve, reject) => {
    const options: ScryptOptions = { N: 2 ** log2N, r, p, maxmem: 256 * 2 ** log2N * r };
    scrypt(secret, salt, bytes, options, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });

export async function slowHash(secret: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await stretch(secret, salt, HASH_BYTES, COST);
  const { log2N, r, p } = COST;
  return ['scrypt', log2N, r, p, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

async function matchesSlow(secret: string, stored: string): Promise<boolean> {
  const [, log2N = 0, r = 0, p = 0] = (SLOW.exec(stored) ?? []).map(Number);
  const [salt = '', hash = ''] = (SLOW.exec(stored) ?? []).slice(4);
  if (log2N < 1 || log2N > MOST.log2N || r < 1 || r > MOST.r || p < 1 || p > MOST.p) return false;
  const known = Buffer.from(hash, 'base64url');
  const given = await stretch(secret, Buffer.from(salt, 'base64url'), known.length, { log2N, r, p });
  return timingSafeEqual(given, known);
}

function matchesFast(secret: string, stored: string): boolean {
  const [given, known] = [Buffer.from(hashSecret(secret)), Buffer.from(stored)];
  return given.length === known.length && timingSafeEqual(given, known);
}

/** More is asked than can be stretched: the caller is to come back. */
export class SecretChecksBusy extends Error {
  override readonly name = 'SecretChecksBusy';
}

export type SecretChecks = {
  /** Whether {@link SecretChecks.matching} would find it right without stretching anything. */
  isRemembered(clientId: string, secret: string, stored: readonly string[]): boolean;
  /**
   * @param clientId whose secret it claims to be
   * @param stored what is good now; `null`: there is no such client, which takes as long to say
   * @returns the one of `stored` that it is, or `null`
   * @throws SecretChecksBusy when too many wait
   */
  matching(clientId: string, secret: string, stored: readonly string[] | null): Promise<string | null>;
};

/**
 * Bounds memory and time of the process: so many are stretched at once, so many wait, and one name takes only a part of
 * the places, so that who guesses at one client, or at names that nobody has, keeps no other client out.
 */
export function createSecretChecks({
  atOnce = 2,
  waiting = 32,
  waitingForOne = 8,
  keptMs = 10 * 60_000,
  keptAtMost = 1_000,
  now = Date.now,
}: {
  atOnce?: number;
  waiting?: number;
  waitingForOne?: number;
  keptMs?: number;
  keptAtMost?: number;
  now?: () => number;
} = {}): SecretChecks {
  /** Of this process alone: what is remembered helps nobody who reads our memory to guess elsewhere. */
  const key = randomBytes(32);
  const right = new Map<string, { readonly stored: string; readonly untilMs: number }>();
  const underWay = new Map<string, Promise<string | null>>();
  const places = new Map<string, number>();
  const queue: (() => void)[] = [];
  let running = 0;

  async function inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const mine = places.get(name) ?? 0;
    if (queue.length >= waiting || mine >= waitingForOne) throw new SecretChecksBusy();
    places.set(name, mine + 1);
    try {
      // Who ends hands its place on, so that nobody slips in between.
      if (running < atOnce) running++;
      else await new Promise<void>((resolve) => void queue.push(resolve));
      try {
        return await work();
      } finally {
        const next = queue.shift();
        if (next) next();
        else running--;
      }
    } finally {
      const left = (places.get(name) ?? 1) - 1;
      if (left > 0) places.set(name, left);
      else places.delete(name);
    }
  }

  function remember(id: string, stored: string): void {
    right.delete(id);
    right.set(id, { stored, untilMs: now() + keptMs });
    const [oldest] = right.keys();
    if (right.size > keptAtMost && oldest !== undefined) right.delete(oldest);
  }

  async function find(secret: string, slow: readonly string[]): Promise<string | null> {
    // Somebody who is not there costs what somebody who is there costs.
    if (slow.length === 0) await stretch(secret, key, HASH_BYTES, COST);
    let found: string | null = null;
    for (const each of slow) if (await matchesSlow(secret, each)) found = each;
    return found;
  }

  const idOf = (clientId: string, secret: string): string =>
    createHmac('sha256', key).update(`${clientId}\n${secret}`).digest('base64');

  /** What costs nothing to find. */
  function atHand(id: string, secret: string, good: readonly string[]): string | undefined {
    const known = right.get(id);
    // What is good is said by the row of this moment: a secret that was retired is not remembered past it.
    if (known && known.untilMs > now() && good.includes(known.stored)) return known.stored;
    return good.find((each) => isFast(each) && matchesFast(secret, each));
  }

  return {
    isRemembered: (clientId, secret, stored) => atHand(idOf(clientId, secret), secret, stored) !== undefined,
    async matching(clientId, secret, stored) {
      const good = stored ?? [];
      const id = idOf(clientId, secret);
      const found = atHand(id, secret, good);
      if (found !== undefined) return found;
      const slow = good.filter((each) => SLOW.test(each));
      // A client that asks many things at once pays for one.
      const asked = `${id}\n${slow.join('\n')}`;
      const finding =
        underWay.get(asked) ??
        inTurn(stored === null ? '' : clientId, () => find(secret, slow)).finally(() => underWay.delete(asked));
      underWay.set(asked, finding);
      const matched = await finding;
      if (matched !== null) remember(id, matched);
      return matched;
    },
  };
}

/** The one of this process: its bounds are of the process. */
export const secretChecks = createSecretChecks();
