import { hkdfSync } from 'node:crypto';
import type { Transaction } from '../prisma/database';
import { newKey, open, seal, SealBroken } from './envelope';
import type { KeyEncryption, WrappedKey } from './key-encryption';
import { combined, type KeyStore } from './key-store';

const PSEUDONYM_BYTES = 16;

/**
 * The key of one subject: everything personal about them at rest is sealed under it, and destroying it erases all of that
 * at once (design rule 2), in backups too: half of it lies wrapped in `subject_keys`, the other in the key store, whose
 * backups are few (docs/adr/0090). The key store not answering is an error, and never a key that is destroyed.
 */
export type SubjectVault = {
  /** Makes the subject's key. Called once, in the transaction that creates the resident. */
  createKey(tx: Transaction, residentId: string): Promise<void>;
  /** @throws SealBroken when the key is gone */
  seal(tx: Transaction, residentId: string, plain: Buffer, place: string): Promise<Buffer<ArrayBuffer>>;
  /** @throws SealBroken when the key is gone or the value is not the subject's */
  open(tx: Transaction, residentId: string, sealed: Uint8Array, place: string): Promise<Buffer>;
  /** {@link SubjectKey.pseudonym} of a subject; `null` when the key is destroyed. */
  pseudonym(tx: Transaction, residentId: string, purpose: string): Promise<string | null>;
  /** The key itself, for several uses at the cost of one look; `null` when it is destroyed. */
  find(tx: Transaction, residentId: string): Promise<SubjectKey | null>;
  /** The same of a row that somebody else reads: the key store is asked meanwhile. */
  findBy(residentId: string, row: Promise<SubjectKeyRow | null>): Promise<SubjectKey | null>;
  /** Opens many values with one look at the keys; values whose key is gone are left out. */
  openMany<T extends { residentId: string; sealed: Uint8Array; place: string }>(
    tx: Transaction,
    values: readonly T[],
  ): Promise<(T & { plain: Buffer })[]>;
};

/** What the main database has of a key: half of it since `splitAt`; where that is `null`, the whole. */
export type SubjectKeyRow = WrappedKey & { readonly splitAt: Date | null };

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

/** The wrapping says which it is: a half that somebody calls the whole opens nothing, and nothing is sealed under it. */
export const subjectKeyPlace = (residentId: string, { splitAt }: Pick<SubjectKeyRow, 'splitAt'>): string =>
  `subject_keys/${residentId}${splitAt === null ? '' : '/half'}`;

/** Until when backups of the main database that were made hold the whole key of a row; `null`: none ever did. */
export function wholeUntil(row: { readonly createdAt: Date; readonly splitAt: Date | null }, now: Date): Date | null {
  if (row.splitAt === null) return now;
  return row.splitAt > row.createdAt ? row.splitAt : null;
}

/**
 * Held by whoever makes a key until its row is committed. Whoever looks for shares without a row waits for that: such a
 * row is not missed, and its share is not taken for one of nobody.
 */
export async function lockKeyMaking(tx: Transaction, mode: 'maker' | 'sweeper'): Promise<void> {
  if (mode === 'maker') await tx.$executeRaw`SELECT pg_advisory_xact_lock_shared(hashtextextended('key-store', 0))`;
  else await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('key-store', 0))`;
}

export function createSubjectVault(keyEncryption: KeyEncryption, keyStore: KeyStore): SubjectVault {
  async function keyIn(residentId: string, row: SubjectKeyRow, share: Buffer | null): Promise<Buffer | null> {
    if (row.splitAt !== null && share === null) return null;
    const unwrapped = await keyEncryption.unwrap(row, subjectKeyPlace(residentId, row));
    return row.splitAt === null || share === null ? unwrapped : combined(unwrapped, share);
  }

  async function find(tx: Transaction, residentId: string): Promise<SubjectKey | null> {
    return findBy(residentId, tx.subjectKey.findUnique({ where: { residentId } }));
  }

  async function findBy(residentId: string, reading: Promise<SubjectKeyRow | null>): Promise<SubjectKey | null> {
    const asking = keyStore.share(residentId);
    // Seen where it is waited for, if it is wanted at all.
    asking.catch(() => undefined);
    const row = await reading;
    if (row === null) return null;
    if (row.splitAt === null) return usable(await keyIn(residentId, row, null));
    // A share is there before its row says so: who was asked before the row was read may have come too early.
    const share = (await asking) ?? (await keyStore.share(residentId));
    return usable(await keyIn(residentId, row, share));
  }

  async function existing(tx: Transaction, residentId: string): Promise<SubjectKey> {
    const key = await find(tx, residentId);
    if (key === null) throw new SealBroken();
    return key;
  }

  return {
    async createKey(tx, residentId) {
      await lockKeyMaking(tx, 'maker');
      // Committed before the row can be: nothing is ever sealed under a key of which the other half is not there.
      await keyStore.makeShare(residentId);
      const createdAt = new Date();
      const row = { createdAt, splitAt: createdAt };
      const half = await keyEncryption.wrap(newKey(), subjectKeyPlace(residentId, row));
      await tx.subjectKey.create({ data: { residentId, ...row, ...half } });
    },
    async seal(tx, residentId, plain, where) {
      return (await existing(tx, residentId)).seal(plain, where);
    },
    async open(tx, residentId, sealed, where) {
      return (await existing(tx, residentId)).open(sealed, where);
    },
    async pseudonym(tx, residentId, purpose) {
      return (await find(tx, residentId))?.pseudonym(purpose) ?? null;
    },
    find,
    findBy,
    async openMany(tx, values) {
      if (values.length === 0) return [];
      const residentIds = [...new Set(values.map(({ residentId }) => residentId))];
      const asking = keyStore.shares(residentIds);
      asking.catch(() => undefined);
      const rows = await tx.subjectKey.findMany({ where: { residentId: { in: residentIds } } });
      const shares = await sharesFor(rows, asking);
      const keys = new Map<string, Buffer>();
      for (const row of rows) {
        const key = await keyIn(row.residentId, row, shares.get(row.residentId) ?? null);
        if (key !== null) keys.set(row.residentId, key);
      }
      return values.flatMap((value) => {
        const key = keys.get(value.residentId);
        return key ? [{ ...value, plain: open(key, value.sealed, value.place) }] : [];
      });
    },
  };

  /** As for one: those that were asked for too early are asked for again, together. */
  async function sharesFor(
    rows: readonly (SubjectKeyRow & { readonly residentId: string })[],
    asking: Promise<ReadonlyMap<string, Buffer>>,
  ): Promise<ReadonlyMap<string, Buffer>> {
    const split = rows.filter(({ splitAt }) => splitAt !== null);
    if (split.length === 0) return new Map();
    const found = await asking;
    const missing = split.map(({ residentId }) => residentId).filter((residentId) => !found.has(residentId));
    return missing.length === 0 ? found : new Map([...found, ...(await keyStore.shares(missing))]);
  }
}

function usable(key: Buffer | null): SubjectKey | null {
  if (key === null) return null;
  return {
    pseudonym: (purpose) => {
      const name = hkdfSync('sha256', key, '', `domovoy/pseudonym/${purpose}`, PSEUDONYM_BYTES);
      return Buffer.from(name).toString('base64url');
    },
    seal: (plain, where) => seal(key, plain, where),
    open: (sealed, where) => open(key, sealed, where),
  };
}
