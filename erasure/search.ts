import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { SearchResult } from '../contracts/erasure';
import type { Database, Transaction } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { readLogSegment, SEGMENT_SUFFIX, SegmentBroken } from '../vault/log-segments';

/** What is searched for: hexadecimal digits and hyphens, in lower case. */
export const Identifiers = z.object({
  residentId: z.string(),
  tokens: z.array(z.string()),
  plates: z.array(z.string()),
});
export type Identifiers = z.infer<typeof Identifiers>;

/** Where an identifier may stay, and why (docs/retention.md). The search itself lives in `erasures`. */
export const RETAINED: Readonly<Record<string, string>> = {
  'residents.id': 'the register of owners: an opaque id, status erased',
  'property_rights.resident_id': 'the register of owners',
  'property_sale_rights.resident_id': 'the register of owners: by which sale a right ended',
  'property_sales.seller_ids': 'the register of owners: who sold',
  'property_sales.buyer_ids': 'the register of owners: who bought',
  'erasures.resident_id': 'proof of the erasure, 3 years',
  'erasures.identifiers': 'what is searched for, until the search is clean',
  'erasure_holders.token': 'to ask holders once more, until they have answered',
};

/**
 * Looks for the person in every store that can be read: every column of every table, and files on disk. What is sealed
 * is dark, because its key is gone; executions are looked for where they are removed, and the key store is asked for the
 * person themselves.
 */
export async function searchStores(
  database: Database,
  identifiers: Identifiers,
  folders: readonly string[],
  keyEncryption: KeyEncryption,
): Promise<SearchResult> {
  const needles = [identifiers.residentId, ...identifiers.tokens, ...(await ownPlates(database, identifiers))];
  const columns = await database.$queryRaw<{ place: string; hits: bigint }[]>`
    SELECT place, hits FROM find_identifiers(${needles}::text[])`;
  const files = await Promise.all(folders.map((folder) => filesHolding(folder, needles, keyEncryption)));
  const unreadable = files.reduce((sum, each) => sum + each.unreadable, 0);
  const places = [
    ...columns.map(({ place, hits }) => ({ place, hits: Number(hits) })),
    ...files.map(({ holding }) => ({ place: 'files', hits: holding })),
    // What does not open may hold anything: nothing is certified over it, and a person sees where it stands.
    ...(unreadable > 0 ? [{ place: 'files-unreadable', hits: unreadable }] : []),
  ];
  return {
    searchedAt: new Date().toISOString(),
    places: places.length,
    found: places.filter(({ place, hits }) => hits > 0 && !Object.hasOwn(RETAINED, place)),
  };
}

/** The search of the stores together with what the key store has of the person. */
export function withKeyStore(stores: SearchResult, hasShare: boolean): SearchResult {
  const found = hasShare ? [{ place: 'key-store', hits: 1 }] : [];
  return { ...stores, places: stores.places + 1, found: [...stores.found, ...found] };
}

/** Ids of executions, by where they name what was looked for, and how many histories nobody could look into. */
export type NamingExecutions = {
  readonly visibility: readonly string[];
  readonly histories: readonly string[];
  /** Do not open. */
  readonly unreadable: number;
  /** Are not read yet: they are more than one search reads, and the next one goes on with them. */
  readonly unread: number;
};

/** The search of the stores together with that of executions. What was not looked into may hold anything, as with files. */
export function withExecutions(stores: SearchResult, named: NamingExecutions): SearchResult {
  const { visibility, histories, unreadable, unread } = named;
  const places = [
    { place: 'temporal-visibility', hits: visibility.length },
    { place: 'temporal-histories', hits: histories.length },
  ];
  const dark = [
    { place: 'temporal-unreadable', hits: unreadable },
    { place: 'temporal-unread', hits: unread },
  ];
  return {
    ...stores,
    places: stores.places + places.length,
    found: [...stores.found, ...[...places, ...dark].filter(({ hits }) => hits > 0)],
  };
}

/** A plate that somebody else of the family has registered is theirs, too. */
async function ownPlates(tx: Transaction, { residentId, plates }: Identifiers): Promise<string[]> {
  const shared = await tx.vehicle.findMany({
    where: { plateIndex: { in: plates.map((hex) => Buffer.from(hex, 'hex')) }, residentId: { not: residentId } },
    select: { plateIndex: true },
  });
  const others = new Set(shared.map(({ plateIndex }) => Buffer.from(plateIndex ?? []).toString('hex')));
  return plates.filter((plate) => !others.has(plate));
}

/** @returns how many files of the folder, those of its folders included, hold one of them or are no segment that opens */
async function filesHolding(
  folder: string,
  needles: readonly string[],
  keyEncryption: KeyEncryption,
): Promise<{ readonly holding: number; readonly unreadable: number }> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  let [holding, unreadable] = [0, 0];
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    try {
      if (await fileHolds(join(entry.parentPath, entry.name), needles, keyEncryption)) holding++;
    } catch (error) {
      if (!(error instanceof SegmentBroken)) throw error;
      unreadable++;
    }
  }
  return { holding, unreadable };
}

/** A segment whose term ended while the folder was being read is gone, and holds nobody. */
async function fileHolds(file: string, needles: readonly string[], keyEncryption: KeyEncryption): Promise<boolean> {
  try {
    return await holds(textOf(file, keyEncryption), needles);
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === 'ENOENT') return false;
    throw error;
  }
}

/** Logs that rest encrypted are searched as they read. @throws SegmentBroken in the reading of one that does not open */
const textOf = (file: string, keyEncryption: KeyEncryption): AsyncIterable<string> =>
  file.endsWith(SEGMENT_SUFFIX)
    ? readLogSegment(file, keyEncryption)
    : (createReadStream(file, { encoding: 'latin1' }) as AsyncIterable<string>);

async function holds(pieces: AsyncIterable<string>, needles: readonly string[]): Promise<boolean> {
  const overlap = Math.max(...needles.map(({ length }) => length));
  let rest = '';
  for await (const chunk of pieces) {
    const text = rest + chunk.toLowerCase();
    if (needles.some((needle) => text.includes(needle))) return true;
    rest = text.slice(-overlap);
  }
  return false;
}
