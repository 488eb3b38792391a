import type { Transaction } from '../prisma/database';
import { canonicalEntry, leafOf } from './entry';
import { loadPlaced, type Placed } from './export';
import { hashText, type Head } from './head';
import { headAbove, HeadInvalid, newestHead } from './heads';
import { grow, rootOf, type Frontier, type Hash, type NodeId } from './merkle';
import { monthOf, retirementOf, type Retired } from './retention';
import { JournalDamaged, keptNodes, keyOf, loadFrontier, treeSize } from './tree';

/** What of a signed head that is kept outside the database has to agree with. */
export type OutsideHead = Pick<Head, 'treeSize' | 'rootHash' | 'keyId'>;

export type DatabaseCheck =
  | {
      readonly ok: true;
      readonly head: Head;
      readonly from: number;
      readonly to: number;
      /** Entries that have a place and are not signed yet, and entries that have none yet. */
      readonly unsigned: number;
      readonly pending: number;
      /** Months whose entries went after their term, as far as they were met. */
      readonly retired: readonly Retired[];
    }
  | ({ readonly ok: false } & DatabaseFault);

export type DatabaseFault =
  | {
      readonly why: 'entry-changed' | 'entry-deleted' | 'entry-misdated';
      readonly position: number;
      readonly entrySeq: bigint;
    }
  | { readonly why: 'place-empty'; readonly position: number }
  /** The tree's own rows were rewritten: only the signed heads before and after say where. */
  | { readonly why: 'tree-rewritten'; readonly from: number; readonly to: number }
  /** The hash that is kept of these places taken together is not theirs: proofs and the next head rest on it. */
  | { readonly why: 'node-changed' | 'node-deleted'; readonly from: number; readonly to: number }
  | {
      readonly why: 'entry-not-in-tree' | 'entry-by-stranger' | 'entry-copied' | 'entry-deleted-unsealed';
      readonly entrySeq: bigint;
    }
  | { readonly why: 'head-invalid' | 'head-other-key' | 'head-deleted'; readonly treeSize: number }
  | { readonly why: 'behind-outside'; readonly treeSize: number }
  | { readonly why: 'no-head' };

const BATCH = 1_000;
/**
 * An entry has the time at which its transaction began, by the database's clock, and is placed once that has ended. More
 * than a week before the head that was signed before its place, or after the one that covers it, no clock is wrong.
 */
const MISDATED_MS = 7 * 86_400_000;

type Options = {
  readonly from?: number;
  readonly to?: number;
  readonly keyId?: string;
  readonly outside?: readonly OutsideHead[];
};

/**
 * Checks the rows of the database against what was signed: every entry of the range against the hash that it was sealed
 * with, these hashes and those of the subtrees against every signed head on the way, which says that they are what they
 * were, and each head against the one before it.
 *
 * @param options.from,to positions; widened to the signed heads around them. Without them everything is checked, also
 *   that no entry lies beside the tree
 * @param options.keyId when given, the only key whose signature counts
 * @param options.outside the heads that are kept outside
 */
export async function checkDatabase(tx: Transaction, options: Options = {}): Promise<DatabaseCheck> {
  const checked = await findFault(tx, options).catch((error: unknown): { fault: DatabaseFault } => {
    if (!(error instanceof Fault)) throw error;
    return { fault: error.fault };
  });
  return 'fault' in checked ? { ok: false, ...checked.fault } : { ok: true, ...checked };
}

/** Carries a fault out of the loops below. */
class Fault extends Error {
  readonly fault: DatabaseFault;
  constructor(fault: DatabaseFault) {
    super(fault.why);
    this.fault = fault;
  }
}

async function findFault(
  tx: Transaction,
  { from: wantedFrom, to: wantedTo, keyId, outside = [] }: Options,
): Promise<Omit<Extract<DatabaseCheck, { ok: true }>, 'ok'>> {
  const newest = await signedHead(newestHead(tx), keyId);
  for (const head of outside) {
    if (head.treeSize > (newest?.treeSize ?? 0)) throw new Fault({ why: 'behind-outside', treeSize: head.treeSize });
    assertKey(head, keyId);
  }
  if (!newest) throw new Fault({ why: 'no-head' });
  const start = await signedHead(newestHead(tx, wantedFrom ?? 0), keyId);
  const to = Math.min(wantedTo ?? newest.treeSize, newest.treeSize);
  const months = retiredMonths(tx, newest, keyId);
  const end = await checkRange(tx, { start, to, outside, months, ...(keyId !== undefined && { keyId }) });
  const isWhole = wantedFrom === undefined && wantedTo === undefined;
  if (isWhole) await checkBeside(tx);
  const pending = await tx.journalPending.count();
  return {
    head: newest,
    from: start?.treeSize ?? 0,
    to: end,
    unsigned: (await treeSize(tx)) - newest.treeSize,
    pending,
    retired: months.met(),
  };
}

/** @returns where it ended: at the first signed head at or above `to` */
async function checkRange(
  tx: Transaction,
  {
    start,
    to,
    outside,
    months,
    keyId,
  }: { start: Head | null; to: number; outside: readonly OutsideHead[]; months: RetiredMonths; keyId?: string },
): Promise<number> {
  const rootsOutside = rootsBySize(outside);
  let before = start;
  let frontier = await frontierAt(tx, start);
  let suspect: DatabaseFault | undefined;
  for (;;) {
    const good: number = before?.treeSize ?? 0;
    const next: Head | null = good < to ? await signedHead(headAbove(tx, good), keyId) : null;
    if (!next) return good;
    for (let position = good; position < next.treeSize; position += BATCH) {
      const completed: Completed[] = [];
      for (const placed of await loadPlaced(tx, position, Math.min(position + BATCH, next.treeSize))) {
        const fault = faultOf(placed) ?? misdated(placed, before, next);
        const isRetired = fault?.why === 'entry-deleted' && (await months.has(placed));
        if (!isRetired) suspect ??= fault;
        // An empty place can be no part of what was signed: nothing behind it can be told.
        if (!placed.leaf) throw new Fault(suspect ?? { why: 'place-empty', position: placed.position });
        const grown = grow(frontier, placed.leaf.hash);
        ({ frontier } = grown);
        completed.push(...grown.completed);
        const signed = frontier.size === next.treeSize ? [next.rootHash] : [];
        const isOther = [...signed, ...(rootsOutside.get(frontier.size) ?? [])].some(
          (root) => !root.equals(rootOf(frontier)),
        );
        if (isOther) throw new Fault({ why: 'tree-rewritten', from: good, to: next.treeSize });
      }
      suspect ??= await nodeFault(tx, completed);
    }
    // Up to here the hashes are what was signed, so that an entry that does not fit its own is the one that was changed.
    if (suspect) throw new Fault(suspect);
    assertFollows(next, before);
    before = next;
  }
}

function rootsBySize(heads: readonly OutsideHead[]): ReadonlyMap<number, readonly Hash[]> {
  const roots = new Map<number, Hash[]>();
  for (const { treeSize: size, rootHash } of heads) roots.set(size, [...(roots.get(size) ?? []), rootHash]);
  return roots;
}

type Completed = { readonly id: NodeId; readonly hash: Hash };

/** What is kept of the subtrees against what their leaves make. */
async function nodeFault(tx: Transaction, completed: readonly Completed[]): Promise<DatabaseFault | undefined> {
  const kept = await keptNodes(
    tx,
    completed.map(({ id }) => id),
  );
  const wrong = completed.find(({ id, hash }) => kept.get(keyOf(id))?.equals(hash) !== true);
  if (!wrong) return undefined;
  const { level, index } = wrong.id;
  const why = kept.has(keyOf(wrong.id)) ? 'node-changed' : 'node-deleted';
  return { why, from: index * 2 ** level, to: (index + 1) * 2 ** level };
}

/** A head says which one it extends: one between them that is no longer there was taken away. */
function assertFollows({ previous }: Head, before: Head | null): void {
  const isNext =
    previous?.treeSize === before?.treeSize && previous?.rootHash === (before ? hashText(before.rootHash) : undefined);
  if (!isNext) throw new Fault({ why: 'head-deleted', treeSize: previous?.treeSize ?? before?.treeSize ?? 0 });
}

type RetiredMonths = ReturnType<typeof retiredMonths>;

/** Asks once for each month whether its entries went rightly. */
function retiredMonths(tx: Transaction, newest: Head, keyId: string | undefined) {
  const asked = new Map<string, Promise<Retired | null>>();
  const met: Retired[] = [];
  async function ask(month: string): Promise<Retired | null> {
    const found = await retirementOf(tx, month, newest, (size) => signedHead(newestHead(tx, size), keyId));
    if (found) met.push(found);
    return found;
  }
  return {
    async has({ leaf }: Placed): Promise<boolean> {
      if (!leaf) return false;
      const month = monthOf(leaf.entryAt);
      const answer = asked.get(month) ?? ask(month);
      asked.set(month, answer);
      return (await answer) !== null;
    },
    met: (): readonly Retired[] => met,
  };
}

function faultOf({ position, leaf, entry }: Placed): DatabaseFault | undefined {
  if (!leaf) return { why: 'place-empty', position };
  const { entrySeq, hash } = leaf;
  if (!entry) return { why: 'entry-deleted', position, entrySeq };
  return leafOf(canonicalEntry(entry)).equals(hash) ? undefined : { why: 'entry-changed', position, entrySeq };
}

function misdated({ position, entry }: Placed, before: Head | null, next: Head): DatabaseFault | undefined {
  if (!entry) return undefined;
  const atMs = entry.at.getTime();
  const isEarly = before !== null && atMs < Date.parse(before.at) - MISDATED_MS;
  const isLate = atMs > Date.parse(next.at) + MISDATED_MS;
  return isEarly || isLate ? { why: 'entry-misdated', position, entrySeq: entry.seq } : undefined;
}

async function frontierAt(tx: Transaction, start: Head | null): Promise<Frontier> {
  const size = start?.treeSize ?? 0;
  const frontier = await loadFrontier(tx, size).catch((error: unknown) => {
    throw error instanceof JournalDamaged ? new Fault({ why: 'tree-rewritten', from: 0, to: size }) : error;
  });
  if (start && !rootOf(frontier).equals(start.rootHash)) throw new Fault({ why: 'tree-rewritten', from: 0, to: size });
  return frontier;
}

/**
 * What lies beside the tree: an entry that went round the sealer, that has a number which was given before, or that no
 * process of ours wrote; a copy of one that a process wrote; and one that was taken away before it came.
 */
async function checkBeside(tx: Transaction): Promise<void> {
  const [beside] = await tx.$queryRaw<{ seq: bigint; byStranger: boolean }[]>`
    SELECT e.seq, p.by_stranger IS TRUE AS "byStranger"
    FROM journal_entries e LEFT JOIN journal_pending p ON p.entry_seq = e.seq AND p.entry_at = e.at
    WHERE NOT EXISTS (SELECT 1 FROM journal_leaves l WHERE l.entry_seq = e.seq AND l.entry_at = e.at AND l.position >= 0)
      AND (p.entry_seq IS NULL OR p.by_stranger OR EXISTS (SELECT 1 FROM journal_leaves l WHERE l.entry_seq = e.seq))
    ORDER BY e.seq LIMIT 1`;
  if (beside) {
    const { seq: entrySeq, byStranger } = beside;
    throw new Fault({ why: byStranger ? 'entry-by-stranger' : 'entry-not-in-tree', entrySeq });
  }
  // No two entries have one code (journal/authenticity.ts): the later one is a copy.
  const [copied] = await tx.$queryRaw<{ seq: bigint }[]>`
    SELECT max(seq) AS seq FROM journal_entries WHERE mac IS NOT NULL GROUP BY mac HAVING count(*) > 1
    ORDER BY 1 LIMIT 1`;
  if (copied) throw new Fault({ why: 'entry-copied', entrySeq: copied.seq });
  const [taken] = await tx.$queryRaw<{ seq: bigint }[]>`
    SELECT p.entry_seq AS seq FROM journal_pending p
    WHERE NOT EXISTS (SELECT 1 FROM journal_entries e WHERE e.seq = p.entry_seq AND e.at = p.entry_at)
    ORDER BY 1 LIMIT 1`;
  if (taken) throw new Fault({ why: 'entry-deleted-unsealed', entrySeq: taken.seq });
}

/** @throws Fault when the head is not one, or of another key */
async function signedHead(found: Promise<Head | null>, keyId: string | undefined): Promise<Head | null> {
  const head = await found.catch((error: unknown) => {
    throw error instanceof HeadInvalid ? new Fault({ why: 'head-invalid', treeSize: error.treeSize }) : error;
  });
  if (head) assertKey(head, keyId);
  return head;
}

function assertKey(head: OutsideHead, keyId: string | undefined): void {
  if (keyId !== undefined && head.keyId !== keyId) throw new Fault({ why: 'head-other-key', treeSize: head.treeSize });
}
