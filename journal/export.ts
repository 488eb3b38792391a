import type { Transaction } from '../prisma/database';
import type { JournalEntry } from '../prisma/generated/client';
import { ENTRY_AS_JSON, entryOfJson, type EntryJson } from './entry';
import { entryLine, headerLine, headLine, retiredLine } from './export-lines';
import type { Head } from './head';
import { rightSpansAt, type Hash } from './merkle';
import { monthOf } from './retention';
import { JournalDamaged, loadSpans } from './tree';

/** A power of two: the nodes of a batch then begin and end with it. */
const BATCH = 1_024;

/**
 * The journal as far as `head` goes, line by line (journal/export-lines.ts).
 *
 * @throws JournalDamaged when a row is missing: what is left of such a journal is found by the check, not exported
 */
export async function* exportJournal(tx: Transaction, head: Head): AsyncGenerator<string> {
  const { treeSize } = head;
  const retired = new Set((await tx.journalRetired.findMany()).map(({ month }) => monthOf(month)));
  yield headerLine(treeSize);
  for (let start = 0; start < treeSize; start += BATCH) {
    const end = Math.min(start + BATCH, treeSize);
    const rightHalves = await loadRightHalves(tx, start, end, treeSize);
    for (const { position, leaf, entry } of await loadPlaced(tx, start, end)) {
      const right = rightHalves[position - start] ?? [];
      const month = leaf && monthOf(leaf.entryAt);
      if (entry) yield entryLine(position, entry, right);
      else if (leaf && month !== null && retired.has(month)) yield retiredLine(position, month, leaf.hash, right);
      else throw new JournalDamaged(`The entry at position ${position.toString()} is gone.`);
    }
  }
  yield headLine(head);
}

async function loadRightHalves(tx: Transaction, start: number, end: number, treeSize: number): Promise<Hash[][]> {
  const spans = Array.from({ length: end - start }, (_, index) => rightSpansAt(start + index, treeSize));
  const hashes = await loadSpans(tx, spans.flat());
  let taken = 0;
  return spans.map(({ length }) => hashes.slice(taken, (taken += length)));
}

export type Placed = {
  readonly position: number;
  /** What the tree's own row says of it; `null` when that is missing. */
  readonly leaf: { readonly entrySeq: bigint; readonly entryAt: Date; readonly hash: Hash } | null;
  readonly entry: JournalEntry | null;
};

type PlacedJson = {
  readonly position: number;
  readonly entrySeq: string;
  readonly entryAtMs: number;
  readonly leafHash: string;
  readonly entry: EntryJson | null;
};

/** The places `start` to `end - 1` with what lies there, also where something is missing. */
export async function loadPlaced(tx: Transaction, start: number, end: number): Promise<Placed[]> {
  const [found] = await tx.$queryRaw<{ places: string | null }[]>`
    SELECT json_agg(json_build_object('position', l.position, 'entrySeq', l.entry_seq::text,
      'entryAtMs', (extract(epoch FROM l.entry_at) * 1000)::bigint,
      'leafHash', encode(l.leaf_hash, 'hex'), 'entry', CASE WHEN j.seq IS NOT NULL THEN ${ENTRY_AS_JSON} END))::text AS places
    FROM journal_leaves l LEFT JOIN journal_entries j ON j.seq = l.entry_seq AND j.at = l.entry_at
    WHERE l.position >= ${start} AND l.position < ${end}`;
  const rows = JSON.parse(found?.places ?? '[]') as PlacedJson[];
  const moved = await entriesElsewhere(tx, rows);
  const rowAt = new Map(rows.map((row) => [row.position, row]));
  return Array.from({ length: end - start }, (_, index) => {
    const position = start + index;
    const row = rowAt.get(position);
    if (!row) return { position, leaf: null, entry: null };
    const leaf = { entrySeq: BigInt(row.entrySeq), hash: Buffer.from(row.leafHash, 'hex') };
    const entry = row.entry ?? moved.get(row.entrySeq);
    return { position, leaf: { ...leaf, entryAt: new Date(row.entryAtMs) }, entry: entry ? entryOfJson(entry) : null };
  });
}

/** Entries that are not where their leaf says, by number: their time was changed. Rare, so that every month is searched. */
async function entriesElsewhere(tx: Transaction, rows: readonly PlacedJson[]): Promise<ReadonlyMap<string, EntryJson>> {
  const seqs = rows.filter(({ entry }) => entry === null).map(({ entrySeq }) => BigInt(entrySeq));
  if (seqs.length === 0) return new Map();
  const [found] = await tx.$queryRaw<{ entries: string | null }[]>`
    SELECT json_agg(${ENTRY_AS_JSON})::text AS entries FROM journal_entries j WHERE j.seq = ANY(${seqs}::bigint[])`;
  return new Map((JSON.parse(found?.entries ?? '[]') as EntryJson[]).map((entry) => [entry.seq, entry]));
}
