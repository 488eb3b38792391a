import type { Database } from '../prisma/database';
import type { KeyEncryption, WrappedKey } from './key-encryption';
import { ownKeyPlace, type OwnKeyPurpose } from './own-keys';
import { sealedFilePlace } from './sealed-files';
import { joinSecret, secretPlace, splitSecret } from './secrets';
import { stagedPhotoPlace } from './staged-photos';
import { subjectKeyPlace } from './subject-keys';

/** Tables that hold wrapped data keys. */
export const WRAPPED_TABLES = ['secrets', 'own_signing_keys', 'subject_keys', 'staged_photos', 'sealed_files'] as const;
export type WrappedTable = (typeof WRAPPED_TABLES)[number];

/** A wrapped key where it lies; `replace` changes the row only if it is still as it was read. */
type Found = {
  readonly place: string;
  readonly wrapped: WrappedKey;
  readonly replace: (next: WrappedKey) => Promise<{ count: number }>;
};

/**
 * Wraps a batch of data keys anew that lie under an older key-encryption key (R0.13). The data keys, and so everything
 * that is sealed under them, stay as they are. Readers notice nothing: each row is right before and after, under the key
 * that it names. A row that somebody else changes meanwhile is left to the next batch.
 *
 * @returns how many it found; 0: none is left of this table
 */
export async function rewrapBatch(
  database: Database,
  keyEncryption: KeyEncryption,
  table: WrappedTable,
  limit: number,
): Promise<number> {
  const currentId = await keyEncryption.currentKeyId();
  const found = await FIND[table](database, currentId, limit);
  for (const { place, wrapped, replace } of found) await replace(await keyEncryption.rewrap(wrapped, place));
  // Not how many it changed: where somebody else was quicker with a whole batch, others may be left.
  return found.length;
}

/** How many rows still want the older keys; at 0 they may be taken away. */
export async function leftToRewrap(database: Database, keyEncryption: KeyEncryption): Promise<number> {
  const older = { keyId: { not: await keyEncryption.currentKeyId() } };
  const counts = await Promise.all([
    database.secret.count({ where: { ...older, wrapped: { not: null } } }),
    database.ownSigningKey.count({ where: { ...older, wrapped: { not: null } } }),
    database.subjectKey.count({ where: older }),
    database.stagedPhoto.count({ where: older }),
    database.sealedFile.count({ where: older }),
  ]);
  return counts.reduce((sum, count) => sum + count, 0);
}

type Find = (database: Database, currentId: string, limit: number) => Promise<Found[]>;

const FIND: Readonly<Record<WrappedTable, Find>> = {
  async secrets(database, currentId, take) {
    const rows = await database.secret.findMany({
      where: { keyId: { not: currentId }, wrapped: { not: null } },
      orderBy: [{ owner: 'asc' }, { name: 'asc' }, { version: 'asc' }],
      take,
    });
    return rows.flatMap(({ owner, name, version, wrapped: column, keyId }): Found[] => {
      if (column === null) return [];
      const { wrappedKey, sealed } = splitSecret(column);
      return [
        {
          place: secretPlace(owner, name, version),
          wrapped: { wrapped: wrappedKey, keyId },
          replace: (next) =>
            database.secret.updateMany({
              where: { owner, name, version, keyId, wrapped: column },
              data: { wrapped: joinSecret(next.wrapped, sealed), keyId: next.keyId },
            }),
        },
      ];
    });
  },
  async own_signing_keys(database, currentId, take) {
    const rows = await database.ownSigningKey.findMany({
      where: { keyId: { not: currentId }, wrapped: { not: null } },
      orderBy: [{ purpose: 'asc' }, { version: 'asc' }],
      take,
    });
    return rows.flatMap(({ purpose, version, kid, wrapped: column, keyId }): Found[] => {
      if (column === null) return [];
      const { wrappedKey, sealed } = splitSecret(column);
      return [
        {
          place: ownKeyPlace(purpose as OwnKeyPurpose, kid),
          wrapped: { wrapped: wrappedKey, keyId },
          replace: (next) =>
            database.ownSigningKey.updateMany({
              where: { purpose, version, keyId, wrapped: column },
              data: { wrapped: joinSecret(next.wrapped, sealed), keyId: next.keyId },
            }),
        },
      ];
    });
  },
  async subject_keys(database, currentId, take) {
    const rows = await database.subjectKey.findMany({
      where: { keyId: { not: currentId } },
      orderBy: { residentId: 'asc' },
      take,
    });
    return rows.map(({ residentId, wrapped, keyId, splitAt }) => ({
      place: subjectKeyPlace(residentId, { splitAt }),
      wrapped: { wrapped, keyId },
      replace: (next) => database.subjectKey.updateMany({ where: { residentId, keyId, wrapped }, data: { ...next } }),
    }));
  },
  async staged_photos(database, currentId, take) {
    const rows = await database.stagedPhoto.findMany({
      where: { keyId: { not: currentId } },
      orderBy: { enrollmentId: 'asc' },
      select: { enrollmentId: true, wrappedKey: true, keyId: true },
      take,
    });
    return rows.map(({ enrollmentId, wrappedKey, keyId }) => ({
      place: stagedPhotoPlace(enrollmentId),
      wrapped: { wrapped: wrappedKey, keyId },
      replace: (next) =>
        database.stagedPhoto.updateMany({
          where: { enrollmentId, keyId, wrappedKey },
          data: { wrappedKey: next.wrapped, keyId: next.keyId },
        }),
    }));
  },
  async sealed_files(database, currentId, take) {
    const rows = await database.sealedFile.findMany({
      where: { keyId: { not: currentId } },
      orderBy: { id: 'asc' },
      select: { id: true, wrappedKey: true, keyId: true },
      take,
    });
    return rows.map(({ id, wrappedKey, keyId }) => ({
      place: sealedFilePlace(id),
      wrapped: { wrapped: wrappedKey, keyId },
      replace: (next) =>
        database.sealedFile.updateMany({
          where: { id, keyId, wrappedKey },
          data: { wrappedKey: next.wrapped, keyId: next.keyId },
        }),
    }));
  },
};
