import type { Transaction } from '../prisma/database';
import { open, newKey, seal } from './envelope';
import type { KeyEncryption } from './key-encryption';

/** Secrets that we present to a partner, at rest under a key of their own, which is wrapped (R0.13, R4.4). */
export type SecretStore = {
  /** Stores the next version and returns its number. */
  put(tx: Transaction, secret: { owner: string; name: string; integration: string; value: string }): Promise<number>;
  /** The newest version. @throws when there is none, naming owner and name only */
  get(tx: Transaction, owner: string, name: string): Promise<string>;
};

const WRAPPED_KEY_LENGTH_BYTES = 2;

export function createSecretStore(keyEncryption: KeyEncryption): SecretStore {
  const place = (owner: string, name: string, version: number): string =>
    `secrets/${owner}/${name}/${version.toString()}`;
  return {
    async put(tx, { owner, name, integration, value }) {
      const newest = await tx.secret.findFirst({ where: { owner, name }, orderBy: { version: 'desc' } });
      const version = (newest?.version ?? 0) + 1;
      const key = newKey();
      const { wrapped: wrappedKey, keyId } = await keyEncryption.wrap(key, place(owner, name, version));
      const length = Buffer.alloc(WRAPPED_KEY_LENGTH_BYTES);
      length.writeUInt16BE(wrappedKey.length);
      const wrapped = Buffer.concat([length, wrappedKey, seal(key, Buffer.from(value), place(owner, name, version))]);
      await tx.secret.create({ data: { owner, name, version, integration, wrapped, keyId } });
      return version;
    },
    async get(tx, owner, name) {
      const row = await tx.secret.findFirst({ where: { owner, name }, orderBy: { version: 'desc' } });
      if (!row) throw new Error(`There is no secret "${name}" for "${owner}".`);
      const bytes = Buffer.from(row.wrapped);
      const end = WRAPPED_KEY_LENGTH_BYTES + bytes.readUInt16BE();
      const where = place(owner, name, row.version);
      const wrappedKey = { wrapped: bytes.subarray(WRAPPED_KEY_LENGTH_BYTES, end), keyId: row.keyId };
      const key = await keyEncryption.unwrap(wrappedKey, where);
      return open(key, bytes.subarray(end), where).toString();
    },
  };
}
