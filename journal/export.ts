import type { Transaction } from '../prisma/database';
import type { JournalEntry } from '../prisma/generated/client';
import { ENTRY_AS_JSON, entryOfJson, type EntryJson } from './entry';
import { entryLine, headerLine, headLine } from './export-lines';
import type { Head } from './head';
import { rightSpansAt, type Hash } from './merkle';
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
  yield headerLine(treeSize);
  for (let start = 0; start < treeSize; start += BATCH) {
    const end = Math.min(start + BATCH, treeSize);
    const rightHalves = await loadRightHalves(tx, start, end, treeSize);
    for (const { position, entry } of await loadPlaced(tx, start, end)) {
      if (entry === null) throw new JournalDamaged(`The entry at position ${position.toString()} is gone.`);
      yield entryLine(position, entry, rightHalves[position - start] ?? []);
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
  readonly leaf: { readonly entrySeq: bigint; readonly hash: Hash } | null;
  readonly entry: JournalEntry | null;
};

type PlacedJson = {
  readonly position: number;
  readonly entrySeq: string;
  readonly leafHash: string;
  readonly entry: EntryJson | null;
};

/** The places `start` to `end - 1` with what lies there, also where something is missing. */
export async function loadPlaced(tx: Transaction, start: number, end: number): Promise<Placed[]> {
  const [found] = await tx.$queryRaw<{ places: string | null }[]>`
    SELECT json_agg(json_build_object('position', l.position, 'entrySeq', l.entry_seq::text,
      'leafHash', encode(l.leaf_hash, 'hex'), 'entry', CASE WHEN j.seq IS NOT NULL THEN ${ENTRY_AS_JSON} END))::text AS places
    FROM journal_leaves l LEFT JOIN journal_entries j ON j.seq = l.entry_seq
    WHERE l.position >= ${start} AND l.position < ${end}`;
  const rows = JSON.parse(found?.places ?? '[]') as PlacedJson[];
  const rowAt = new Map(rows.map((row) => [row.position, row]));
  return Array.from({ length: end - start }, (_, index) => {
    const position = start + index;
    const row = rowAt.get(position);
    if (!row) return { position, leaf: null, entry: null };
    const leaf = { entrySeq: BigInt(row.entrySeq), hash: Buffer.from(row.leafHash, 'hex') };
    return { position, leaf, entry: row.entry && entryOfJson(row.entry) };
  });
}
