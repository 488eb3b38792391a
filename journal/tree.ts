import type { Database, Transaction } from '../prisma/database';
import type { JournalEntry } from '../prisma/generated/client';
import { canonicalEntry, ENTRY_AS_JSON, entryOfJson, leafOf, type EntryJson } from './entry';
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
 * @param isAuthentic whether a process of ours wrote an entry: one that is not gets no place
 * @returns how many were placed
 */
export function placeEntries(database: Database, most: number, isAuthentic: IsAuthentic = () => true): Promise<number> {
  return asOnlySealer(database, async (tx) => {
    const waiting = await unplaced(tx, most);
    const entries = waiting.filter(isAuthentic);
    if (entries.length < waiting.length)
      await refuse(
        tx,
        waiting.filter((entry) => !isAuthentic(entry)),
      );
    if (entries.length === 0) return 0;
    let frontier = await loadFrontier(tx);
    const first = frontier.size;
    const leaves: Hash[] = [];
    const nodes: (NodeId & { hash: Hash })[] = [];
    for (const entry of entries) {
      const leaf = leafOf(canonicalEntry(entry));
      leaves.push(leaf);
      const grown = grow(frontier, leaf);
      nodes.push(...grown.completed.map(({ id, hash }) => ({ ...id, hash })));
      frontier = grown.frontier;
    }
    const seqs = entries.map(({ seq }) => seq);
    const positions = leaves.map((_, index) => BigInt(first + index));
    const times = entries.map(({ at }) => at.toISOString());
    await tx.$executeRaw`INSERT INTO journal_leaves (position, entry_seq, leaf_hash, entry_at)
      SELECT * FROM unnest(${positions}::bigint[], ${seqs}::bigint[], ${bytesOf(leaves)}::bytea[], ${times}::timestamptz[])`;
    const levels = nodes.map(({ level }) => level);
    const indexes = nodes.map(({ index }) => BigInt(index));
    await tx.$executeRaw`INSERT INTO journal_nodes (level, index, hash)
      SELECT * FROM unnest(${levels}::smallint[], ${indexes}::bigint[], ${bytesOf(nodes.map(({ hash }) => hash))}::bytea[])`;
    await tx.$executeRaw`DELETE FROM journal_pending WHERE entry_seq = ANY(${seqs}::bigint[])`;
    return entries.length;
  });
}

export type IsAuthentic = (entry: JournalEntry) => boolean;

async function refuse(tx: Transaction, entries: readonly JournalEntry[]): Promise<void> {
  const seqs = entries.map(({ seq }) => seq);
  await tx.$executeRaw`UPDATE journal_pending SET by_stranger = true WHERE entry_seq = ANY(${seqs}::bigint[])`;
}

/** As PostgreSQL writes bytes in an array: arrays of buffers are no parameters. */
const bytesOf = (hashes: readonly Hash[]): string[] => hashes.map((hash) => `\\x${hash.toString('hex')}`);

/**
 * A number whose entry is gone stays where it is, and so does one that was given before or by a stranger (docs/adr/0086):
 * it is what the check finds (journal/database-check.ts). Written so that each number is looked up by itself: whichever
 * way the planner goes, what it costs is a matter of how many wait, not of how many there are.
 */
async function unplaced(tx: Transaction, most: number): Promise<JournalEntry[]> {
  const [found] = await tx.$queryRaw<{ entries: string | null }[]>`
    SELECT json_agg(waiting.entry)::text AS entries FROM (
      SELECT e.entry FROM journal_pending p
      CROSS JOIN LATERAL (SELECT ${ENTRY_AS_JSON} AS entry FROM journal_entries j
        WHERE j.seq = p.entry_seq AND j.at = p.entry_at OFFSET 0) e
      WHERE NOT p.by_stranger AND (SELECT l.position FROM journal_leaves l WHERE l.entry_seq = p.entry_seq) IS NULL
      ORDER BY p.entry_seq LIMIT ${most}
    ) waiting`;
  return (JSON.parse(found?.entries ?? '[]') as EntryJson[]).map(entryOfJson);
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

export const keyOf = ({ level, index }: NodeId): string => `${level.toString()}/${index.toString()}`;

async function loadNodes(tx: Transaction, ids: readonly NodeId[]): Promise<(id: NodeId) => Hash> {
  const positions = ids.filter(({ level }) => level === 0).map(({ index }) => BigInt(index));
  const inner = ids.filter(({ level }) => level > 0);
  const leaves = positions.length > 0 ? await tx.journalLeaf.findMany({ where: { position: { in: positions } } }) : [];
  const found = new Map<string, Hash>([
    ...leaves.map(({ position, leafHash }) => [`0/${position.toString()}`, Buffer.from(leafHash)] as const),
    ...(await keptNodes(tx, inner)),
  ]);
  return (id) => {
    const hash = found.get(keyOf(id));
    if (!hash) throw new JournalDamaged(`The tree's node ${keyOf(id)} is missing.`);
    return hash;
  };
}

/** The complete subtrees of two leaves and more as they are kept, by {@link keyOf}. */
export async function keptNodes(tx: Transaction, ids: readonly NodeId[]): Promise<ReadonlyMap<string, Hash>> {
  const nodes = ids.length > 0 ? await findNodes(tx, ids) : [];
  return new Map(
    nodes.map(({ level, index, hash }) => [keyOf({ level, index: Number(index) }), Buffer.from(hash)] as const),
  );
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
