import { BulkheadRejectedError, bulkhead } from 'cockatiel';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { HEIC_ADVICE } from '../photo-advice';
import { HttpProblem, invalidField } from '../problem';

export type PhotoLimits = { readonly maxPixels: number };

/** Below this no face can be made out; partners want more and say so themselves (`too-small`). */
const SHORTEST_SIDE_PX = 64;
/** Longest side of what goes on, pixels: enough for a face, and no more than necessary leaves (R2.2). */
const LONGEST_SIDE_PX = 1_600;
const JPEG_QUALITY = 90;
/** No honest photo within the limits takes this long, also on a busy machine. */
const DECODE_WITHIN_S = 20;
/**
 * Decoding runs on libuv's four threads, which also serve DNS, files and keys: two photos at a time leave room for
 * them and bound the memory. What finds a full queue is told to come again.
 */
const AT_A_TIME = 2;
const WAITING = 24;
const turns = bulkhead(AT_A_TIME, WAITING);
// Photos never repeat, so a cache would only hold faces in memory; one thread for each image is bound enough.
sharp.cache(false);
sharp.concurrency(1);

/**
 * Decodes what claims to be a photo and makes a clean JPEG of it: upright, bounded, in sRGB, without metadata and
 * without whatever lay behind the picture. The image is judged by its content; its media type and name count for
 * nothing, and only the decoders of JPEG and PNG ever see it.
 *
 * @throws HttpProblem 400 or 422 that names the field `photo` and the rule it breaks; 503 when too many are waiting
 */
export async function cleanPhoto(bytes: Buffer, { maxPixels }: PhotoLimits): Promise<Buffer> {
  if (bytes.length === 0) throw invalidField('photo', 'is empty');
  refuseOtherFormats(bytes);
  return inTurn(async () => {
    // The header alone is read here: a decompression bomb is refused by what it claims, before a pixel is decoded.
    const { width, height } = await header(bytes);
    if (width * height > maxPixels) throw invalidField('photo', `has more than ${maxPixels.toString()} pixels`, 422);
    if (Math.min(width, height) < SHORTEST_SIDE_PX) {
      throw invalidField('photo', `is too small: each side needs ${SHORTEST_SIDE_PX.toString()} pixels or more`, 422);
    }
    try {
      return await reencoded(sharp(bytes, { limitInputPixels: maxPixels, failOn: 'error' }));
    } catch {
      throw invalidField('photo', 'is damaged', 422);
    }
  });
}

/** Nothing is carried over but pixels: sharp writes no EXIF, XMP, IPTC, ICC profile or comment unless it is told to. */
const reencoded = (image: Sharp): Promise<Buffer> =>
  image
    .timeout({ seconds: DECODE_WITHIN_S })
    .autoOrient()
    .resize({ width: LONGEST_SIDE_PX, height: LONGEST_SIDE_PX, fit: 'inside', withoutEnlargement: true })
    .flatten({ background: '#ffffff' })
    .toColorspace('srgb')
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer();

async function header(bytes: Buffer): Promise<{ width: number; height: number }> {
  const unreadable: Partial<Metadata> = {};
  const { width, height } = await sharp(bytes, { limitInputPixels: false, failOn: 'error' })
    .metadata()
    .catch(() => unreadable);
  if (!width || !height) throw invalidField('photo', 'is not an image that can be read', 422);
  return { width, height };
}

const JPEG_START = Buffer.from('ffd8ff', 'hex');
const PNG_START = Buffer.from('89504e470d0a1a0a', 'hex');

/** @throws HttpProblem 422 for everything that does not begin as a JPEG or a PNG with a single picture */
function refuseOtherFormats(bytes: Buffer): void {
  if (bytes.subarray(0, 3).equals(JPEG_START)) return;
  if (bytes.subarray(0, 8).equals(PNG_START)) {
    if (isAnimatedPng(bytes)) throw invalidField('photo', 'is an animation: send a single picture', 422);
    return;
  }
  if (isHeif(bytes)) throw invalidField('photo', HEIC_ADVICE, 422);
  throw invalidField('photo', 'must be a JPEG or PNG photo', 422);
}

/** ISO/IEC 23008-12: a file type box whose brands name the family; AVIF (`avif`) is not what a phone calls HEIC. */
const isHeif = (bytes: Buffer): boolean =>
  bytes.toString('latin1', 4, 8) === 'ftyp' && /^(he[ivx][cmsx]|mif1|msf1)$/.test(bytes.toString('latin1', 8, 12));

/** PNG (third edition), 11.3.6: the chunk `acTL` comes before the first `IDAT`. */
function isAnimatedPng(bytes: Buffer): boolean {
  for (let at = PNG_START.length; at + 8 <= bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (type === 'acTL') return true;
    if (type === 'IDAT') return false;
  }
  return false;
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await turns.execute(work);
  } catch (error) {
    if (!(error instanceof BulkheadRejectedError)) throw error;
    throw new HttpProblem({
      status: 503,
      type: 'busy',
      title: 'Too many photos are being looked at',
      headers: { 'retry-after': '2' },
    });
  }
}
