import { z } from 'zod';
import type { Transaction } from '../prisma/database';
import type { SignedDocument } from '../vault/document-signature';
import { canonicalEntry, canonicalMembers, leafOf } from './entry';
import { checkHead, hashOfText, HashText, hashText, type Head } from './head';
import { inclusionSpans, verifyInclusion } from './merkle';
import { loadSpans } from './tree';

const FORMAT = 'domovoy-journal-proof/1';

const EntryProof = z.strictObject({
  format: z.literal(FORMAT),
  position: z.int().nonnegative(),
  entry: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
  path: z.array(HashText),
  head: z.custom<SignedDocument>((value) => checkHead(value).ok),
});
/** That an entry is in the journal, as a document that anybody can check offline. */
export type EntryProof = z.infer<typeof EntryProof>;

/** @returns `null` when there is no such entry, or it is newer than `head` */
export async function proveEntry(tx: Transaction, seq: bigint, head: Head): Promise<EntryProof | null> {
  const leaf = await tx.journalLeaf.findUnique({ where: { entrySeq: seq } });
  // By its time, too: a number may have been given a second time (journal/database-check.ts).
  const row = leaf && (await tx.journalEntry.findFirst({ where: { seq, at: leaf.entryAt } }));
  if (!row || leaf.position >= BigInt(head.treeSize)) return null;
  const position = Number(leaf.position);
  const path = (await loadSpans(tx, inclusionSpans(position, head.treeSize))).map(hashText);
  const entry = JSON.parse(canonicalEntry(row)) as EntryProof['entry'];
  return { format: FORMAT, position, entry, path, head: head.document };
}

/** Checks such a proof. @returns what it proves, or `null` when it proves nothing */
export function checkProof(value: unknown): { head: Head; position: number; entry: EntryProof['entry'] } | null {
  const proof = EntryProof.safeParse(value);
  if (!proof.success) return null;
  const { position, entry, path } = proof.data;
  const check = checkHead(proof.data.head);
  if (!check.ok) return null;
  const { head } = check;
  const leaf = { position, hash: leafOf(canonicalMembers(entry)) };
  const isIn = verifyInclusion(leaf, { size: head.treeSize, root: head.rootHash }, path.map(hashOfText));
  return isIn ? { head, position, entry } : null;
}
