import { FACE_VECTOR_LENGTH } from '../contracts/access';

export type FaceEntry = { readonly templateId: string; readonly residentId: string; readonly vector: Float32Array };
/** Unit vectors side by side in one array, with whose they are. */
export type FaceIndex = {
  readonly vectors: Float32Array;
  readonly owners: readonly { readonly templateId: string; readonly residentId: string }[];
};
export type FaceMatch =
  | { readonly kind: 'match'; readonly residentId: string; readonly templateId: string }
  | { readonly kind: 'no-match'; readonly near: boolean };

/** Norms outside of this range are no feature vectors: nothing, or an attempt to overflow. */
const SMALLEST_NORM = 1e-6;
const LARGEST_NORM = 1e6;

/** @returns a unit vector; `null` for a wrong length, a number that is not finite, or a norm that cannot be a face's */
export function normalizeVector(numbers: readonly number[] | Float32Array): Float32Array | null {
  if (numbers.length !== FACE_VECTOR_LENGTH) return null;
  let sum = 0;
  for (const number of numbers) {
    if (!Number.isFinite(number)) return null;
    sum += number * number;
  }
  const norm = Math.sqrt(sum);
  if (!(norm >= SMALLEST_NORM && norm <= LARGEST_NORM)) return null;
  return Float32Array.from(numbers, (number) => number / norm);
}

/** @param entries vectors as {@link normalizeVector} makes them */
export function createFaceIndex(entries: readonly FaceEntry[]): FaceIndex {
  const vectors = new Float32Array(entries.length * FACE_VECTOR_LENGTH);
  entries.forEach(({ vector }, index) => {
    vectors.set(vector, index * FACE_VECTOR_LENGTH);
  });
  return { vectors, owners: entries.map(({ templateId, residentId }) => ({ templateId, residentId })) };
}

/** Leaves no vector in memory; whoever still asks it finds nobody. */
export function forgetFaces({ vectors }: FaceIndex): void {
  vectors.fill(0);
}

/**
 * Whose face the probe is, by cosine similarity (R1.6, R2.6): the best resident must reach the threshold and be ahead
 * of the next resident by the margin. The score stays inside.
 */
export function identify(
  { vectors, owners }: FaceIndex,
  probe: Float32Array,
  { threshold, margin }: { threshold: number; margin: number },
): FaceMatch {
  let best = -2;
  let bestAt = -1;
  const scores = new Float64Array(owners.length);
  for (let at = 0; at < owners.length; at++) {
    const score = dot(vectors, at * FACE_VECTOR_LENGTH, probe);
    scores[at] = score;
    if (score > best) {
      best = score;
      bestAt = at;
    }
  }
  const owner = owners[bestAt];
  if (!owner || !(best >= threshold)) return { kind: 'no-match', near: best >= threshold - margin };
  let rival = -2;
  owners.forEach(({ residentId }, at) => {
    if (residentId !== owner.residentId) rival = Math.max(rival, scores[at] ?? -2);
  });
  return best - rival >= margin ? { kind: 'match', ...owner } : { kind: 'no-match', near: true };
}

function dot(vectors: Float32Array, offset: number, probe: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < FACE_VECTOR_LENGTH; i++) sum += (vectors[offset + i] ?? 0) * (probe[i] ?? 0);
  return sum;
}
