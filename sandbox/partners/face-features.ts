import {
  blurred,
  greySquare,
  locallyNormalized,
  photoRefusal,
  type GreySquare,
  type PhotoReason,
} from './photo-quality';

/** Length of a face vector (sandbox/README.md). */
export const VECTOR_LENGTH = 512;
/** Changes when vectors of two versions must not be compared. */
export const MODEL_VERSION = 'sandbox-dct-1';
/** Cosine from which two vectors are taken for one face. */
export const SAME_FACE = 0.8;

const SIDE_PX = 64;
const NEIGHBOURHOOD_PX = 5;
/** Highest frequency looked at, in half waves per side. */
const FREQUENCIES = 40;

export type FaceFeatures =
  { readonly ok: true; readonly vector: readonly number[] } | { readonly ok: false; readonly reason: PhotoReason };

/**
 * Computes a face's vector and keeps nothing: upright, grey, 64 by 64, light evened out, weighted to the middle, then
 * the 512 lowest frequencies of its cosine transform, brought to norm 1. A real computation on pixels that tells the
 * same picture taken again from another one; not a trained model, and of no use outside the sandbox.
 * Throws `UnreadablePhoto` for what is no image.
 */
export async function faceFeatures(photo: Buffer): Promise<FaceFeatures> {
  const reason = await photoRefusal(photo);
  if (reason !== null) return { ok: false, reason };
  const even = blurred(locallyNormalized(await greySquare(photo, SIDE_PX), NEIGHBOURHOOD_PX), 1);
  const spectrum = cosineTransform(towardsMiddle(even));
  const weighted = LOWEST_FREQUENCIES.map(
    // Fine detail moves with every pixel of shift: it counts for less.
    ({ u, v }) => (spectrum[u * FREQUENCIES + v] ?? 0) * Math.exp(-(u * u + v * v) / 200),
  );
  const norm = Math.hypot(...weighted);
  return norm > 0 ? { ok: true, vector: weighted.map((value) => value / norm) } : { ok: false, reason: 'no-face' };
}

/** Cosine of two vectors of norm 1. */
export function likeness(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/** Pairs of frequencies by their sum, without the constant one. */
const LOWEST_FREQUENCIES = Array.from({ length: FREQUENCIES * FREQUENCIES }, (_, index) => ({
  u: Math.floor(index / FREQUENCIES),
  v: index % FREQUENCIES,
}))
  .filter(({ u, v }) => u + v > 0)
  .sort((a, b) => a.u + a.v - (b.u + b.v) || a.u - b.u)
  .slice(0, VECTOR_LENGTH);

/** Hair and background at the rim change more than the face does. */
function towardsMiddle({ size, pixels }: GreySquare): GreySquare {
  const half = size / 2;
  return {
    size,
    pixels: pixels.map((value, index) => {
      const x = ((index % size) + 0.5 - half) / half;
      const y = (Math.floor(index / size) + 0.5 - half) / half;
      return value * Math.exp(-0.8 * (x * x + y * y) ** 2);
    }),
  };
}

const WAVES = Array.from({ length: FREQUENCIES }, (_, frequency) =>
  Float64Array.from(
    { length: SIDE_PX },
    (_unused, x) =>
      Math.cos((Math.PI * (x + 0.5) * frequency) / SIDE_PX) * Math.sqrt((frequency === 0 ? 1 : 2) / SIDE_PX),
  ),
);

/** Two-dimensional DCT-II, orthonormal; row u, column v at `u * FREQUENCIES + v`. */
function cosineTransform({ size, pixels }: GreySquare): Float64Array {
  const rows = new Float64Array(size * FREQUENCIES);
  const spectrum = new Float64Array(FREQUENCIES * FREQUENCIES);
  WAVES.forEach((wave, v) => {
    for (let y = 0; y < size; y += 1) {
      let sum = 0;
      for (let x = 0; x < size; x += 1) sum += (wave[x] ?? 0) * (pixels[y * size + x] ?? 0);
      rows[y * FREQUENCIES + v] = sum;
    }
  });
  WAVES.forEach((wave, u) => {
    for (let v = 0; v < FREQUENCIES; v += 1) {
      let sum = 0;
      for (let y = 0; y < size; y += 1) sum += (wave[y] ?? 0) * (rows[y * FREQUENCIES + v] ?? 0);
      spectrum[u * FREQUENCIES + v] = sum;
    }
  });
  return spectrum;
}
