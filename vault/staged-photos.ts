import type { Transaction } from '../prisma/database';
import { newKey, open, seal } from './envelope';
import type { KeyEncryption } from './key-encryption';

/** Photos on their way to an enrollment, each sealed under a key of that enrollment alone (issue: P2, R0.9). */
export type PhotoStage = {
  put(tx: Transaction, photo: { enrollmentId: string; integration: string; bytes: Buffer }): Promise<void>;
  /** `null` when it was purged. */
  take(tx: Transaction, enrollmentId: string): Promise<Buffer | null>;
};

export const stagedPhotoPlace = (enrollmentId: string): string => `staged_photos/${enrollmentId}`;

export function createPhotoStage(keyEncryption: KeyEncryption): PhotoStage {
  const place = stagedPhotoPlace;
  return {
    async put(tx, { enrollmentId, integration, bytes }) {
      const key = newKey();
      const { wrapped: wrappedKey, keyId } = await keyEncryption.wrap(key, place(enrollmentId));
      const sealed = seal(key, bytes, place(enrollmentId));
      await tx.stagedPhoto.create({ data: { enrollmentId, integration, sealed, wrappedKey, keyId } });
    },
    async take(tx, enrollmentId) {
      const row = await tx.stagedPhoto.findUnique({ where: { enrollmentId } });
      if (!row) return null;
      const key = await keyEncryption.unwrap({ wrapped: row.wrappedKey, keyId: row.keyId }, place(enrollmentId));
      return open(key, row.sealed, place(enrollmentId));
    },
  };
}
