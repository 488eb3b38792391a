import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { cameraPicture } from './camera-picture';
import { faceFeatures, likeness, SAME_FACE, VECTOR_LENGTH } from './face-features';
import { UnreadablePhoto } from './photo-quality';

const media = (name: string) => readFileSync(path.join(__dirname, '..', 'media', name));
const resident = media('resident.jpg');
const stranger = media('stranger.jpg');

async function vectorOf(photo: Buffer): Promise<readonly number[]> {
  const features = await faceFeatures(photo);
  if (!features.ok) throw new Error(features.reason);
  return features.vector;
}
const upright = (photo: Buffer) => sharp(photo).autoOrient();

describe('face features', () => {
  it('gives 512 numbers of norm 1, the same for the same photo', async () => {
    const vector = await vectorOf(resident);
    expect(vector).toHaveLength(VECTOR_LENGTH);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 9);
    expect(await vectorOf(resident)).toEqual(vector);
  });

  it.each([
    ['resident', resident],
    ['stranger', stranger],
  ])('knows the %s again in pictures that a camera takes', async (_name, photo) => {
    const enrolled = await vectorOf(photo);
    for (let seed = 1; seed <= 12; seed += 1)
      expect(likeness(enrolled, await vectorOf(await cameraPicture(photo, seed)))).toBeGreaterThan(SAME_FACE);
  });

  it.each<[string, (image: sharp.Sharp) => sharp.Sharp]>([
    ['darker', (image) => image.linear(0.7, 0)],
    ['brighter', (image) => image.linear(1, 30)],
    ['softer', (image) => image.blur(1.2)],
    ['smaller', (image) => image.resize(140)],
    ['larger', (image) => image.resize(900)],
    ['in poor quality', (image) => image.jpeg({ quality: 35 })],
    ['as PNG', (image) => image.png()],
  ])('knows the face again when it is %s', async (_name, change) => {
    const again = await change(upright(resident)).toBuffer();
    expect(likeness(await vectorOf(resident), await vectorOf(again))).toBeGreaterThan(0.9);
  });

  it('tells another face apart, whichever pictures are taken', async () => {
    const enrolled = await vectorOf(resident);
    for (let seed = 1; seed <= 6; seed += 1)
      expect(likeness(enrolled, await vectorOf(await cameraPicture(stranger, seed)))).toBeLessThan(0.5);
  });

  it('reads a turned photo by its orientation mark', async () => {
    const standing = await upright(resident).jpeg({ quality: 95 }).toBuffer();
    expect((await sharp(resident).metadata()).orientation).toBe(6);
    expect(likeness(await vectorOf(resident), await vectorOf(standing))).toBeGreaterThan(0.98);
  });

  it.each<[string, () => Promise<Buffer>]>([
    ['too-small', () => upright(resident).resize(99).jpeg().toBuffer()],
    ['too-dark', () => upright(resident).linear(0.2, 0).jpeg().toBuffer()],
    ['too-bright', () => upright(resident).linear(0.3, 190).jpeg().toBuffer()],
    ['blurred', () => upright(resident).blur(6).jpeg().toBuffer()],
    ['no-face', () => plain('#777777').jpeg().toBuffer()],
    ['no-face', () => landscape()],
  ])('refuses a photo that is %s', async (reason, make) => {
    expect(await faceFeatures(await make())).toEqual({ ok: false, reason });
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('not an image')],
    ['the beginning of a photo', resident.subarray(0, 2_000)],
  ])('cannot read %s', async (_name, bytes) => {
    await expect(faceFeatures(bytes)).rejects.toThrow(UnreadablePhoto);
  });
});

function plain(background: string): sharp.Sharp {
  return sharp({ create: { width: 300, height: 300, channels: 3, background } });
}

/** Structure without symmetry: a dark slope in one corner and a bright disc in the other. */
function landscape(): Promise<Buffer> {
  const drawing = `<svg width="300" height="300"><rect width="300" height="300" fill="#8ab"/>
    <polygon points="0,300 0,60 120,180 300,300" fill="#243"/><circle cx="245" cy="60" r="30" fill="#fe8"/>
    <rect x="20" y="200" width="40" height="70" fill="#ddd"/></svg>`;
  return sharp(Buffer.from(drawing)).jpeg().toBuffer();
}
