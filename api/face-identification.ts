import { createFaceIndex, forgetFaces, identify, normalizeVector, type FaceIndex } from '../access/face-matching';
import type { Logger } from '../config/logger';
import { repeating } from '../config/repeating';
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
  /** Of which houses and partners faces are in memory. */
  readonly held: () => readonly { readonly houseId: string; readonly partnerId: string }[];
  readonly close: () => Promise<void>;
};

/** Whose face was deleted is in no process's memory for longer, whether or not anybody asks at that house again. */
const SWEEP_EVERY_MS = 2_000;

type Where = { readonly houseId: string; readonly partnerId: string };
type Held = Where & { readonly version: bigint; readonly index: Promise<FaceIndex> };

/** Templates are decrypted into memory only, one index for each house and partner, gone when its version changes. */
export function createFaceIdentifier(deps: {
  database: Database;
  subjects: SubjectVault;
  threshold: number;
  margin: number;
  log: Logger;
  sweepEveryMs?: number;
}): FaceIdentifier {
  const { database, threshold, margin, log, sweepEveryMs = SWEEP_EVERY_MS } = deps;
  const cached = new Map<string, Held>();

  async function indexOf(houseId: string, partnerId: string): Promise<FaceIndex> {
    const row = await database.faceIndexVersion.findUnique({ where: { houseId_partnerId: { houseId, partnerId } } });
    const version = row?.version ?? 0n;
    const key = keyOf({ houseId, partnerId });
    const hit = cached.get(key);
    if (hit?.version === version) return hit.index;
    if (hit) forget(key, hit);
    const held = { houseId, partnerId, version, index: load(houseId, partnerId) };
    cached.set(key, held);
    held.index.catch(() => {
      if (cached.get(key) === held) cached.delete(key);
    });
    return held.index;
  }

  async function load(houseId: string, partnerId: string): Promise<FaceIndex> {
    const rows = await database.faceTemplate.findMany({ where: { houseId, partnerId, active: true } });
    const values = rows.map((row) => ({ ...row, place: templatePlace(row.enrollmentId) }));
    const opened = await deps.subjects.openMany(database, values);
    const entries = opened.map(({ id, residentId, plain }) => {
      const vector = vectorFromBytes(plain);
      plain.fill(0);
      return { templateId: id, residentId, vector };
    });
    const index = createFaceIndex(entries);
    for (const { vector } of entries) vector.fill(0);
    return index;
  }

  /** Whoever waits for this index looks through it once it is there, and before it is empty. */
  function forget(key: string, held: Held): void {
    if (cached.get(key) === held) cached.delete(key);
    held.index.then(
      (index) => setImmediate(forgetFaces, index),
      () => undefined,
    );
  }

  /** One statement for all that is held; nothing is asked while nothing is. */
  async function sweep(): Promise<void> {
    if (cached.size === 0) return;
    const before = [...cached];
    const rows = await database.faceIndexVersion.findMany();
    const versions = new Map(rows.map((row) => [keyOf(row), row.version]));
    for (const [key, held] of before) {
      if (held.version < (versions.get(key) ?? 0n)) forget(key, held);
    }
  }

  const sweeping = repeating(sweepEveryMs, sweep, (error) => {
    log.warn({ event: 'face-indexes', error }, 'it could not be looked whether faces in memory were deleted');
  });

  return {
    async identify({ houseId, partnerId }, vector) {
      const found = identify(await indexOf(houseId, partnerId), vector, { threshold, margin });
      return found.kind === 'match'
        ? { residentId: found.residentId, near: false }
        : { residentId: null, near: found.near };
    },
    held: () => [...cached.values()].map(({ houseId, partnerId }) => ({ houseId, partnerId })),
    async close() {
      await sweeping.close();
      for (const [key, held] of cached) forget(key, held);
    },
  };
}

const keyOf = ({ houseId, partnerId }: Where): string => `${houseId}/${partnerId}`;

/** @throws HttpProblem 400 that names the field */
export function usableVector(numbers: readonly number[]): Float32Array {
  const vector = normalizeVector(numbers);
  if (vector === null) throw invalidField('faceVector', 'is not a usable vector: its norm is zero or too large');
  return vector;
}
