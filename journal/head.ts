import { z } from 'zod';
import { verifyDocument, type DocumentCheck, type SignedDocument } from '../vault/document-signature';
import { HASH_BYTES, type Hash } from './merkle';

/** Media type of a signed tree head's payload, without `application/`. */
export const HEAD_TYPE = 'domovoy-journal-head+json';

/** A hash as people compare it: 64 hexadecimal digits. */
export const HashText = z.string().regex(new RegExp(`^[0-9a-f]{${(HASH_BYTES * 2).toString()}}$`));
export const hashText = (hash: Uint8Array): string => Buffer.from(hash).toString('hex');
export const hashOfText = (text: string): Hash => Buffer.from(text, 'hex');

export const HeadContent = z.strictObject({
  treeSize: z.int().positive(),
  rootHash: HashText,
  at: z.iso.datetime(),
  /** The head before it and the proof that this one extends it, so that a file of heads can be checked alone. */
  previous: z
    .strictObject({ treeSize: z.int().positive(), rootHash: HashText, consistencyProof: z.array(HashText).readonly() })
    .nullable(),
});
export type HeadContent = Readonly<z.infer<typeof HeadContent>>;

/** A signed tree head that was checked: somebody who holds the key said that this was the tree. */
export type Head = {
  readonly treeSize: number;
  readonly rootHash: Hash;
  readonly at: string;
  readonly previous: HeadContent['previous'];
  readonly keyId: string;
  readonly document: SignedDocument;
};

export type HeadCheck =
  | { readonly ok: true; readonly head: Head }
  | { readonly ok: false; readonly why: Extract<DocumentCheck, { ok: false }>['why'] };

/** Checks a signed head offline. Whose key it is, is the caller's question (vault/document-signature.ts). */
export function checkHead(value: unknown): HeadCheck {
  const check = verifyDocument(value);
  if (!check.ok) return check;
  const content = HeadContent.safeParse(check.content);
  if (check.type !== HEAD_TYPE || !content.success) return { ok: false, why: 'not-a-document' };
  const { rootHash, ...rest } = content.data;
  const document = value as SignedDocument;
  return { ok: true, head: { ...rest, rootHash: hashOfText(rootHash), keyId: check.keyId, document } };
}
