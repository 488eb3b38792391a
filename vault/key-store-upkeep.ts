import type { Database } from '../prisma/database';
import type { KeyEncryption } from './key-encryption';
import { combined, type KeyStore } from './key-store';
import { lockKeyMaking, subjectKeyPlace } from './subject-keys';

type Stores = { readonly database: Database; readonly keyStore: KeyStore };

/** Before every id. */
const FIRST = '00000000-0000-0000-0000-000000000000';
const PAGE = 200;

/**
 * Splits the keys that were made whole, before there was a key store. Readers notice nothing: the share is there before
 * the row says that it is wanted, and the row changes only if it is still as it was read, so that one which is wrapped
 * anew or deleted meanwhile stays as the other left it. Whoever dies between leaves a share that the next one finds.
 *
 * @returns how many were split, and how many are whole still: changed by somebody else meanwhile, or not to be unwrapped
 */
export async function splitWholeKeys(
  { database, keyStore }: Stores,
  keyEncryption: KeyEncryption,
): Promise<{ readonly split: number; readonly left: number }> {
  let split = 0;
  for (let after = FIRST; ;) {
    const rows = await database.subjectKey.findMany({
      where: { splitAt: null, residentId: { gt: after } },
      orderBy: { residentId: 'asc' },
      take: PAGE,
    });
    for (const { residentId, wrapped, keyId } of rows) {
      const whole = await keyEncryption
        .unwrap({ wrapped, keyId }, subjectKeyPlace(residentId, { splitAt: null }))
        // Under a key-encryption key that this process does not have: the others are split all the same.
        .catch(() => null);
      if (whole === null) continue;
      const share = await keyStore.makeShare(residentId);
      const splitAt = new Date();
      const half = await keyEncryption.wrap(combined(whole, share), subjectKeyPlace(residentId, { splitAt }));
      const { count } = await database.subjectKey.updateMany({
        where: { residentId, keyId, wrapped, splitAt: null },
        data: { ...half, splitAt },
      });
      split += count;
      // Erased meanwhile: what was made for it goes again.
      if (count === 0) await destroyOrphans({ database, keyStore }, [residentId]);
    }
    const last = rows.at(-1);
    if (last === undefined) return { split, left: await database.subjectKey.count({ where: { splitAt: null } }) };
    after = last.residentId;
  }
}

/**
 * Destroys shares that were made before a moment and have no row: of residents who were never committed, and of people who
 * were erased, when the key store was put back from a backup.
 *
 * @returns how many
 */
export async function removeOrphanedShares(stores: Stores, madeBefore: Date): Promise<number> {
  let removed = 0;
  for (let after = FIRST; ;) {
    const residentIds = await stores.keyStore.madeBefore(madeBefore, after, PAGE);
    const last = residentIds.at(-1);
    if (last === undefined) return removed;
    after = last;
    if ((await withoutRow(stores.database, residentIds)).length === 0) continue;
    removed += await destroyOrphans(stores, residentIds);
  }
}

function destroyOrphans({ database, keyStore }: Stores, residentIds: readonly string[]): Promise<number> {
  return database.$transaction(
    async (tx) => {
      await lockKeyMaking(tx, 'sweeper');
      const orphans = await withoutRow(tx, residentIds);
      for (const residentId of orphans) await keyStore.destroyShare(residentId);
      return orphans.length;
    },
    { timeout: 60_000 },
  );
}

async function withoutRow(tx: Pick<Database, 'subjectKey'>, residentIds: readonly string[]): Promise<string[]> {
  const rows = await tx.subjectKey.findMany({
    where: { residentId: { in: [...residentIds] } },
    select: { residentId: true },
  });
  const known = new Set(rows.map(({ residentId }) => residentId));
  return residentIds.filter((residentId) => !known.has(residentId));
}

/**
 * Whose key is lost although nobody erased them: its share is not in the key store, as when that was put back from a
 * backup which is older than they are. What is sealed under it opens to nobody.
 */
export async function countLostKeys({ database, keyStore }: Stores): Promise<number> {
  let lost = 0;
  for (let after = FIRST; ;) {
    const rows = await splitRows(database, { gt: after });
    const last = rows.at(-1);
    if (last === undefined) return lost;
    after = last;
    const holding = await keyStore.holding(rows);
    const missing = rows.filter((residentId) => !holding.has(residentId));
    // Some may have been erased since they were read.
    if (missing.length > 0) lost += (await splitRows(database, { in: missing })).length;
  }
}

/** Keys in halves of people who are not being erased, in the order of their ids. */
async function splitRows(
  database: Database,
  residentId: { readonly gt: string } | { readonly in: string[] },
): Promise<string[]> {
  const rows = await database.subjectKey.findMany({
    where: { splitAt: { not: null }, residentId, resident: { status: { not: 'erased' } } },
    orderBy: { residentId: 'asc' },
    select: { residentId: true },
    take: PAGE,
  });
  return rows.map(({ residentId: id }) => id);
}
