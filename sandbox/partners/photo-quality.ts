import sharp from 'sharp';

/** Reasons of a refused photo (sandbox/README.md). A simple look cannot tell `several-faces`; faults can. */
export const PHOTO_REASONS = ['no-face', 'several-faces', 'too-dark', 'too-bright', 'too-small', 'blurred'] as const;
export type PhotoReason = (typeof PHOTO_REASONS)[number];

/** A square of grey values, 0 to 255. */
export type GreySquare = { readonly size: number; readonly pixels: Float64Array };

/** More pixels than any phone takes; what is larger is a decompression bomb. */
export const MAX_PIXELS = 50_000_000;
const MIN_SIDE_PX = 100;
const MEASURED_SIDE_PX = 128;
const DARKEST_MEAN = 40;
const BRIGHTEST_MEAN = 215;
/** Standard deviation of grey values below which there is nothing to see. */
const FLAT_DEVIATION = 8;
/** Variance of the Laplacian by variance of the image: 0.16 for the story's faces, 0.015 for them out of focus. */
const BLURRED_RATIO = 0.02;
const NOISE_RATIO = 4;
/** Faces are about the same left and right: 0.36 or more for 95 of 100 faces that were measured. */
const LEAST_SYMMETRY = 0.35;

/** The photo is not an image that can be read. */
export class UnreadablePhoto extends Error {
  override readonly name = 'UnreadablePhoto';
}

/** The middle of the photo, upright and grey. Never enlarged, unless `enlarge` asks for exactly `size`. */
export async function greySquare(photo: Buffer, size: number, enlarge = true): Promise<GreySquare> {
  try {
    const { data, info } = await sharp(photo, { limitInputPixels: MAX_PIXELS, failOn: 'error' })
      .autoOrient()
      .flatten({ background: '#808080' })
      .greyscale()
      .resize(size, size, { fit: 'cover', kernel: 'cubic', withoutEnlargement: !enlarge })
      .raw()
      .toBuffer({ resolveWithObject: true });
    const side = Math.min(info.width, info.height);
    const pixels = new Float64Array(side * side);
    for (let y = 0; y < side; y += 1)
      for (let x = 0; x < side; x += 1) pixels[y * side + x] = data[(y * info.width + x) * info.channels] ?? 0;
    return { size: side, pixels };
  } catch {
    throw new UnreadablePhoto('the photo is not an image that can be read');
  }
}

/**
 * Why this photo cannot become a template, or `null`. It measures size, light, contrast and sharpness, and takes an
 * image for a face when it has structure and is about the same left and right. That turns away blank walls, noise, text
 * and landscapes, and lets a cup pass: it is no face detector and does not pretend to be one.
 */
export async function photoRefusal(photo: Buffer): Promise<PhotoReason | null> {
  if ((await shorterSide(photo)) < MIN_SIDE_PX) return 'too-small';
  const image = await greySquare(photo, MEASURED_SIDE_PX, false);
  const { mean, variance } = spread(image.pixels);
  if (Math.sqrt(variance) < FLAT_DEVIATION)
    return mean < DARKEST_MEAN ? 'too-dark' : mean > BRIGHTEST_MEAN ? 'too-bright' : 'no-face';
  if (mean < DARKEST_MEAN) return 'too-dark';
  if (mean > BRIGHTEST_MEAN) return 'too-bright';
  const sharpness = laplacianVariance(image) / variance;
  if (sharpness < BLURRED_RATIO) return 'blurred';
  if (sharpness > NOISE_RATIO) return 'no-face';
  return symmetry(blurred(locallyNormalized(await greySquare(photo, 48), 8), 1.5)) < LEAST_SYMMETRY ? 'no-face' : null;
}

async function shorterSide(photo: Buffer): Promise<number> {
  try {
    const { width, height } = await sharp(photo, { limitInputPixels: MAX_PIXELS }).metadata();
    return Math.min(width, height);
  } catch {
    throw new UnreadablePhoto('the photo is not an image that can be read');
  }
}

/** Light and contrast evened out around each pixel: value minus mean, by deviation, in a Gaussian neighbourhood. */
export function locallyNormalized(image: GreySquare, sigma: number): GreySquare {
  const mean = blurred(image, sigma);
  const difference = image.pixels.map((value, index) => value - (mean.pixels[index] ?? 0));
  const variance = blurred({ size: image.size, pixels: difference.map((value) => value * value) }, sigma);
  /** Keeps noise of flat areas from being blown up to structure. */
  const floor = 6;
  return {
    size: image.size,
    pixels: difference.map((value, index) => value / (Math.sqrt(variance.pixels[index] ?? 0) + floor)),
  };
}

/** Gaussian blur; the edge pixels stand for what lies beyond them. */
export function blurred(image: GreySquare, sigma: number): GreySquare {
  const reach = Math.ceil(sigma * 3);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, index) =>
    Math.exp(-((index - reach) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const last = image.size - 1;
  const pass = (from: Float64Array, stride: number, across: number): Float64Array => {
    const to = new Float64Array(from.length);
    for (let line = 0; line < image.size; line += 1)
      for (let at = 0; at < image.size; at += 1) {
        let sum = 0;
        for (let offset = -reach; offset <= reach; offset += 1) {
          const beside = at + offset;
          const inside = beside < 0 ? 0 : beside > last ? last : beside;
          sum += (weights[offset + reach] ?? 0) * (from[line * across + inside * stride] ?? 0);
        }
        to[line * across + at * stride] = sum / total;
      }
    return to;
  };
  return { size: image.size, pixels: pass(pass(image.pixels, 1, image.size), image.size, 1) };
}

function spread(pixels: Float64Array): { mean: number; variance: number } {
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  return { mean, variance: pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length };
}

function laplacianVariance({ size, pixels }: GreySquare): number {
  const edges: number[] = [];
  const at = (index: number) => pixels[index] ?? 0;
  for (let y = 1; y < size - 1; y += 1)
    for (let x = 1; x < size - 1; x += 1) {
      const here = y * size + x;
      edges.push(4 * at(here) - at(here - 1) - at(here + 1) - at(here - size) - at(here + size));
    }
  return spread(Float64Array.from(edges)).variance;
}

/** Best correlation, -1 to 1, of the middle of the image with its own mirror image, over small shifts sideways. */
function symmetry({ size, pixels }: GreySquare): number {
  const margin = Math.floor(size * 0.15);
  let best = -1;
  for (let shift = -margin; shift <= margin; shift += 1) {
    let product = 0;
    let left = 0;
    let right = 0;
    for (let y = margin; y < size - margin; y += 1)
      for (let x = margin; x < size - margin; x += 1) {
        const mirrored = size - 1 - x + shift;
        if (mirrored < 0 || mirrored >= size) continue;
        const a = pixels[y * size + x] ?? 0;
        const b = pixels[y * size + mirrored] ?? 0;
        product += a * b;
        left += a * a;
        right += b * b;
      }
    best = Math.max(best, product / Math.sqrt(left * right + Number.EPSILON));
  }
  return best;
}
