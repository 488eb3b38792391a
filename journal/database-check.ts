import type { Transaction } from '../prisma/database';
import { canonicalEntry, leafOf } from './entry';
import { loadPlaced, type Placed } from './export';
import type { Head } from './head';
import { headAbove, HeadInvalid, newestHead } from './heads';
import { grow, rootOf, type Frontier } from './merkle';
import { monthOf, retirementOf, type Retired } from './retention';
import { JournalDamaged, loadFrontier, treeSize } from './tree';

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
  | { readonly why: 'entry-changed' | 'entry-deleted'; readonly position: number; readonly entrySeq: bigint }
  | { readonly why: 'place-empty'; readonly position: number }
  /** The tree's own rows were rewritten: only the signed heads before and after say where. */
  | { readonly why: 'tree-rewritten'; readonly from: number; readonly to: number }
  | { readonly why: 'entry-not-in-tree' | 'entry-deleted-unsealed'; readonly entrySeq: bigint }
  | { readonly why: 'head-invalid' | 'head-other-key'; readonly treeSize: number }
  | { readonly why: 'behind-outside'; readonly treeSize: number }
  | { readonly why: 'no-head' };

const BATCH = 1_000;

/**
 * Checks the rows of the database against what was signed: every entry of the range against the hash that it was sealed
 * with, and these hashes against every signed head on the way, which says that they are what they were.
 *
 * @param options.from,to positions; widened to the signed heads around them. Without them everything is checked, also
 *   that no entry lies beside the tree
 * @param options.keyId when given, the only key whose signature counts
 * @param options.outside the newest head that is kept outside
 */
export async function checkDatabase(
  tx: Transaction,
  options: { from?: number; to?: number; keyId?: string; outside?: Head | null } = {},
): Promise<DatabaseCheck> {
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
  options: { from?: number; to?: number; keyId?: string; outside?: Head | null },
): Promise<Omit<Extract<DatabaseCheck, { ok: true }>, 'ok'>> {
  const { keyId, outside } = options;
  const newest = await signedHead(newestHead(tx), keyId);
  if (outside && outside.treeSize > (newest?.treeSize ?? 0)) {
    throw new Fault({ why: 'behind-outside', treeSize: outside.treeSize });
  }
  if (!newest) throw new Fault({ why: 'no-head' });
  const start = await signedHead(newestHead(tx, options.from ?? 0), keyId);
  const to = Math.min(options.to ?? newest.treeSize, newest.treeSize);
  const from = start?.treeSize ?? 0;
  const checkpoints = outside ? [outside] : [];
  const months = retiredMonths(tx, newest, keyId);
  const end = await checkRange(tx, { start, to, checkpoints, months, ...(keyId !== undefined && { keyId }) });
  const isWhole = options.from === undefined && options.to === undefined;
  if (isWhole) await checkBeside(tx);
  const pending = await tx.journalPending.count();
  return {
    head: newest,
    from,
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
    checkpoints,
    months,
    keyId,
  }: { start: Head | null; to: number; checkpoints: readonly Head[]; months: RetiredMonths; keyId?: string },
): Promise<number> {
  let good = start?.treeSize ?? 0;
  let frontier = await frontierAt(tx, start);
  let suspect: DatabaseFault | undefined;
  while (good < to) {
    const next = await signedHead(headAbove(tx, good), keyId);
    if (!next) break;
    const signed = [next, ...checkpoints.filter((head) => head.treeSize > good && head.treeSize <= next.treeSize)];
    for (let position = good; position < next.treeSize; position += BATCH) {
      for (const placed of await loadPlaced(tx, position, Math.min(position + BATCH, next.treeSize))) {
        const fault = faultOf(placed);
        const isRetired = fault?.why === 'entry-deleted' && (await months.has(placed));
        if (!isRetired) suspect ??= fault;
        // An empty place can be no part of what was signed: nothing behind it can be told.
        if (!placed.leaf) throw new Fault(suspect ?? { why: 'place-empty', position: placed.position });
        frontier = grow(frontier, placed.leaf.hash).frontier;
        const isOther = signed.some(
          ({ treeSize: size, rootHash }) => size === frontier.size && !rootHash.equals(rootOf(frontier)),
        );
        if (isOther) throw new Fault({ why: 'tree-rewritten', from: good, to: next.treeSize });
      }
    }
    // Up to here the hashes are what was signed, so that an entry that does not fit its own is the one that was changed.
    if (suspect) throw new Fault(suspect);
    good = next.treeSize;
  }
  return good;
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

async function frontierAt(tx: Transaction, start: Head | null): Promise<Frontier> {
  const size = start?.treeSize ?? 0;
  const frontier = await loadFrontier(tx, size).catch((error: unknown) => {
    throw error instanceof JournalDamaged ? new Fault({ why: 'tree-rewritten', from: 0, to: size }) : error;
  });
  if (start && !rootOf(frontier).equals(start.rootHash)) throw new Fault({ why: 'tree-rewritten', from: 0, to: size });
  return frontier;
}

/** What lies beside the tree: an entry that went round the sealer, and one that was taken away before it came. */
async function checkBeside(tx: Transaction): Promise<void> {
  const [beside] = await tx.$queryRaw<{ seq: bigint }[]>`
    SELECT e.seq FROM journal_entries e
    WHERE NOT EXISTS (SELECT 1 FROM journal_leaves l WHERE l.entry_seq = e.seq AND l.entry_at = e.at AND l.position >= 0)
      AND NOT EXISTS (SELECT 1 FROM journal_pending p WHERE p.entry_seq = e.seq)
    ORDER BY e.seq LIMIT 1`;
  if (beside) throw new Fault({ why: 'entry-not-in-tree', entrySeq: beside.seq });
  const [taken] = await tx.$queryRaw<{ seq: bigint }[]>`
    SELECT p.entry_seq AS seq FROM journal_pending p
    WHERE NOT EXISTS (SELECT 1 FROM journal_entries e WHERE e.seq = p.entry_seq) ORDER BY 1 LIMIT 1`;
  if (taken) throw new Fault({ why: 'entry-deleted-unsealed', entrySeq: taken.seq });
}

/** @throws Fault when the head is not one, or of another key */
async function signedHead(found: Promise<Head | null>, keyId: string | undefined): Promise<Head | null> {
  const head = await found.catch((error: unknown) => {
    throw error instanceof HeadInvalid ? new Fault({ why: 'head-invalid', treeSize: error.treeSize }) : error;
  });
  if (head && keyId !== undefined && head.keyId !== keyId) {
    throw new Fault({ why: 'head-other-key', treeSize: head.treeSize });
  }
  return head;
}
