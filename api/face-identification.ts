import { createFaceIndex, identify, normalizeVector, type FaceIndex } from '../access/face-matching';
import { templatePlace } from '../contracts/sealed-places';
import type { Database } from '../prisma/database';
import { vectorFromBytes } from '../vault/face-vector-bytes';
import type { SubjectVault } from '../vault/subject-keys';
import { invalidField } from './problem';

export type FaceIdentifier = {
  /**
   * Whose face it is among the residents enrolled at this house with this partner (R1.6). A match is a claim only:
   * whether it may open is asked of the database afterwards.
   *
   * @returns the resident's id; `null` when nobody is near enough or two are too near each other; `near` when little was
   *   missing, which is for counting and never for a caller
   */
  identify(
    where: { houseId: string; partnerId: string },
    vector: Float32Array,
  ): Promise<{ residentId: string | null; near: boolean }>;
};

/** Templates are decrypted into memory only, one index for each house and partner, rebuilt when its version changes. */
export function createFaceIdentifier(deps: {
  database: Database;
  subjects: SubjectVault;
  threshold: number;
  margin: number;
}): FaceIdentifier {
  const { database, threshold, margin } = deps;
  const cached = new Map<string, { version: bigint; index: Promise<FaceIndex> }>();

  async function indexOf(houseId: string, partnerId: string): Promise<FaceIndex> {
    const row = await database.faceIndexVersion.findUnique({ where: { houseId_partnerId: { houseId, partnerId } } });
    const version = row?.version ?? 0n;
    const key = `${houseId}/${partnerId}`;
    const hit = cached.get(key);
    if (hit?.version === version) return hit.index;
    const index = load(houseId, partnerId);
    cached.set(key, { version, index });
    index.catch(() => cached.delete(key));
    return index;
  }

  async function load(houseId: string, partnerId: string): Promise<FaceIndex> {
    const rows = await database.faceTemplate.findMany({ where: { houseId, partnerId, active: true } });
    const values = rows.map((row) => ({ ...row, place: templatePlace(row.enrollmentId) }));
    const opened = await deps.subjects.openMany(database, values);
    return createFaceIndex(
      opened.map(({ id, residentId, plain }) => ({ templateId: id, residentId, vector: vectorFromBytes(plain) })),
    );
  }

  return {
    async identify({ houseId, partnerId }, vector) {
      const found = identify(await indexOf(houseId, partnerId), vector, { threshold, margin });
      return found.kind === 'match'
        ? { residentId: found.residentId, near: false }
        : { residentId: null, near: found.near };
    },
  };
}

/** @throws HttpProblem 400 that names the field */
export function usableVector(numbers: readonly number[]): Float32Array {
  const vector = normalizeVector(numbers);
  if (vector === null) throw invalidField('faceVector', 'is not a usable vector: its norm is zero or too large');
  return vector;
}
