import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKey } from './envelope';
import { localKeyEncryption } from './key-encryption';
import { until } from '../test/support/until';
import { openLogSegments, readLogSegment, rewrapLogSegments, SegmentBroken } from './log-segments';

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

/** A log whose folder went away under it, with one line that has no place. */
async function failing() {
  const folder = newFolder();
  const elsewhere: string[] = [];
  const fallback = (line: string): void => void elsewhere.push(line);
  const log = await openLogSegments({ folder, process: 'api', keyEncryption, fallback });
  rmSync(folder, { recursive: true });
  log.write('after\n');
  expect(() => {
    log.flush();
  }).not.toThrow();
  return { folder, log, elsewhere };
}

/** The log tries again some seconds later: the clock says that they have passed. */
async function next(log: { flush: () => void }, isThere: () => boolean): Promise<void> {
  const nowMs = Date.now() + 60_000;
  const clock = jest.spyOn(Date, 'now').mockReturnValue(nowMs);
  log.flush();
  clock.mockRestore();
  await until('the next segment has begun', () => Promise.resolve(isThere()));
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

  it('hold nothing when the process died before the first line was whole', async () => {
    const { file } = await threeFrames();
    const [header = ''] = readFileSync(file, 'utf8').split('\n');
    for (const rest of ['', header.slice(0, 20)]) {
      writeFileSync(file, rest);
      expect(await textOf(file)).toBe('');
    }
  });

  it('let a process start and go on while nothing can be written, within a bound, and say what went elsewhere', async () => {
    const folder = join(newFolder(), 'segments');
    // A file where the folder should be: whatever is written there fails, for whichever user.
    writeFileSync(folder, '');
    const elsewhere: string[] = [];
    const fallback = (line: string): void => void elsewhere.push(line);
    const log = await openLogSegments({ folder, process: 'api', keyEncryption, fallback });
    expect(elsewhere.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({ event: 'log-segments', code: expect.any(String) as unknown }),
    ]);
    const line = (index: number): string => `${index.toString()} ${'x'.repeat(1_000)}\n`;
    for (let index = 0; index < 1_500; index++) log.write(line(index));
    const written = elsewhere.slice(1);
    expect(written.length).toBeGreaterThan(400);
    expect(written).toEqual(written.map((_, index) => line(index)));

    rmSync(folder);
    await next(log, () => filesIn(folder).length > 0);
    log.flush();
    const text = await textOf(filesIn(folder)[0] ?? '');
    const [notice = '', ...kept] = text.split('\n').filter(Boolean);
    expect(JSON.parse(notice)).toMatchObject({ event: 'log-segments', count: written.length });
    expect(kept[0]).toBe(line(written.length).trimEnd());
    expect(written.length + kept.length).toBe(1_500);
  });

  it('lose no line when the disk fails under a segment: the next one has it, and the old one can still be read', async () => {
    const { folder, log, elsewhere } = await failing();
    expect(elsewhere).toHaveLength(1);
    mkdirSync(folder);
    await next(log, () => filesIn(folder).length > 0);
    log.flush();
    expect(await textOf(filesIn(folder)[0] ?? '')).toBe('after\n');
  });

  it('give what the disk does not take to the fallback when the process ends', async () => {
    const { log, elsewhere } = await failing();
    log.end();
    expect(elsewhere.at(-1)).toBe('after\n');
  });

  it('are deleted when their term is over, with what a killed process left of one, and nothing else is', async () => {
    const { folder, file } = await threeFrames();
    const old = new Date(Date.now() - 10_000_000);
    const others = ['notes.txt', 'left.dlog.new'].map((name) => join(folder, name));
    for (const each of others) writeFileSync(each, '');
    for (const each of [file, ...others]) utimesSync(each, old, old);
    const [young] = filesIn((await threeFrames()).folder);
    writeFileSync(join(folder, 'young.dlog'), readFileSync(young ?? ''));
    await openLogSegments({ folder, process: 'worker', keyEncryption, keepMs: 9_000_000 });
    const left = filesIn(folder).map((path) => path.slice(folder.length + 1));
    expect(left).toEqual(['notes.txt', expect.stringMatching(/^worker-/), 'young.dlog']);
  });

  it('are wrapped anew once nobody writes to them, keep their term, and are read without the old key', async () => {
    const { folder, file } = await threeFrames();
    const lines = await textOf(file);
    const next = newKey();
    const both = new Map([
      ['k2', next],
      ['k1', key],
    ]);
    const during = localKeyEncryption(both, 'k2');
    const after = localKeyEncryption(new Map([['k2', next]]), 'k2');
    writeFileSync(join(folder, 'strange.dlog'), 'no segment\n');
    expect(await rewrapLogSegments(folder, during, 10)).toEqual({ rewrapped: 0, left: 1 });

    const old = new Date(Date.now() - 10_000_000);
    utimesSync(file, old, old);
    expect(await rewrapLogSegments(folder, during, 0)).toEqual({ rewrapped: 0, left: 1 });
    expect(await rewrapLogSegments(folder, during, 10)).toEqual({ rewrapped: 1, left: 0 });
    expect(await textOf(file, after)).toBe(lines);
    expect(statSync(file).mtimeMs).toBeCloseTo(old.getTime(), -1);
    expect(await rewrapLogSegments(folder, during, 10)).toEqual({ rewrapped: 0, left: 0 });
    expect(filesIn(folder)).toHaveLength(2);
    await expect(textOf(file)).rejects.toThrow(SegmentBroken);
  });

  it('stay as they were when the old key is not at hand', async () => {
    const { folder, file } = await threeFrames();
    const old = new Date(Date.now() - 10_000_000);
    utimesSync(file, old, old);
    const lines = await textOf(file);
    const stranger = localKeyEncryption(new Map([['k9', newKey()]]), 'k9');
    await expect(rewrapLogSegments(folder, stranger, 10)).rejects.toThrow();
    expect(await textOf(file)).toBe(lines);
    expect(filesIn(folder)).toEqual([file]);
  });
});
