import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { sql, type Transaction } from '../prisma/database';
import { open, newKey, seal } from './envelope';
import type { KeyEncryption } from './key-encryption';
import { joinSecret, splitSecret } from './secrets';

/** What a key of ours signs: access tokens, or our answers to partners of profile `basic-signed` (R0.8). */
export const OWN_KEY_PURPOSES = ['token', 'message'] as const;
export type OwnKeyPurpose = (typeof OWN_KEY_PURPOSES)[number];

/**
 * `published`: everybody may verify with it, nothing is signed with it yet. `signing`: what is new is signed with it.
 * `retiring`: what it signed is still accepted. `retired`: nothing is.
 */
export type OwnKeyState = 'published' | 'signing' | 'retiring' | 'retired';

/** A private Ed25519 key (RFC 8037) with its key id. */
export type OwnKey = { readonly kid: string } & Readonly<Record<string, unknown>>;

export type OwnKeyVersion = {
  readonly version: number;
  readonly kid: string;
  readonly state: OwnKeyState;
  readonly issuedAt: Date;
  readonly destroyed: boolean;
};

/** The keys that we sign with, of one purpose, each at rest under a key of its own, which is wrapped (R0.13). */
export type OwnKeyStore = {
  /** Newest first. */
  versions(tx: Transaction): Promise<OwnKeyVersion[]>;
  /** What is signed and verified with: the signing key first, without those that are retired. */
  usable(tx: Transaction): Promise<OwnKey[]>;
  /** Takes in the first keys: the first one signs. Without effect when there are any. */
  adopt(tx: Transaction, keys: readonly OwnKey[]): Promise<void>;
  /** Makes the next key and publishes it. @returns its version */
  publish(tx: Transaction, issuedAt: Date): Promise<number>;
  /** Signs with a published key from now on, in place of the one before. @returns whether it was published */
  sign(tx: Transaction, version: number): Promise<boolean>;
  /** Accepts nothing any more that another key than this and its successor signed. */
  retireOlder(tx: Transaction, keep: number): Promise<void>;
  /** Destroys a retired key. The row stays: neither number nor key id is given twice. */
  destroy(tx: Transaction, version: number): Promise<void>;
};

export const ownKeyPlace = (purpose: OwnKeyPurpose, kid: string): string => `${purpose}-signing-keys/${kid}`;

export function newOwnKey(): OwnKey {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: randomBytes(8).toString('hex'), alg: 'EdDSA', use: 'sig' };
}

/** @throws when it is no private Ed25519 key: a set with one that cannot sign must not be taken in */
function assertUsable(key: OwnKey): void {
  const made = createPublicKey({ key: key as never, format: 'jwk' });
  if (made.asymmetricKeyType !== 'ed25519' || typeof key['d'] !== 'string') throw new Error('This is no signing key.');
}

export function createOwnKeyStore(keyEncryption: KeyEncryption, purpose: OwnKeyPurpose): OwnKeyStore {
  async function rowOf(version: number, key: OwnKey, state: OwnKeyState) {
    assertUsable(key);
    const place = ownKeyPlace(purpose, key.kid);
    const dataKey = newKey();
    const { wrapped, keyId } = await keyEncryption.wrap(dataKey, place);
    const column = joinSecret(wrapped, seal(dataKey, Buffer.from(JSON.stringify(key)), place));
    return { purpose, version, kid: key.kid, state, wrapped: column, keyId };
  }

  async function keyIn(row: { kid: string; wrapped: Uint8Array; keyId: string }): Promise<OwnKey> {
    const place = ownKeyPlace(purpose, row.kid);
    const { wrappedKey, sealed } = splitSecret(row.wrapped);
    const dataKey = await keyEncryption.unwrap({ wrapped: wrappedKey, keyId: row.keyId }, place);
    return JSON.parse(open(dataKey, sealed, place).toString()) as OwnKey;
  }

  return {
    async versions(tx) {
      const rows = await tx.ownSigningKey.findMany({ where: { purpose }, orderBy: { version: 'desc' } });
      return rows.map(({ version, kid, state, createdAt, wrapped }) => ({
        version,
        kid,
        state: state as OwnKeyState,
        issuedAt: createdAt,
        destroyed: wrapped === null,
      }));
    },
    async usable(tx) {
      const rows = await tx.ownSigningKey.findMany({
        where: { purpose, state: { not: 'retired' } },
        orderBy: { version: 'desc' },
      });
      const signingFirst = rows.toSorted((a, b) => Number(b.state === 'signing') - Number(a.state === 'signing'));
      return Promise.all(signingFirst.flatMap(({ wrapped, ...row }) => (wrapped ? [keyIn({ ...row, wrapped })] : [])));
    },
    async adopt(tx, keys) {
      if ((await tx.ownSigningKey.count({ where: { purpose } })) > 0) return;
      const rows = await Promise.all(
        keys.map((key, index) => rowOf(keys.length - index, key, index === 0 ? 'signing' : 'retiring')),
      );
      // Another process may be doing the same.
      await tx.ownSigningKey.createMany({ data: rows, skipDuplicates: true });
    },
    async publish(tx, issuedAt) {
      const newest = await tx.ownSigningKey.findFirst({ where: { purpose }, orderBy: { version: 'desc' } });
      const version = (newest?.version ?? 0) + 1;
      await tx.ownSigningKey.create({
        data: { ...(await rowOf(version, newOwnKey(), 'published')), createdAt: issuedAt },
      });
      return version;
    },
    async sign(tx, version) {
      if ((await tx.ownSigningKey.count({ where: { purpose, version, state: 'published' } })) === 0) return false;
      await tx.ownSigningKey.updateMany({ where: { purpose, state: 'signing' }, data: { state: 'retiring' } });
      await tx.ownSigningKey.update({ where: { purpose_version: { purpose, version } }, data: { state: 'signing' } });
      return true;
    },
    async retireOlder(tx, keep) {
      await tx.ownSigningKey.updateMany({
        where: { purpose, version: { lt: keep }, state: 'retiring' },
        data: { state: 'retired' },
      });
    },
    async destroy(tx, version) {
      await tx.ownSigningKey.updateMany({ where: { purpose, version, state: 'retired' }, data: { wrapped: null } });
    },
  };
}

/** An API process that was not seen for so long is not there. It looks for new keys many times as often. */
const READER_ALIVE = '1 minute';

/** An API process says which keys it goes by from now on. */
export async function noteReader(tx: Transaction, processId: string, kids: readonly string[]): Promise<void> {
  await tx.$executeRaw(sql`
    INSERT INTO own_key_readers (process_id, kids, seen_at) VALUES (${processId}::uuid, ${kids}, now())
    ON CONFLICT (process_id) DO UPDATE SET kids = excluded.kids, seen_at = excluded.seen_at`);
  await tx.$executeRaw(sql`DELETE FROM own_key_readers WHERE seen_at < now() - interval '1 day'`);
}

/** Of the API processes that are there, how many go by this key. */
export async function readersOf(tx: Transaction, kid: string): Promise<{ all: number; knowing: number }> {
  const [row] = await tx.$queryRaw<{ all: number; knowing: number }[]>(sql`
    SELECT count(*)::int AS all, (count(*) FILTER (WHERE ${kid} = ANY (kids)))::int AS knowing
    FROM own_key_readers WHERE seen_at > now() - ${READER_ALIVE}::interval`);
  return row ?? { all: 0, knowing: 0 };
}
