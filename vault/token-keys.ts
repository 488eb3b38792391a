import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { sql, type Transaction } from '../prisma/database';
import { open, newKey, seal } from './envelope';
import type { KeyEncryption } from './key-encryption';
import { joinSecret, splitSecret } from './secrets';

/**
 * `published`: everybody may verify with it, nothing is signed with it yet. `signing`: new tokens are signed with it.
 * `retiring`: what it signed is still accepted. `retired`: nothing is.
 */
export type TokenKeyState = 'published' | 'signing' | 'retiring' | 'retired';

/** A private Ed25519 key (RFC 8037) with its key id. */
export type TokenKey = { readonly kid: string } & Readonly<Record<string, unknown>>;

export type TokenKeyVersion = {
  readonly version: number;
  readonly kid: string;
  readonly state: TokenKeyState;
  readonly issuedAt: Date;
  readonly destroyed: boolean;
};

/** The keys that sign our access tokens, each at rest under a key of its own, which is wrapped (R0.13). */
export type TokenKeyStore = {
  /** Newest first. */
  versions(tx: Transaction): Promise<TokenKeyVersion[]>;
  /** What tokens are signed and verified with: the signing key first, without those that are retired. */
  usable(tx: Transaction): Promise<TokenKey[]>;
  /** Takes in the first keys: the first one signs. Without effect when there are any. */
  adopt(tx: Transaction, keys: readonly TokenKey[]): Promise<void>;
  /** Makes the next key and publishes it. @returns its version */
  publish(tx: Transaction, issuedAt: Date): Promise<number>;
  /** Signs with a published key from now on, in place of the one before. @returns whether it was published */
  sign(tx: Transaction, version: number): Promise<boolean>;
  /** Accepts nothing any more that another key than this and its successor signed. */
  retireOlder(tx: Transaction, keep: number): Promise<void>;
  /** Destroys a retired key. The row stays: neither number nor key id is given twice. */
  destroy(tx: Transaction, version: number): Promise<void>;
};

export const tokenKeyPlace = (kid: string): string => `token-signing-keys/${kid}`;

export function newTokenKey(): TokenKey {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: randomBytes(8).toString('hex'), alg: 'EdDSA', use: 'sig' };
}

/** @throws when it is no private Ed25519 key: a set with one that cannot sign must not be taken in */
function assertUsable(key: TokenKey): void {
  const made = createPublicKey({ key: key as never, format: 'jwk' });
  if (made.asymmetricKeyType !== 'ed25519' || typeof key['d'] !== 'string') throw new Error('This is no signing key.');
}

export function createTokenKeyStore(keyEncryption: KeyEncryption): TokenKeyStore {
  async function rowOf(version: number, key: TokenKey, state: TokenKeyState) {
    assertUsable(key);
    const place = tokenKeyPlace(key.kid);
    const dataKey = newKey();
    const { wrapped, keyId } = await keyEncryption.wrap(dataKey, place);
    const column = joinSecret(wrapped, seal(dataKey, Buffer.from(JSON.stringify(key)), place));
    return { version, kid: key.kid, state, wrapped: column, keyId };
  }

  async function keyIn(row: { kid: string; wrapped: Uint8Array; keyId: string }): Promise<TokenKey> {
    const place = tokenKeyPlace(row.kid);
    const { wrappedKey, sealed } = splitSecret(row.wrapped);
    const dataKey = await keyEncryption.unwrap({ wrapped: wrappedKey, keyId: row.keyId }, place);
    return JSON.parse(open(dataKey, sealed, place).toString()) as TokenKey;
  }

  return {
    async versions(tx) {
      const rows = await tx.tokenSigningKey.findMany({ orderBy: { version: 'desc' } });
      return rows.map(({ version, kid, state, createdAt, wrapped }) => ({
        version,
        kid,
        state: state as TokenKeyState,
        issuedAt: createdAt,
        destroyed: wrapped === null,
      }));
    },
    async usable(tx) {
      const rows = await tx.tokenSigningKey.findMany({
        where: { state: { not: 'retired' } },
        orderBy: { version: 'desc' },
      });
      const signingFirst = rows.toSorted((a, b) => Number(b.state === 'signing') - Number(a.state === 'signing'));
      return Promise.all(signingFirst.flatMap(({ wrapped, ...row }) => (wrapped ? [keyIn({ ...row, wrapped })] : [])));
    },
    async adopt(tx, keys) {
      if ((await tx.tokenSigningKey.count()) > 0) return;
      const rows = await Promise.all(
        keys.map((key, index) => rowOf(keys.length - index, key, index === 0 ? 'signing' : 'retiring')),
      );
      // Another process may be doing the same.
      await tx.tokenSigningKey.createMany({ data: rows, skipDuplicates: true });
    },
    async publish(tx, issuedAt) {
      const newest = await tx.tokenSigningKey.findFirst({ orderBy: { version: 'desc' } });
      const version = (newest?.version ?? 0) + 1;
      await tx.tokenSigningKey.create({
        data: { ...(await rowOf(version, newTokenKey(), 'published')), createdAt: issuedAt },
      });
      return version;
    },
    async sign(tx, version) {
      if ((await tx.tokenSigningKey.count({ where: { version, state: 'published' } })) === 0) return false;
      await tx.tokenSigningKey.updateMany({ where: { state: 'signing' }, data: { state: 'retiring' } });
      await tx.tokenSigningKey.update({ where: { version }, data: { state: 'signing' } });
      return true;
    },
    async retireOlder(tx, keep) {
      await tx.tokenSigningKey.updateMany({
        where: { version: { lt: keep }, state: 'retiring' },
        data: { state: 'retired' },
      });
    },
    async destroy(tx, version) {
      await tx.tokenSigningKey.updateMany({ where: { version, state: 'retired' }, data: { wrapped: null } });
    },
  };
}

/** An API process that was not seen for so long is not there. It looks for new keys many times as often. */
const READER_ALIVE = '1 minute';

/** An API process says which keys it goes by from now on. */
export async function noteReader(tx: Transaction, processId: string, kids: readonly string[]): Promise<void> {
  await tx.$executeRaw(sql`
    INSERT INTO token_key_readers (process_id, kids, seen_at) VALUES (${processId}::uuid, ${kids}, now())
    ON CONFLICT (process_id) DO UPDATE SET kids = excluded.kids, seen_at = excluded.seen_at`);
  await tx.$executeRaw(sql`DELETE FROM token_key_readers WHERE seen_at < now() - interval '1 day'`);
}

/** Of the API processes that are there, how many go by this key. */
export async function readersOf(tx: Transaction, kid: string): Promise<{ all: number; knowing: number }> {
  const [row] = await tx.$queryRaw<{ all: number; knowing: number }[]>(sql`
    SELECT count(*)::int AS all, (count(*) FILTER (WHERE ${kid} = ANY (kids)))::int AS knowing
    FROM token_key_readers WHERE seen_at > now() - ${READER_ALIVE}::interval`);
  return row ?? { all: 0, knowing: 0 };
}
