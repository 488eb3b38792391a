import { createHash } from 'node:crypto';
import type { Transaction } from '../prisma/database';
import { newKey, open, seal } from './envelope';
import type { KeyEncryption } from './key-encryption';

/** What is known of a file without opening it. */
export type FileFacts = { readonly sha256: string; readonly bytes: number };

/**
 * Files that were handed in, each under a key of its own, which is wrapped: letters of partners (R3.5), their logs
 * (R3.6). What was handed in stays as it came; its hash is taken before it is sealed and again when it is opened.
 */
export type SealedFiles = {
  put(tx: Transaction, file: { id: string; mediaType: string; content: Buffer }): Promise<FileFacts>;
  /** @throws SealBroken, also when what comes out is not what went in */
  read(tx: Transaction, id: string): Promise<Buffer>;
  /** Keeps something personal about the file, under the file's key. */
  describe(tx: Transaction, id: string, details: object): Promise<void>;
  /** @returns `null` when nothing was kept */
  detailsOf(tx: Transaction, id: string): Promise<unknown>;
};

export const sealedFilePlace = (id: string): string => `sealed_files/${id}`;
const detailsPlace = (id: string): string => `${sealedFilePlace(id)}/details`;
export const sha256Of = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

export function createSealedFiles(keyEncryption: KeyEncryption): SealedFiles {
  const keyOf = async (tx: Transaction, id: string): Promise<Buffer> => {
    const row = await tx.sealedFile.findUniqueOrThrow({ where: { id }, select: { wrappedKey: true, keyId: true } });
    return keyEncryption.unwrap({ wrapped: row.wrappedKey, keyId: row.keyId }, sealedFilePlace(id));
  };
  return {
    async put(tx, { id, mediaType, content }) {
      const key = newKey();
      const { wrapped: wrappedKey, keyId } = await keyEncryption.wrap(key, sealedFilePlace(id));
      const facts = { sha256: sha256Of(content), bytes: content.length };
      const sealed = seal(key, content, sealedFilePlace(id));
      await tx.sealedFile.createMany({
        data: [{ id, mediaType, ...facts, sealed, wrappedKey, keyId }],
        skipDuplicates: true,
      });
      return facts;
    },
    async read(tx, id) {
      const { sealed, sha256 } = await tx.sealedFile.findUniqueOrThrow({ where: { id } });
      const content = open(await keyOf(tx, id), sealed, sealedFilePlace(id));
      if (sha256Of(content) !== sha256) throw new Error('A sealed file is not what was handed in.');
      return content;
    },
    async describe(tx, id, details) {
      const plain = Buffer.from(JSON.stringify(details));
      const sealed = seal(await keyOf(tx, id), plain, detailsPlace(id));
      await tx.sealedFile.updateMany({ where: { id }, data: { details: sealed } });
    },
    async detailsOf(tx, id) {
      const { details } = await tx.sealedFile.findUniqueOrThrow({ where: { id }, select: { details: true } });
      if (details === null) return null;
      return JSON.parse(open(await keyOf(tx, id), details, detailsPlace(id)).toString('utf8')) as unknown;
    },
  };
}
