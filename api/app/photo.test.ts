import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { projectFile } from '../../config/project-root';
import { HttpProblem } from '../problem';
import { cleanPhoto } from './photo';

const resident = readFileSync(projectFile('sandbox/media/resident.jpg'));
const limits = { maxPixels: 50_000_000 };
const CANARY = 'canary-left-by-the-camera';

/** Left half red, right half blue, lying on its side: EXIF says how to turn it. */
const halves = (width: number, height: number): Sharp =>
  sharp({ create: { width, height, channels: 3, background: 'red' } }).composite([
    { input: { create: { width: width / 2, height, channels: 3, background: 'blue' } }, left: width / 2, top: 0 },
  ]);

async function refusal(bytes: Buffer, maxPixels = limits.maxPixels): Promise<HttpProblem['problem']> {
  const error: unknown = await cleanPhoto(bytes, { maxPixels }).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof HttpProblem)) throw new Error('the photo was taken');
  return error.problem;
}

describe('a cleaned photo', () => {
  it('is upright and holds neither EXIF, GPS, XMP, ICC profile nor comment', async () => {
    const bytes = await halves(400, 200)
      .withExif({ IFD0: { Make: CANARY }, IFD3: { GPSLatitude: '55/1 45/1 0/1' } })
      .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>${CANARY}</a></x:xmpmeta>`)
      .withIccProfile('p3')
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const given = withComment(bytes);
    const before = await sharp(given).metadata();
    expect([before.exif, before.xmp, before.icc].every(Boolean)).toBe(true);
    expect(before.orientation).toBe(6);
    expect(given.includes(CANARY)).toBe(true);

    const clean = await cleanPhoto(given, limits);
    const after = await sharp(clean).metadata();
    expect(after).toMatchObject({ format: 'jpeg', width: 200, height: 400, space: 'srgb' });
    for (const name of ['exif', 'xmp', 'icc', 'iptc', 'orientation', 'comments'] as const) {
      expect(after[name]).toBeUndefined();
    }
    expect(segments(clean)).toEqual([]);
    expect(clean.includes(CANARY)).toBe(false);
    // Turned a quarter to the right, what was left is on top.
    const top = await sharp(clean).extract({ left: 100, top: 20, width: 1, height: 1 }).raw().toBuffer();
    expect(top[0]).toBeGreaterThan(200);
    expect(top[2]).toBeLessThan(60);
  });

  it('ends with its picture: what lay behind it is gone', async () => {
    const zip = Buffer.from(`PK\u0003\u0004${CANARY}<script>alert(1)</script>`);
    const clean = await cleanPhoto(Buffer.concat([resident, zip]), limits);
    expect(clean.includes(CANARY)).toBe(false);
    expect(clean.subarray(-2).toString('hex')).toBe('ffd9');
  });

  it.each([
    ['a PNG with transparency', () => halves(300, 300).ensureAlpha(0.5).png()],
    ['a PNG of 16 bits', () => halves(300, 300).toColorspace('rgb16').png()],
    ['a grayscale JPEG', () => halves(300, 300).grayscale().jpeg()],
    ['a CMYK JPEG', () => halves(300, 300).toColorspace('cmyk').jpeg()],
    ['a progressive JPEG', () => halves(300, 300).jpeg({ progressive: true })],
    ['a PNG with a palette', () => halves(300, 300).png({ palette: true })],
  ])('of %s is a JPEG in sRGB with three channels', async (_what, make) => {
    const clean = await cleanPhoto(await make().toBuffer(), limits);
    expect(await sharp(clean).metadata()).toMatchObject({ format: 'jpeg', space: 'srgb', channels: 3, depth: 'uchar' });
  });

  it('is no larger than a face needs', async () => {
    const clean = await cleanPhoto(await halves(4_000, 3_000).jpeg().toBuffer(), limits);
    expect(await sharp(clean).metadata()).toMatchObject({ width: 1_600, height: 1_200 });
  });
});

describe('a photo is refused with a reason', () => {
  const damaged: readonly [string, () => Buffer | Promise<Buffer>, RegExp][] = [
    ['empty', () => Buffer.alloc(0), /empty/],
    ['text', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /JPEG or PNG/],
    ['a JPEG start alone', () => Buffer.from('ffd8ffe0', 'hex'), /can be read/],
    ['cut off in the middle', () => resident.subarray(0, resident.length / 2), /damaged/],
    ['cut off in its last tenth', () => resident.subarray(0, resident.length * 0.9), /damaged/],
    ['a PNG that is cut off', async () => (await noisy().png().toBuffer()).subarray(0, 20_000), /damaged/],
    [
      'one pixel',
      () =>
        sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
          .png()
          .toBuffer(),
      /small/,
    ],
    [
      'a line',
      () =>
        sharp({ create: { width: 4_000, height: 2, channels: 3, background: 'red' } })
          .png()
          .toBuffer(),
      /small/,
    ],
    ['an animated GIF', () => animated().gif().toBuffer(), /JPEG or PNG/],
    ['an animated WebP', () => animated().webp().toBuffer(), /JPEG or PNG/],
    ['an animated PNG', async () => asAnimatedPng(await halves(300, 300).png().toBuffer()), /animation/],
    ['an AVIF', () => halves(100, 100).avif().toBuffer(), /JPEG or PNG/],
    ['a HEIC, with advice', () => heic('heic'), /HEIC.*JPEG/],
    ['a HEIF of several brands, with advice', () => heic('mif1'), /HEIC.*JPEG/],
    ['a TIFF', () => halves(100, 100).tiff().toBuffer(), /JPEG or PNG/],
  ];
  it.each(damaged)('when it is %s', async (_what, make, reason) => {
    const { status, errors } = await refusal(await make());
    expect([400, 422]).toContain(status);
    expect(errors).toEqual([{ field: 'photo', message: expect.stringMatching(reason) as string }]);
  });

  it.each([
    ['PNG', () => hugePng(40_000, 40_000)],
    ['JPEG', () => hugeJpeg(40_000, 40_000)],
  ])('when it is a %s of 40,000 × 40,000 pixels in 2 kB, at once and with little memory', async (_what, make) => {
    const bomb = await make();
    expect(bomb.length).toBeLessThan(2_048);
    const memory = process.memoryUsage().rss;
    const startedMs = performance.now();
    expect(await refusal(bomb)).toMatchObject({ status: 422, errors: [{ field: 'photo' }] });
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(process.memoryUsage().rss - memory).toBeLessThan(100_000_000);
  });

  it('when it has more pixels than the limit, by the limit that is configured', async () => {
    const bytes = await halves(200, 200).jpeg().toBuffer();
    expect(await refusal(bytes, 39_999)).toMatchObject({ errors: [{ message: 'has more than 39999 pixels' }] });
    await expect(cleanPhoto(bytes, { maxPixels: 40_000 })).resolves.toBeInstanceOf(Buffer);
  });
});

it('many photos at once leave the event loop free, and what is too many is told to come again', async () => {
  const large = await halves(3_000, 2_000).jpeg().toBuffer();
  let longestMs = 0;
  let lastMs = performance.now();
  const ticking = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  }, 5);
  try {
    const startedMs = performance.now();
    const results = await Promise.allSettled(Array.from({ length: 40 }, () => cleanPhoto(large, limits)));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(26);
    expect(refused.map((error) => (error as HttpProblem).problem.status)).toEqual(refused.map(() => 503));
    // Where the machine is slow, the photos are, too.
    expect(longestMs).toBeLessThan(Math.max(500, (performance.now() - startedMs) / 2));
  } finally {
    clearInterval(ticking);
  }
});

const noisy = (): Sharp =>
  sharp({
    create: {
      width: 300,
      height: 300,
      channels: 3,
      background: 'red',
      noise: { type: 'gaussian', mean: 128, sigma: 40 },
    },
  });

const animated = (): Sharp =>
  sharp(Buffer.alloc(100 * 200 * 3, 7), { raw: { width: 100, height: 200, channels: 3, pageHeight: 100 } });

/** Puts a comment segment (COM) behind the start of a JPEG. */
function withComment(jpeg: Buffer): Buffer {
  const text = Buffer.from(CANARY);
  const segment = Buffer.alloc(4);
  segment.writeUInt16BE(0xfffe, 0);
  segment.writeUInt16BE(text.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), segment, text, jpeg.subarray(2)]);
}

/** The markers of a JPEG that may carry words: APPn and COM, up to the picture. */
function segments(jpeg: Buffer): string[] {
  const found: string[] = [];
  for (let at = 2; jpeg[at] === 0xff && jpeg[at + 1] !== 0xda; at += 2 + jpeg.readUInt16BE(at + 2)) {
    const marker = jpeg.readUInt8(at + 1);
    if (marker === 0xfe || (marker & 0xf0) === 0xe0) found.push(marker.toString(16));
  }
  return found;
}

/** The beginning of a file as iPhones write it; nothing here can decode the rest. */
function heic(brand: string): Buffer {
  const box = Buffer.alloc(4_096);
  box.writeUInt32BE(24, 0);
  box.write(`ftyp${brand}`, 4, 'latin1');
  box.write('mif1heic', 16, 'latin1');
  return box;
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

/** Behind the header comes a chunk that says: two frames, for ever. */
function asAnimatedPng(png: Buffer): Buffer {
  const control = Buffer.alloc(8);
  control.writeUInt32BE(2, 0);
  return Buffer.concat([png.subarray(0, 33), pngChunk('acTL', control), png.subarray(33)]);
}

/** The header claims the size; what is behind it is next to nothing. */
async function hugePng(width: number, height: number): Promise<Buffer> {
  const small = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const size = Buffer.from(small.subarray(16, 29));
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  return Buffer.concat([small.subarray(0, 8), pngChunk('IHDR', size), small.subarray(33)]);
}

async function hugeJpeg(width: number, height: number): Promise<Buffer> {
  const small = await sharp({ create: { width: 16, height: 16, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer();
  const frame = small.indexOf(Buffer.from('ffc0', 'hex'));
  small.writeUInt16BE(height, frame + 5);
  small.writeUInt16BE(width, frame + 7);
  return small;
}
