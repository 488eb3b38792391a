import { createHash, type Hash as Digest } from 'node:crypto';
import { z } from 'zod';
import { canonicalEntry, leafOf } from './entry';
import { checkHead, hashOfText, HashText, hashText, type Head } from './head';
import { nodeHash, rightSpansAt, type Hash } from './merkle';
import { readAnnouncement, type Retired } from './retention';

/**
 * A journal as a file of JSON lines: a header, the entries in the order of the tree, and last the signed head.
 *
 * So that a reader can name the first line that was changed, each entry's line carries, besides the entry, the right
 * halves of the nodes that begin with it (one hash a line on the average). The head says what the root is; the first
 * line must lead to it, and thereby vouches for the right halves it brings; each of these is what a later line must
 * lead to. So a line is wrong exactly when it does not lead to what an earlier, right one vouched for, whatever else
 * in the file was made to fit.
 */
export const FORMAT = 'domovoy-journal/1';

/** The members in this order and no others: a line is also wrong when it is only written differently. */
const EntryLine = z.strictObject({
  position: z.int().nonnegative(),
  entry: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
  right: z.array(HashText),
});

const RetiredLine = z.strictObject({
  position: z.int().nonnegative(),
  retired: z.string(),
  leaf: HashText,
  right: z.array(HashText),
});

export const headerLine = (treeSize: number): string => JSON.stringify({ format: FORMAT, treeSize });

export const entryLine = (
  position: number,
  row: Parameters<typeof canonicalEntry>[0],
  right: readonly Hash[],
): string =>
  `{"position":${position.toString()},"entry":${canonicalEntry(row)},"right":${JSON.stringify(right.map(hashText))}}`;

/** Of an entry that went after its term its hash is left, which is all that the tree needs (journal/retention.ts). */
export const retiredLine = (position: number, month: string, leaf: Hash, right: readonly Hash[]): string =>
  JSON.stringify({ position, retired: month, leaf: hashText(leaf), right: right.map(hashText) });

export const headLine = (head: Head): string => JSON.stringify({ head: head.document });

export type FileCheck =
  | { readonly ok: true; readonly head: Head; readonly retired: readonly Retired[] }
  /** `line` counts from 1; `position` is the place in the tree that the line should show, where it is an entry's. */
  | { readonly ok: false; readonly line: number; readonly position?: number; readonly why: FileFault };

export type FileFault =
  | 'cut-off'
  | 'header'
  | 'head-signature'
  | 'head-other-key'
  | 'entry-changed'
  | 'entry-not-in-place'
  | 'entry-missing'
  | 'retired-unannounced'
  | 'line-too-many';

/**
 * Checks such a file offline, in two passes, keeping no more than a hash for each level of the tree.
 *
 * @param pieces what lies between the file's line feeds, anew at each call; the last piece is empty in a whole file
 * @param keyId when given, the only key whose signature counts
 */
export async function checkFile(pieces: () => AsyncIterable<string>, keyId?: string): Promise<FileCheck> {
  const { lines, lastLine, rest } = await endOf(pieces());
  if (rest !== '') return { ok: false, line: lines + 1, why: 'cut-off' };
  const head = headOf(lastLine);
  if (head === null) return { ok: false, line: lines, why: 'head-signature' };
  if (keyId !== undefined && head.keyId !== keyId) return { ok: false, line: lines, why: 'head-other-key' };
  const entries = expectEntries(head);
  let line = 0;
  for await (const text of pieces()) {
    line++;
    const { position } = entries;
    if (line === 1) {
      if (text !== headerLine(head.treeSize)) return { ok: false, line, why: 'header' };
    } else if (line === lines) {
      if (position < head.treeSize) return { ok: false, line, position, why: 'entry-missing' };
      const unannounced = entries.unannounced();
      if (unannounced !== null) return { ok: false, ...unannounced, why: 'retired-unannounced' };
      return { ok: true, head, retired: entries.retired() };
    } else if (position === head.treeSize) {
      return { ok: false, line, why: 'line-too-many' };
    } else {
      const why = entries.take(text);
      if (why !== null) return { ok: false, line, position, why };
    }
  }
  return { ok: false, line, why: 'header' };
}

async function endOf(pieces: AsyncIterable<string>): Promise<{ lines: number; lastLine: string; rest: string }> {
  let lines = -1;
  let [lastLine, rest] = ['', ''];
  for await (const piece of pieces) {
    lines++;
    [lastLine, rest] = [rest, piece];
  }
  return { lines, lastLine, rest };
}

function headOf(lastLine: string): Head | null {
  const value = jsonOf(lastLine);
  const document = z.strictObject({ head: z.unknown() }).safeParse(value);
  const check = document.success ? checkHead(document.data.head) : null;
  return check?.ok === true && headLine(check.head) === lastLine ? check.head : null;
}

/** Takes entries' lines one after the other. The stack holds what is known of the leaves that are still to come. */
function expectEntries({ treeSize, rootHash }: Head) {
  const vouched: Hash[] = [rootHash];
  let position = 0;
  const months = new Map<
    string,
    { entries: number; readonly digest: Digest; readonly line: number; readonly position: number }
  >();
  const announced: (Retired & { readonly at: string })[] = [];

  /** @returns the leaf of the line, or `null` for one that is not written as ours are */
  function leafIn(text: string): { position: number; leaf: Hash; right: string[] } | null {
    const value = jsonOf(text);
    const parsed = EntryLine.safeParse(value);
    if (parsed.success) {
      const { position: said, entry, right } = parsed.data;
      if (JSON.stringify({ position: said, entry, right }) !== text) return null;
      const announcement = readAnnouncement(entry);
      if (announcement) announced.push({ ...announcement, at: String(entry['at']) });
      return { position: said, leaf: leafOf(JSON.stringify(entry)), right };
    }
    const gone = RetiredLine.safeParse(value);
    if (!gone.success) return null;
    const { position: said, retired: month, leaf: hash, right } = gone.data;
    if (JSON.stringify({ position: said, retired: month, leaf: hash, right }) !== text) return null;
    const leaf = hashOfText(hash);
    // Behind the header, and counted from 1.
    const kept = months.get(month) ?? { entries: 0, digest: createHash('sha256'), line: said + 2, position: said };
    kept.entries++;
    const place = Buffer.alloc(8);
    place.writeBigInt64BE(BigInt(said));
    kept.digest.update(place).update(leaf);
    months.set(month, kept);
    return { position: said, leaf, right };
  }

  const retired: Retired[] = [];
  return {
    retired: (): readonly Retired[] => retired,
    /** Where entries begin that the journal itself does not say to have gone; also when it says another number. */
    unannounced(): { line: number; position: number } | null {
      for (const [month, { entries, digest, line, position: first }] of months) {
        const found = digest.digest('hex');
        const said = announced.find(
          (each) => each.month === month && each.entries === entries && each.digest === found,
        );
        if (!said) return { line, position: first };
        retired.push({ month, entries, treeSize: said.treeSize, digest: found });
      }
      return null;
    },
    get position() {
      return position;
    },
    take(text: string): 'entry-changed' | 'entry-not-in-place' | null {
      const found = leafIn(text);
      if (!found) return 'entry-changed';
      if (found.position !== position) return 'entry-not-in-place';
      const halves = found.right.map(hashOfText);
      const hash = halves.reduceRight(nodeHash, found.leaf);
      if (halves.length !== rightSpansAt(position, treeSize).length) return 'entry-changed';
      if (vouched.pop()?.equals(hash) !== true) return 'entry-changed';
      vouched.push(...halves);
      position++;
      return null;
    },
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
