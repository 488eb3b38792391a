import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKey } from './envelope';
import { localKeyEncryption } from './key-encryption';
import { openLogSegments, readLogSegment, SegmentBroken } from './log-segments';

const key = newKey();
const keyEncryption = localKeyEncryption(new Map([['k1', key]]), 'k1');

async function textOf(file: string, encryption = keyEncryption): Promise<string> {
  let text = '';
  for await (const piece of readLogSegment(file, encryption)) text += piece;
  return text;
}
const filesIn = (folder: string): string[] =>
  readdirSync(folder)
    .toSorted()
    .map((name) => join(folder, name));
const newFolder = (): string => mkdtempSync(join(tmpdir(), 'domovoy-logs-'));

/** A segment of three frames. */
async function threeFrames(): Promise<{ folder: string; file: string }> {
  const folder = newFolder();
  const log = await openLogSegments({ folder, process: 'api', keyEncryption });
  for (const word of ['one', 'two', 'three']) {
    log.write(`{"msg":"canary-${word}"}\n`);
    log.flush();
  }
  return { folder, file: filesIn(folder)[0] ?? '' };
}

describe('segments of a log', () => {
  it('hold no line as it was written, and give each back to who has the key', async () => {
    const { file } = await threeFrames();
    expect(readFileSync(file, 'utf8')).not.toMatch(/canary|msg/);
    expect(await textOf(file)).toBe('{"msg":"canary-one"}\n{"msg":"canary-two"}\n{"msg":"canary-three"}\n');
  });

  it('do not open with another key', async () => {
    const { file } = await threeFrames();
    for (const other of [new Map([['k1', newKey()]]), new Map([['k2', newKey()]])]) {
      const [id = ''] = other.keys();
      await expect(textOf(file, localKeyEncryption(other, id))).rejects.toBeInstanceOf(SegmentBroken);
    }
  });

  it.each<[string, (lines: string[]) => string[]]>([
    ['a frame is taken out', ([header = '', , ...rest]) => [header, ...rest]],
    ['frames change places', ([header = '', one = '', two = '', ...rest]) => [header, two, one, ...rest]],
    ['a frame is changed', ([header = '', one = '', ...rest]) => [header, one.replace(/^(.{40})./, '$1_'), ...rest]],
    ['a frame is there twice', ([header = '', one = '', ...rest]) => [header, one, one, ...rest]],
  ])('are refused when %s', async (_what, change) => {
    const { file } = await threeFrames();
    writeFileSync(file, change(readFileSync(file, 'utf8').split('\n')).join('\n'));
    await expect(textOf(file)).rejects.toBeInstanceOf(SegmentBroken);
  });

  it('are read up to where a process was killed in the middle of a line', async () => {
    const { file } = await threeFrames();
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -10));
    expect(await textOf(file)).toBe('{"msg":"canary-one"}\n{"msg":"canary-two"}\n');
  });

  it('follow each other, each under a key of its own, and lose nothing in between', async () => {
    const folder = newFolder();
    const log = await openLogSegments({ folder, process: 'api', keyEncryption, segmentBytes: 2_000 });
    for (let line = 0; line < 100; line++) {
      log.write(`${line.toString()}\n`);
      log.flush();
      await Promise.resolve().then(() => new Promise(setImmediate));
    }
    const files = filesIn(folder);
    expect(files.length).toBeGreaterThan(2);
    const texts = await Promise.all(files.map((file) => textOf(file)));
    const lines = texts.join('').split('\n').filter(Boolean).map(Number);
    expect(lines.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index));
    const wrapped = files.map(
      (file) => (JSON.parse(readFileSync(file, 'utf8').split('\n')[0] ?? '') as { wrapped: string }).wrapped,
    );
    expect(new Set(wrapped).size).toBe(files.length);
  });
});
