import type { Database, Transaction } from '../prisma/database';
import { canonicalEntry, leafOf } from './entry';
import { completeNodes, grow, joinPeaks, type Frontier, type Hash, type NodeId, type Span } from './merkle';

/** The tree's own tables do not fit together: a row that has to be there is gone. */
export class JournalDamaged extends Error {
  override readonly name = 'JournalDamaged';
}

/** Held by whoever places entries, signs heads or hands them out: one at a time, in all processes together. */
const SEALER_LOCK = 0x6a6f_7572;
const SEALING_TIMEOUT_MS = 60_000;

/** Runs `work` as the only sealer. What an earlier sealer wrote is visible to it. */
export function asOnlySealer<T>(database: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return database.$transaction(
    async (tx) => {
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(${SEALER_LOCK})`;
      return work(tx);
    },
    { timeout: SEALING_TIMEOUT_MS, maxWait: SEALING_TIMEOUT_MS },
  );
}

/**
 * Gives the next entries that have no place yet one at the end of the tree. An entry whose transaction ends late is
 * simply placed later: its number says nothing about its place.
 *
 * @param most how many entries at most
 * @returns how many were placed
 */
export function placeEntries(database: Database, most: number): Promise<number> {
  return asOnlySealer(database, async (tx) => {
    const seqs = await unplaced(tx, most);
    if (seqs.length === 0) return 0;
    const entries = await tx.journalEntry.findMany({ where: { seq: { in: seqs } }, orderBy: { seq: 'asc' } });
    let frontier = await loadFrontier(tx);
    const leaves: { position: number; entrySeq: bigint; leafHash: Buffer<ArrayBuffer> }[] = [];
    const nodes: (NodeId & { hash: Buffer<ArrayBuffer> })[] = [];
    for (const entry of entries) {
      const leaf = leafOf(canonicalEntry(entry));
      leaves.push({ position: frontier.size, entrySeq: entry.seq, leafHash: Buffer.from(leaf) });
      const grown = grow(frontier, leaf);
      nodes.push(...grown.completed.map(({ id, hash }) => ({ ...id, hash: Buffer.from(hash) })));
      frontier = grown.frontier;
    }
    await tx.journalLeaf.createMany({ data: leaves });
    await tx.journalNode.createMany({ data: nodes });
    await tx.journalPending.deleteMany({ where: { entrySeq: { in: seqs } } });
    return entries.length;
  });
}

/** A number whose entry is gone stays where it is: it is what the check finds (journal/database-check.ts). */
async function unplaced(tx: Transaction, most: number): Promise<bigint[]> {
  const rows = await tx.$queryRaw<{ seq: bigint }[]>`
    SELECT e.seq FROM journal_pending p JOIN journal_entries e ON e.seq = p.entry_seq
    WHERE NOT EXISTS (SELECT 1 FROM journal_leaves l WHERE l.entry_seq = e.seq) ORDER BY e.seq LIMIT ${most}`;
  return rows.map(({ seq }) => seq);
}

export async function treeSize(tx: Transaction): Promise<number> {
  const last = await tx.journalLeaf.findFirst({ orderBy: { position: 'desc' }, select: { position: true } });
  return last === null ? 0 : Number(last.position) + 1;
}

/** The right edge of the tree as it was at `size`, or as it is. */
export async function loadFrontier(tx: Transaction, size?: number): Promise<Frontier> {
  const leaves = size ?? (await treeSize(tx));
  const peaks = completeNodes({ start: 0, end: leaves });
  const hashOf = await loadNodes(tx, peaks);
  return { size: leaves, peaks: peaks.map(hashOf) };
}

/** The hashes of nodes of the tree, from the complete subtrees that are kept. @throws JournalDamaged */
export async function loadSpans(tx: Transaction, spans: readonly Span[]): Promise<Hash[]> {
  const parts = spans.map(completeNodes);
  const hashOf = await loadNodes(tx, parts.flat());
  return parts.map((nodes) => joinPeaks(nodes.map(hashOf)));
}

const keyOf = ({ level, index }: NodeId): string => `${level.toString()}/${index.toString()}`;

async function loadNodes(tx: Transaction, ids: readonly NodeId[]): Promise<(id: NodeId) => Hash> {
  const positions = ids.filter(({ level }) => level === 0).map(({ index }) => BigInt(index));
  const inner = ids.filter(({ level }) => level > 0);
  const leaves = positions.length > 0 ? await tx.journalLeaf.findMany({ where: { position: { in: positions } } }) : [];
  const nodes = inner.length > 0 ? await findNodes(tx, inner) : [];
  const found = new Map<string, Hash>([
    ...leaves.map(({ position, leafHash }) => [`0/${position.toString()}`, Buffer.from(leafHash)] as const),
    ...nodes.map(({ level, index, hash }) => [keyOf({ level, index: Number(index) }), Buffer.from(hash)] as const),
  ]);
  return (id) => {
    const hash = found.get(keyOf(id));
    if (!hash) throw new JournalDamaged(`The tree's node ${keyOf(id)} is missing.`);
    return hash;
  };
}

/** As one join: Prisma would make a condition of each pair. */
function findNodes(
  tx: Transaction,
  ids: readonly NodeId[],
): Promise<{ level: number; index: bigint; hash: Uint8Array }[]> {
  const levels = ids.map(({ level }) => level);
  const indexes = ids.map(({ index }) => BigInt(index));
  return tx.$queryRaw`
    SELECT n.level, n.index, n.hash FROM journal_nodes n
    JOIN unnest(${levels}::smallint[], ${indexes}::bigint[]) AS wanted(level, index) USING (level, index)`;
}
