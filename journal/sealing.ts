import type { Database, Transaction } from '../prisma/database';
import { signDocument, type DocumentSigner } from '../vault/document-signature';
import { canonicalEntry, leafOf } from './entry';
import { loadPlaced } from './export';
import { HEAD_TYPE, hashText, type Head, type HeadContent } from './head';
import { headAbove, HeadInvalid, newestHead } from './heads';
import type { HeadsFolder } from './heads-folder';
import { consistencySpans, rootOf, verifyConsistency } from './merkle';
import { asOnlySealer, JournalDamaged, loadFrontier, loadSpans, type IsAuthentic } from './tree';

/** The tree is no longer what was signed. Nothing is signed until a person has looked (docs/operations.md). */
export class JournalNotExtending extends Error {
  override readonly name = 'JournalNotExtending';
}

/** What cannot be read as it was written extends nothing. */
const notExtending = (error: unknown): never => {
  if (!(error instanceof JournalDamaged || error instanceof HeadInvalid)) throw error;
  throw new JournalNotExtending(error.message, { cause: error });
};

/**
 * Signs what the tree is now, if it grew, after proving that it extends the last head of the database and the last one
 * outside: a database that was put back to an earlier state is found by the second.
 *
 * @param options.at what the head says of its time
 * @param options.isAuthentic whether a process of ours wrote an entry: looked at once more, because the head is what says
 *   so to others, and who writes into the tree's own tables goes round the placing
 * @returns the size that is signed
 * @throws JournalNotExtending
 */
export function signHead(
  database: Database,
  signer: DocumentSigner,
  outside: HeadsFolder,
  { at = new Date(), isAuthentic }: { at?: Date; isAuthentic?: IsAuthentic } = {},
): Promise<number> {
  return asOnlySealer(database, async (tx) => {
    const known = [await newestHead(tx).catch(notExtending), outside.last()].filter((head) => head !== null);
    const [previous] = known;
    const frontier = await loadFrontier(tx).catch(notExtending);
    const tree = { size: frontier.size, root: rootOf(frontier) };
    const proofs = [];
    for (const head of known) proofs.push(await proofOfExtension(tx, head, tree));
    if (tree.size === (previous?.treeSize ?? 0)) return tree.size;
    if (isAuthentic) await assertAuthentic(tx, previous?.treeSize ?? 0, tree.size, isAuthentic);
    const content: HeadContent = {
      treeSize: tree.size,
      rootHash: hashText(tree.root),
      at: at.toISOString(),
      previous: previous
        ? {
            treeSize: previous.treeSize,
            rootHash: hashText(previous.rootHash),
            consistencyProof: (proofs[0] ?? []).map(hashText),
          }
        : null,
    };
    await tx.journalHead.create({
      data: {
        treeSize: tree.size,
        rootHash: Buffer.from(tree.root),
        document: signDocument(signer, HEAD_TYPE, content),
        at: content.at,
      },
    });
    return tree.size;
  });
}

const BATCH = 1_000;

/** Each new place has the entry that was placed there, and a process of ours wrote it. @throws JournalNotExtending */
async function assertAuthentic(tx: Transaction, from: number, to: number, isAuthentic: IsAuthentic): Promise<void> {
  for (let start = from; start < to; start += BATCH) {
    for (const { position, leaf, entry } of await loadPlaced(tx, start, Math.min(start + BATCH, to))) {
      const isPlaced = leaf && entry && leafOf(canonicalEntry(entry)).equals(leaf.hash);
      if (isPlaced && isAuthentic(entry)) continue;
      throw new JournalNotExtending(`What is at position ${position.toString()} is not what a process of ours wrote.`);
    }
  }
}

/** Hands the heads that are not outside yet to the folder, oldest first. @returns how many */
export function exportHeads(database: Database, outside: HeadsFolder): Promise<number> {
  return asOnlySealer(database, async (tx) => {
    let count = 0;
    for (let size = outside.last()?.treeSize ?? 0; ; count++) {
      const next = await headAbove(tx, size);
      if (!next) return count;
      outside.append(next);
      size = next.treeSize;
    }
  });
}

async function proofOfExtension(tx: Transaction, head: Head, tree: { size: number; root: Buffer }): Promise<Buffer[]> {
  const { treeSize, rootHash } = head;
  const lost = `The journal does not extend what was signed at ${treeSize.toString()} entries.`;
  if (treeSize > tree.size) throw new JournalNotExtending(lost);
  const proof = await loadSpans(tx, consistencySpans(treeSize, tree.size)).catch(notExtending);
  if (!verifyConsistency({ size: treeSize, root: rootHash }, tree, proof)) throw new JournalNotExtending(lost);
  return proof;
}
