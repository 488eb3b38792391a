import type { Transaction } from '../prisma/database';
import { canonicalEntry, leafOf } from './entry';
import { hashText, type Head } from './head';
import { appendJournal } from './journal';

/**
 * How long an entry is kept (docs/retention.md): the act of an erasure and its extract may be asked for three years (order
 * 179), claims raised for three (Civil Code, article 196), and what is asked on the last day is still answered from here.
 * `drop_journal_month` in the database has the same term, and takes nothing that is younger.
 */
export const JOURNAL_KEPT_YEARS = 5;

/** A month by the calendar of UTC, as `2026-11`. */
export const monthOf = (at: Date): string => at.toISOString().slice(0, 7);
const firstDay = (month: string): string => `${month}-01`;

/** What the journal says of a month before its entries go: their number, the head under which all of them are, and a digest. */
export type MonthSummary = { readonly entries: number; readonly treeSize: number; readonly digest: string };

const KIND = 'journal-retention';
const reasonOf = ({ entries, treeSize, digest }: MonthSummary): string =>
  `${entries.toString()} ${treeSize.toString()} ${digest}`;

/** @returns `null` for an entry that announces nothing */
export function readAnnouncement(entry: {
  readonly kind?: unknown;
  readonly outcome?: unknown;
  readonly objectId?: unknown;
  readonly reason?: unknown;
}): (MonthSummary & { readonly month: string }) | null {
  if (entry.kind !== KIND || entry.outcome !== 'announced') return null;
  const [entries, treeSize, digest = ''] = String(entry.reason).split(' ');
  return { month: String(entry.objectId), entries: Number(entries), treeSize: Number(treeSize), digest };
}

/** Makes the months that are to come, as far as they are not there. @returns how many */
export async function makeMonths(tx: Transaction, now: Date, ahead = 3): Promise<number> {
  let made = 0;
  for (let index = 0; index <= ahead; index++) {
    const month = monthOf(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + index)));
    const [row] = await tx.$queryRaw<
      { isNew: boolean }[]
    >`SELECT make_journal_month(${firstDay(month)}::date) AS "isNew"`;
    if (row?.isNew === true) made++;
  }
  return made;
}

/** Whether entries lie in none of the months: nobody made theirs in time. */
export async function hasRest(tx: Transaction): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ found: boolean }[]>`SELECT journal_has_rest() AS found`;
  return row?.found === true;
}

/**
 * Lets the months go whose term is over. A month is announced first, and goes in a later turn, when the announcement is
 * under a signed head: so there is never a gap that no signed word explains.
 *
 * @returns how many went
 */
export async function retireMonths(tx: Transaction, now: Date): Promise<number> {
  const before = monthOf(new Date(Date.UTC(now.getUTCFullYear() - JOURNAL_KEPT_YEARS, now.getUTCMonth())));
  const months = await tx.$queryRaw<{ month: string }[]>`
    SELECT to_char(month, 'YYYY-MM') AS month FROM journal_months() AS month WHERE month < ${firstDay(before)}::date`;
  let gone = 0;
  for (const { month } of months) {
    const summary = await summaryOf(tx, month);
    // What is not wholly sealed stays: the check says why (journal/database-check.ts).
    if (summary === null) continue;
    const announced = await announcementOf(tx, month, summary);
    if (announced === null) {
      const entry = { integration: null, objectId: month, actor: 'housekeeping', outcome: 'announced' };
      await appendJournal(tx, { kind: KIND, ...entry, reason: reasonOf(summary) });
    } else if (announced.isSigned) {
      await tx.$executeRaw`SELECT drop_journal_month(${firstDay(month)}::date)`;
      gone++;
    }
  }
  return gone;
}

async function summaryOf(tx: Transaction, month: string): Promise<MonthSummary | null> {
  const [row] = await tx.$queryRaw<{ entries: bigint; treeSize: bigint; digest: string }[]>`
    SELECT entries, tree_size AS "treeSize", digest FROM journal_month_summary(${firstDay(month)}::date)`;
  return row ? { entries: Number(row.entries), treeSize: Number(row.treeSize), digest: row.digest } : null;
}

async function announcementOf(
  tx: Transaction,
  objectId: string,
  summary: MonthSummary,
): Promise<{ readonly isSigned: boolean } | null> {
  const entry = await tx.journalEntry.findFirst({
    where: { kind: KIND, objectId, outcome: 'announced', reason: reasonOf(summary) },
    orderBy: { seq: 'asc' },
  });
  if (!entry) return null;
  const leaf = await tx.journalLeaf.findUnique({ where: { entrySeq: entry.seq } });
  const last = await tx.journalHead.findFirst({ orderBy: { treeSize: 'desc' }, select: { treeSize: true } });
  return { isSigned: leaf !== null && leaf.position < (last?.treeSize ?? 0n) };
}

export type Retired = MonthSummary & { readonly month: string };

/**
 * What says that the entries of a month went after their term: the row, an announcement that says the same in an entry of
 * the signed tree, the leaves as it counted them, and five years between the head that signed the last of them and the
 * announcement. Nobody can make this up for younger entries who cannot sign heads of the past.
 *
 * @returns `null` when anything of that is missing
 */
export async function retirementOf(
  tx: Transaction,
  month: string,
  newest: Head,
  headOf: (mostEntries: number) => Promise<Head | null>,
): Promise<Retired | null> {
  const row = await tx.journalRetired.findUnique({ where: { month: new Date(firstDay(month)) } });
  if (!row) return null;
  const said = { entries: Number(row.entries), treeSize: Number(row.treeSize), digest: row.digest };
  const entry = await tx.journalEntry.findFirst({
    where: { kind: KIND, objectId: month, outcome: 'announced', reason: reasonOf(said) },
    orderBy: { seq: 'asc' },
  });
  const leaf = entry && (await tx.journalLeaf.findUnique({ where: { entrySeq: entry.seq } }));
  if (!entry || !leaf || leaf.position >= BigInt(newest.treeSize)) return null;
  if (hashText(leafOf(canonicalEntry(entry))) !== hashText(leaf.leafHash)) return null;
  const signed = await headOf(said.treeSize);
  if (signed?.treeSize !== said.treeSize || !isOver(new Date(signed.at), entry.at)) return null;
  const [found] = await tx.$queryRaw<{ entries: bigint; digest: string | null }[]>`
    SELECT count(*) AS entries,
      encode(sha256(string_agg(int8send(position) || leaf_hash, ''::bytea ORDER BY position)), 'hex') AS digest
    FROM journal_leaves
    WHERE entry_at >= journal_month_start(${firstDay(month)}::date) AND entry_at < journal_month_end(${firstDay(month)}::date)`;
  return Number(found?.entries) === said.entries && found?.digest === said.digest ? { month, ...said } : null;
}

/** Whether the term of what was signed then was over. A day less: months and years are counted by the database. */
export function isOver(signedAt: Date, announcedAt: Date): boolean {
  const over = new Date(signedAt);
  over.setUTCFullYear(over.getUTCFullYear() + JOURNAL_KEPT_YEARS);
  return announcedAt.getTime() >= over.getTime() - 86_400_000;
}
