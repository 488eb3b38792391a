import { hkdfSync } from 'node:crypto';
import type { Transaction } from '../prisma/database';
import { newKey, open, seal } from './envelope';
import type { KeyEncryption, WrappedKey } from './key-encryption';

const PSEUDONYM_BYTES = 16;

/**
 * The key of one subject: everything personal about them at rest is sealed under it, and destroying its row erases all
 * of that at once (design rule 2); backups of before hold both until they are destroyed (docs/adr/0077).
 */
export type SubjectVault = {
  /** Makes the subject's key. Called once, in the transaction that creates the resident. */
  createKey(tx: Transaction, residentId: string): Promise<void>;
  seal(tx: Transaction, residentId: string, plain: Buffer, place: string): Promise<Buffer<ArrayBuffer>>;
  /** @throws SealBroken when the key is gone or the value is not the subject's */
  open(tx: Transaction, residentId: string, sealed: Uint8Array, place: string): Promise<Buffer>;
  /** {@link SubjectKey.pseudonym} of a subject; `null` when the key is destroyed. */
  pseudonym(tx: Transaction, residentId: string, purpose: string): Promise<string | null>;
  /** The key itself, for several uses at the cost of one look; `null` when it is destroyed. */
  find(tx: Transaction, residentId: string): Promise<SubjectKey | null>;
  /** The same of a row that was read already. */
  unwrap(row: WrappedKey & { readonly residentId: string }): Promise<SubjectKey>;
  /** Opens many values with one look at the keys; values whose key is gone are left out. */
  openMany<T extends { residentId: string; sealed: Uint8Array; place: string }>(
    tx: Transaction,
    values: readonly T[],
  ): Promise<(T & { plain: Buffer })[]>;
};

/** A subject's key, unwrapped. */
export type SubjectKey = {
  /**
   * A name for the subject that only their own key leads to (HKDF, RFC 5869): always the same one for a purpose, never
   * found again once the key is destroyed.
   */
  pseudonym(purpose: string): string;
  seal(plain: Buffer, place: string): Buffer<ArrayBuffer>;
  /** @throws SealBroken when the value is not the subject's */
  open(sealed: Uint8Array, place: string): Buffer;
};

export const subjectKeyPlace = (residentId: string): string => `subject_keys/${residentId}`;

export function createSubjectVault(keyEncryption: KeyEncryption): SubjectVault {
  const place = subjectKeyPlace;

  async function keyOf(tx: Transaction, residentId: string): Promise<Buffer> {
    const row = await tx.subjectKey.findUniqueOrThrow({ where: { residentId } });
    return keyEncryption.unwrap(row, place(residentId));
  }

  async function unwrap(row: WrappedKey & { readonly residentId: string }): Promise<SubjectKey> {
    const key = await keyEncryption.unwrap(row, place(row.residentId));
    return {
      pseudonym: (purpose) => {
        const name = hkdfSync('sha256', key, '', `domovoy/pseudonym/${purpose}`, PSEUDONYM_BYTES);
        return Buffer.from(name).toString('base64url');
      },
      seal: (plain, where) => seal(key, plain, where),
      open: (sealed, where) => open(key, sealed, where),
    };
  }

  async function find(tx: Transaction, residentId: string): Promise<SubjectKey | null> {
    const row = await tx.subjectKey.findUnique({ where: { residentId } });
    return row && unwrap(row);
  }

  return {
    async createKey(tx, residentId) {
      const wrapped = await keyEncryption.wrap(newKey(), place(residentId));
      await tx.subjectKey.create({ data: { residentId, ...wrapped } });
    },
    async seal(tx, residentId, plain, where) {
      return seal(await keyOf(tx, residentId), plain, where);
    },
    async open(tx, residentId, sealed, where) {
      return open(await keyOf(tx, residentId), sealed, where);
    },
    async pseudonym(tx, residentId, purpose) {
      return (await find(tx, residentId))?.pseudonym(purpose) ?? null;
    },
    find,
    unwrap,
    async openMany(tx, values) {
      const residentIds = [...new Set(values.map(({ residentId }) => residentId))];
      const rows = await tx.subjectKey.findMany({ where: { residentId: { in: residentIds } } });
      const keys = new Map<string, Buffer>();
      for (const row of rows) keys.set(row.residentId, await keyEncryption.unwrap(row, place(row.residentId)));
      return values.flatMap((value) => {
        const key = keys.get(value.residentId);
        return key ? [{ ...value, plain: open(key, value.sealed, value.place) }] : [];
      });
    },
  };
}
