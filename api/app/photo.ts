import sharp, { type Metadata } from 'sharp';
import { invalidField } from '../problem';

export type PhotoLimits = { readonly maxPixels: number };

const FORMATS = new Set(['jpeg', 'png']);
/** Longest side of what goes on, pixels: enough for a face, and no more than necessary leaves (R2.2). */
const LONGEST_SIDE_PX = 1_600;
const JPEG_QUALITY = 90;

/**
 * Decodes what claims to be a photo and makes a clean JPEG of it: upright, bounded, without metadata. The image is
 * judged by its content; its media type and name count for nothing.
 *
 * @throws HttpProblem 400 or 422 that names the field `photo` and the rule it breaks
 */
export async function cleanPhoto(bytes: Buffer, { maxPixels }: PhotoLimits): Promise<Buffer> {
  if (bytes.length === 0) throw invalidField('photo', 'is empty');
  const image = sharp(bytes, { limitInputPixels: false, failOn: 'error' });
  const unreadable: Partial<Metadata> = {};
  const { format, width, height, pages } = await image.metadata().catch(() => unreadable);
  if (!width || !height) throw invalidField('photo', 'is not an image that can be read', 422);
  if (!FORMATS.has(format ?? '') || (pages ?? 1) > 1) throw invalidField('photo', 'must be a JPEG or PNG photo', 422);
  if (width * height > maxPixels) throw invalidField('photo', `has more than ${maxPixels.toString()} pixels`, 422);
  try {
    return await sharp(bytes, { limitInputPixels: maxPixels, failOn: 'error' })
      .rotate()
      .resize({ width: LONGEST_SIDE_PX, height: LONGEST_SIDE_PX, fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#ffffff' })
      .jpeg({ quality: JPEG_QUALITY })
      .toBuffer();
  } catch {
    throw invalidField('photo', 'is damaged', 422);
  }
}
