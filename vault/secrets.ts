import type { Transaction } from '../prisma/database';
import { open, newKey, seal } from './envelope';
import type { KeyEncryption } from './key-encryption';

/** `pending`: prepared, nobody uses it yet. `active`: in use. `retired`: in use no longer. */
export type SecretState = 'pending' | 'active' | 'retired';

/** What may be told of a version: everything but its value. `destroyed`: nothing of it is kept any more. */
export type SecretVersion = {
  readonly version: number;
  readonly state: SecretState;
  readonly issuedAt: Date;
  readonly destroyed: boolean;
};

type Named = { readonly owner: string; readonly name: string };
type NewSecret = Named & { readonly integration: string; readonly value: string };
/** What is known of a version besides its value: a slow hash of what others show us, the end of a certificate. */
type Known = { readonly hash?: string | undefined; readonly endsAt?: Date | undefined };

/** A version as it lies in its table. */
export type SecretRow = Named & { readonly version: number; readonly wrapped: Uint8Array; readonly keyId: string };

/**
 * Secrets that we present to a partner or issue to it, in numbered versions, each at rest under a key of its own, which
 * is wrapped (R0.13, R4.4). At most one version is active and one pending; the database holds to that. What others show us
 * has a value only until it is taken into use: from then on its hash alone is kept (docs/adr/0080).
 */
export type SecretStore = {
  /** Stores the next version, in use from now on, and returns its number. */
  put(tx: Transaction, secret: NewSecret): Promise<number>;
  /** Stores the next version as pending and returns its number. */
  prepare(tx: Transaction, secret: NewSecret & { issuedAt: Date; hash?: string | undefined }): Promise<number>;
  /** Gives a pending version the value that it is used by. Without effect on any other. */
  complete(tx: Transaction, secret: Named, version: number, value: string, endsAt?: Date): Promise<void>;
  /** Opens a row that was read. */
  reveal(row: SecretRow): Promise<string>;
  /** Seals another value for the place of a row, for who may not write it by itself. */
  seal(row: Named & { readonly version: number }, value: string): Promise<Pick<SecretRow, 'wrapped' | 'keyId'>>;
  /** The version in use. @throws when there is none, naming owner and name only */
  get(tx: Transaction, owner: string, name: string): Promise<string>;
  /** One version, in whatever state. @throws when it is not there or was destroyed */
  read(tx: Transaction, secret: Named, version: number): Promise<string>;
  /** The hash that was kept with a version; `null`: none is. */
  hashOf(tx: Transaction, secret: Named, version: number): Promise<string | null>;
  /** Newest first. */
  versions(tx: Transaction, secret: Named): Promise<SecretVersion[]>;
  /** Takes a pending version into use, in place of the one before; what a hash is kept of loses its value. @returns whether it was pending */
  activate(tx: Transaction, secret: Named, version: number): Promise<boolean>;
  /** Adds to a version what is known of it; one in use loses its value for a hash. */
  note(tx: Transaction, secret: Named, version: number, known: Known): Promise<void>;
  /** Destroys what is kept of a retired version. The row stays: a number is not given twice. */
  destroy(tx: Transaction, secret: Named, version: number): Promise<void>;
};

const WRAPPED_KEY_LENGTH_BYTES = 2;

export const secretPlace = (owner: string, name: string, version: number): string =>
  `secrets/${owner}/${name}/${version.toString()}`;

/** A secret's column: length of the wrapped key (2) ‖ wrapped key ‖ sealed value. */
export function joinSecret(wrappedKey: Uint8Array, sealed: Uint8Array): Buffer<ArrayBuffer> {
  const length = Buffer.alloc(WRAPPED_KEY_LENGTH_BYTES);
  length.writeUInt16BE(wrappedKey.length);
  return Buffer.concat([length, wrappedKey, sealed]);
}

export function splitSecret(column: Uint8Array): { wrappedKey: Buffer<ArrayBuffer>; sealed: Buffer<ArrayBuffer> } {
  const bytes = Buffer.from(column);
  const end = WRAPPED_KEY_LENGTH_BYTES + bytes.readUInt16BE();
  return { wrappedKey: bytes.subarray(WRAPPED_KEY_LENGTH_BYTES, end), sealed: bytes.subarray(end) };
}

export function createSecretStore(keyEncryption: KeyEncryption): SecretStore {
  async function add(
    tx: Transaction,
    { value, hash, ...secret }: NewSecret & { state: SecretState; createdAt?: Date; hash?: string | undefined },
  ) {
    const { owner, name } = secret;
    const newest = await tx.secret.findFirst({ where: { owner, name }, orderBy: { version: 'desc' } });
    const version = (newest?.version ?? 0) + 1;
    await tx.secret.create({
      data: { ...secret, version, hash: hash ?? null, ...(await sealed(secretPlace(owner, name, version), value)) },
    });
    return version;
  }

  async function sealed(place: string, value: string): Promise<{ wrapped: Buffer<ArrayBuffer>; keyId: string }> {
    const key = newKey();
    const { wrapped, keyId } = await keyEncryption.wrap(key, place);
    return { wrapped: joinSecret(wrapped, seal(key, Buffer.from(value), place)), keyId };
  }

  async function value(row: SecretRow): Promise<string> {
    const place = secretPlace(row.owner, row.name, row.version);
    const { wrappedKey, sealed } = splitSecret(row.wrapped);
    const key = await keyEncryption.unwrap({ wrapped: wrappedKey, keyId: row.keyId }, place);
    return open(key, sealed, place).toString();
  }

  const retireOthers = (tx: Transaction, { owner, name }: Named): Promise<unknown> =>
    tx.secret.updateMany({ where: { owner, name, state: 'active' }, data: { state: 'retired' } });

  return {
    async put(tx, { owner, name, integration, value: text }) {
      await retireOthers(tx, { owner, name });
      return add(tx, { owner, name, integration, value: text, state: 'active' });
    },
    async prepare(tx, { issuedAt, owner, name, integration, value: text, hash }) {
      return add(tx, { owner, name, integration, value: text, state: 'pending', createdAt: issuedAt, hash });
    },
    async get(tx, owner, name) {
      const row = await tx.secret.findFirst({ where: { owner, name, state: 'active' } });
      if (!row?.wrapped) throw new Error(`There is no secret "${name}" for "${owner}".`);
      return value({ ...row, wrapped: row.wrapped });
    },
    async read(tx, { owner, name }, version) {
      const row = await tx.secret.findUnique({ where: { owner_name_version: { owner, name, version } } });
      if (!row?.wrapped) throw new Error(`There is no version ${version.toString()} of "${name}" for "${owner}".`);
      return value({ ...row, wrapped: row.wrapped });
    },
    async hashOf(tx, { owner, name }, version) {
      const row = await tx.secret.findUnique({
        where: { owner_name_version: { owner, name, version } },
        select: { hash: true },
      });
      return row?.hash ?? null;
    },
    async versions(tx, { owner, name }) {
      const rows = await tx.secret.findMany({
        where: { owner, name },
        orderBy: { version: 'desc' },
        select: { version: true, state: true, createdAt: true, wrapped: true, hash: true },
      });
      return rows.map(({ version, state, createdAt, wrapped, hash }) => ({
        version,
        state: state as SecretState,
        issuedAt: createdAt,
        destroyed: wrapped === null && hash === null,
      }));
    },
    reveal: value,
    seal: ({ owner, name, version }, text) => sealed(secretPlace(owner, name, version), text),
    async complete(tx, { owner, name }, version, text, endsAt) {
      const data = await sealed(secretPlace(owner, name, version), text);
      await tx.secret.updateMany({
        where: { owner, name, version, state: 'pending' },
        data: { ...data, endsAt: endsAt ?? null },
      });
    },
    async activate(tx, { owner, name }, version) {
      const isPending = { owner, name, version, state: 'pending' };
      const row = await tx.secret.findFirst({ where: isPending, select: { hash: true } });
      if (!row) return false;
      await retireOthers(tx, { owner, name });
      const { count } = await tx.secret.updateMany({
        where: isPending,
        data: { state: 'active', ...(row.hash !== null && { wrapped: null }) },
      });
      return count > 0;
    },
    async note(tx, { owner, name }, version, { hash, endsAt }) {
      const of = { owner, name, version };
      if (endsAt) await tx.secret.updateMany({ where: of, data: { endsAt } });
      if (hash === undefined) return;
      await tx.secret.updateMany({ where: { ...of, state: 'active' }, data: { hash, wrapped: null } });
    },
    async destroy(tx, { owner, name }, version) {
      await tx.secret.updateMany({
        where: { owner, name, version, state: 'retired' },
        data: { wrapped: null, hash: null },
      });
    },
  };
}
