import { openStatements, sql } from '../prisma/database';
import { KEY_BYTES, newKey } from './envelope';

/**
 * The other half of each subject's key, in a database of its own: a backup of the main one holds no key, and what is
 * deleted here is gone as soon as the few backups of here are (docs/adr/0090). Every function throws when the store does
 * not answer: that says nothing of a key, least of all that it is destroyed.
 */
export type KeyStore = {
  /** @returns `null` when there is none: the key is destroyed, if it was ever split */
  share(residentId: string): Promise<Buffer | null>;
  /** Those of many with one question; who has none is left out. */
  shares(residentIds: readonly string[]): Promise<ReadonlyMap<string, Buffer>>;
  /** Makes a share, or finds the one that is there: of two who make one at once both have the same. */
  makeShare(residentId: string): Promise<Buffer>;
  /** @returns whether there was one */
  destroyShare(residentId: string): Promise<boolean>;
  /** Whose shares there are that were made before, in the order of their ids, after `after`. */
  madeBefore(before: Date, after: string, limit: number): Promise<string[]>;
  /** Which of them have one. */
  holding(residentIds: readonly string[]): Promise<ReadonlySet<string>>;
  answers(): Promise<void>;
  close(): Promise<void>;
};

const POOL_SIZE = 5;

/** @param url connection string of the process's own role there: nobody may change a share, and only `core` deletes one */
export function openKeyStore(url: string, poolSize = POOL_SIZE): KeyStore {
  const store = openStatements(url, poolSize);
  type Share = { readonly residentId: string; readonly share: Buffer };

  async function share(residentId: string): Promise<Buffer | null> {
    const [row] = await store.run<Share>(
      sql`SELECT share FROM subject_key_shares WHERE resident_id = ${residentId}::uuid`,
    );
    return row?.share ?? null;
  }

  return {
    share,
    async shares(residentIds) {
      const rows = await store.run<Share>(sql`SELECT resident_id AS "residentId", share FROM subject_key_shares
        WHERE resident_id = ANY (${[...residentIds]}::uuid[])`);
      return new Map(rows.map((row) => [row.residentId, row.share]));
    },
    async makeShare(residentId) {
      for (;;) {
        const [made] = await store.run<Share>(sql`INSERT INTO subject_key_shares (resident_id, share)
          VALUES (${residentId}::uuid, ${newKey()}) ON CONFLICT (resident_id) DO NOTHING RETURNING share`);
        const found = made?.share ?? (await share(residentId));
        // Gone between the two: it is made anew.
        if (found !== null) return found;
      }
    },
    async destroyShare(residentId) {
      const gone = await store.run(
        sql`DELETE FROM subject_key_shares WHERE resident_id = ${residentId}::uuid RETURNING resident_id`,
      );
      return gone.length > 0;
    },
    async madeBefore(before, after, limit) {
      const rows = await store.run<Share>(sql`SELECT resident_id AS "residentId" FROM subject_key_shares
        WHERE created_at < ${before} AND resident_id > ${after}::uuid ORDER BY resident_id LIMIT ${limit}`);
      return rows.map(({ residentId }) => residentId);
    },
    async holding(residentIds) {
      const rows = await store.run<Share>(sql`SELECT resident_id AS "residentId" FROM subject_key_shares
        WHERE resident_id = ANY (${[...residentIds]}::uuid[])`);
      return new Set(rows.map(({ residentId }) => residentId));
    },
    async answers() {
      await store.run(sql`SELECT 1`);
    },
    close: () => store.close(),
  };
}

/** Puts two halves together, or takes one off the whole: neither half says anything of the key. */
export function combined(one: Uint8Array, other: Uint8Array): Buffer {
  if (one.length !== KEY_BYTES || other.length !== KEY_BYTES) throw new Error('A half of a key is of another length.');
  return Buffer.from(one.map((byte, at) => byte ^ (other[at] ?? 0)));
}
