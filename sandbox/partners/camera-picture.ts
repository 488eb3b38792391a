import sharp from 'sharp';
import { MAX_PIXELS, UnreadablePhoto } from './photo-quality';

/**
 * The same face as a camera would take it another time: slightly moved and nearer, other light, softer, with sensor
 * noise and stronger compression. The same seed gives the same picture.
 */
export async function cameraPicture(photo: Buffer, seed: number): Promise<Buffer> {
  const random = seededRandom(seed);
  const around = (reach: number) => (random() * 2 - 1) * reach;
  try {
    const upright = await sharp(photo, { limitInputPixels: MAX_PIXELS })
      .autoOrient()
      .flatten({ background: '#808080' })
      .toColourspace('srgb')
      .png()
      .toBuffer({ resolveWithObject: true });
    const nearer = 1 - 0.04 * random();
    const width = Math.max(1, Math.round(upright.info.width * nearer));
    const height = Math.max(1, Math.round(upright.info.height * nearer));
    const { data, info } = await sharp(upright.data)
      .extract({
        left: Math.floor((upright.info.width - width) * random()),
        top: Math.floor((upright.info.height - height) * random()),
        width,
        height,
      })
      .linear(1 + around(0.15), around(18))
      .gamma(1 + 0.3 * random())
      .blur(0.4 + 0.4 * random())
      .raw()
      .toBuffer({ resolveWithObject: true });
    for (let index = 0; index < data.length; index += 1) {
      const noise = (random() + random() + random() - 1.5) * 14;
      const value = (data[index] ?? 0) + noise;
      data[index] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
    return await sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels } })
      .jpeg({ quality: Math.round(65 + 30 * random()) })
      .toBuffer();
  } catch {
    throw new UnreadablePhoto('the photo is not an image that can be read');
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). Nothing secret may come from it. */
function seededRandom(seed: number): () => number {
  const { imul } = Math;
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
