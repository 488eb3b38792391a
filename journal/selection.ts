import { z } from 'zod';
import { sql, type Transaction } from '../prisma/database';
import { canonicalEntry, canonicalMembers, ENTRY_AS_JSON, entryOfJson, leafOf, type EntryJson } from './entry';
import { checkHead, hashOfText, HashText, hashText, type Head } from './head';
import { inclusionSpans, verifyInclusion } from './merkle';
import { loadSpans } from './tree';

/**
 * A part of the journal as JSON lines: a header that says which, entries with the proof that each is in the signed
 * journal, and the head. Who has it can check that nothing in it was changed or made up. That nothing was left out only
 * the whole export can show (journal/export-lines.ts).
 */
export const SELECTION_FORMAT = 'domovoy-journal-selection/1';

/** What an entry has to be: all that is said. Times are of the entry, `to` exclusive. */
export const Filter = z.strictObject({
  integration: z.string().optional(),
  kind: z.string().optional(),
  /** Who caused it: a client, `staff/` and a member's id, or a process. Partners are known by their client's id. */
  actor: z.string().optional(),
  object: z.string().optional(),
  /** The pseudonym of a person in the journal (journal/subjects.ts). */
  subject: z.string().optional(),
  from: z.iso.datetime({ offset: true }).optional(),
  to: z.iso.datetime({ offset: true }).optional(),
});
export type Filter = z.infer<typeof Filter>;

const SelectionHeader = z.strictObject({ format: z.literal(SELECTION_FORMAT), filter: Filter });
const SelectedLine = z.strictObject({
  position: z.int().nonnegative(),
  entry: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
  path: z.array(HashText),
});

const BATCH = 500;

/** The entries up to `head` that the filter takes, line by line, in the order of the tree. */
export async function* exportSelection(tx: Transaction, head: Head, filter: Filter): AsyncGenerator<string> {
  yield JSON.stringify({ format: SELECTION_FORMAT, filter });
  const { treeSize } = head;
  for (let after = -1; ;) {
    const found = await select(tx, filter, after, treeSize);
    if (found.length === 0) break;
    const spans = found.map(({ position }) => inclusionSpans(position, treeSize));
    const hashes = await loadSpans(tx, spans.flat());
    let taken = 0;
    for (const [index, { position, entry }] of found.entries()) {
      const path = hashes.slice(taken, (taken += spans[index]?.length ?? 0)).map(hashText);
      yield `{"position":${position.toString()},"entry":${canonicalEntry(entryOfJson(entry))},"path":${JSON.stringify(path)}}`;
      after = position;
    }
  }
  yield JSON.stringify({ head: head.document });
}

async function select(
  tx: Transaction,
  filter: Filter,
  after: number,
  treeSize: number,
): Promise<{ position: number; entry: EntryJson }[]> {
  const {
    integration = null,
    kind = null,
    actor = null,
    object = null,
    subject = null,
    from = null,
    to = null,
  } = filter;
  const isWanted = sql`(${integration}::text IS NULL OR j.integration = ${integration})
    AND (${kind}::text IS NULL OR j.kind = ${kind}) AND (${actor}::text IS NULL OR j.actor = ${actor})
    AND (${object}::text IS NULL OR j.object_id = ${object}) AND (${subject}::text IS NULL OR j.subject = ${subject})
    AND (${from}::timestamptz IS NULL OR j.at >= ${from}::timestamptz)
    AND (${to}::timestamptz IS NULL OR j.at < ${to}::timestamptz)`;
  const [found] = await tx.$queryRaw<{ entries: string | null }[]>`
    SELECT json_agg(json_build_object('position', f.position, 'entry', f.entry) ORDER BY f.position)::text AS entries FROM (
      SELECT l.position, ${ENTRY_AS_JSON} AS entry
      FROM journal_leaves l JOIN journal_entries j ON j.seq = l.entry_seq AND j.at = l.entry_at
      WHERE l.position > ${after} AND l.position < ${treeSize} AND ${isWanted}
      ORDER BY l.position LIMIT ${BATCH}
    ) f`;
  return JSON.parse(found?.entries ?? '[]') as { position: number; entry: EntryJson }[];
}

export type SelectionCheck =
  | { readonly ok: true; readonly head: Head; readonly filter: Filter; readonly count: number }
  | { readonly ok: false; readonly line: number };

/** Whether a file says of itself that it is a selection. */
export const isSelection = (firstLine: string): boolean => SelectionHeader.safeParse(jsonOf(firstLine)).success;

/**
 * Checks a selection offline. Every line counts: one that is no entry of the signed journal, does not lie behind the one
 * before or is not of the filter makes the file wrong.
 *
 * @param pieces what lies between the file's line feeds, anew at each call
 */
export async function checkSelection(pieces: () => AsyncIterable<string>): Promise<SelectionCheck> {
  let [lines, last, rest] = [-1, '', ''];
  for await (const piece of pieces()) [lines, last, rest] = [lines + 1, rest, piece];
  const document = z.strictObject({ head: z.unknown() }).safeParse(jsonOf(last));
  const head = document.success ? checkHead(document.data.head) : null;
  if (rest !== '' || head?.ok !== true) return { ok: false, line: Math.max(lines, 1) };
  let line = 0;
  let before = -1;
  let filter: Filter = {};
  for await (const text of pieces()) {
    line++;
    if (line === lines) break;
    if (line === 1) {
      const header = SelectionHeader.safeParse(jsonOf(text));
      if (!header.success) return { ok: false, line };
      ({ filter } = header.data);
    } else {
      const position = provenPosition(text, head.head, filter);
      if (position === null || position <= before) return { ok: false, line };
      before = position;
    }
  }
  return { ok: true, head: head.head, filter, count: lines - 2 };
}

function provenPosition(text: string, { treeSize: size, rootHash: root }: Head, filter: Filter): number | null {
  const parsed = SelectedLine.safeParse(jsonOf(text));
  if (!parsed.success || JSON.stringify(parsed.data) !== text) return null;
  const { position, entry, path } = parsed.data;
  const leaf = { position, hash: leafOf(canonicalMembers(entry)) };
  return isOf(entry, filter) && verifyInclusion(leaf, { size, root }, path.map(hashOfText)) ? position : null;
}

function isOf(entry: Readonly<Record<string, string | number | null>>, { object, from, to, ...same }: Filter): boolean {
  const wanted = { ...same, ...(object !== undefined && { objectId: object }) };
  const atMs = Date.parse(String(entry['at']));
  const isInTime = (from === undefined || atMs >= Date.parse(from)) && (to === undefined || atMs < Date.parse(to));
  return isInTime && Object.entries(wanted).every(([name, value]) => entry[name] === value);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
