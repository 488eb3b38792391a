import {
  appendFileSync,
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  mkdirSync,
  openSync,
  readdirSync,
  type ReadStream,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { newKey, open, seal, SealBroken } from './envelope';
import type { KeyEncryption } from './key-encryption';

const FORMAT = 'domovoy-log/1';
/** Files of this ending are segments. */
export const SEGMENT_SUFFIX = '.dlog';
const DRAFT_SUFFIX = '.new';

const Header = z.object({
  format: z.literal(FORMAT),
  segment: z.uuid(),
  process: z.string(),
  keyId: z.string(),
  wrapped: z.base64(),
});
type Header = z.infer<typeof Header>;

const segmentPlace = (segment: string): string => `log-segments/${segment}`;
const framePlace = (segment: string, frame: number): string => `log-segments/${segment}/${frame.toString()}`;

export type LogSegments = {
  /** Never throws: a process does not end for want of a place for its lines. */
  write(line: string): void;
  /** Puts what is waiting on the disk. */
  flush(): void;
  /** When the process is about to end: what the disk does not take goes to the fallback. */
  end(): void;
};

type Segment = {
  readonly file: string;
  readonly id: string;
  readonly key: Buffer;
  readonly begunMs: number;
  frames: number;
  bytes: number;
};

const HOUR_MS = 3_600_000;
const FLUSH_EVERY_MS = 250;
const FLUSH_FROM_BYTES = 64 * 1024;
/** While the disk takes nothing: what is beyond goes to the fallback, the oldest first. */
const MOST_WAITING_BYTES = 1024 * 1024;
/** A full disk and a key encryption that is away are not asked with each line. */
const BEGIN_AGAIN_MS = 5_000;
/** A segment of an idle process ends, too, so that what it holds can go when its term is over. */
const SEGMENT_MS = 24 * HOUR_MS;

/**
 * A destination for log lines that rests encrypted: segments of AES-256-GCM frames, each segment under a data key of its
 * own that the key encryption wraps. A frame is bound to its segment and place, so that none can be moved or left out of
 * the middle. A process that is killed loses what came in the last quarter of a second.
 *
 * A disk that is full, or a folder that cannot be written, stops nobody: lines wait within a bound, what is beyond it
 * goes to the fallback, and the next segment says how many lines did. What was tried in vain is tried again.
 *
 * @param options.segmentBytes from this size on the next segment begins
 * @param options.keepMs segments, of whichever process, that nobody has written to for so long are deleted
 * @param options.fallback takes lines that the disk does not
 */
export async function openLogSegments(options: {
  folder: string;
  process: string;
  keyEncryption: KeyEncryption;
  segmentBytes?: number;
  keepMs?: number;
  fallback?: (line: string) => void;
}): Promise<LogSegments> {
  const { folder, segmentBytes = 16 * 1024 * 1024, keepMs = Infinity } = options;
  const fallback = options.fallback ?? ((line: string): void => void process.stdout.write(line));
  let segment: Segment | undefined;
  let next: Promise<void> | undefined;
  let triedMs = -Infinity;
  let isFailing = false;
  let elsewhere = 0;
  let waiting: string[] = [];
  let waitingBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  async function begin(): Promise<Segment> {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const id = randomUUID();
    const key = newKey();
    const { wrapped, keyId } = await options.keyEncryption.wrap(key, segmentPlace(id));
    const header: Header = {
      format: FORMAT,
      segment: id,
      process: options.process,
      keyId,
      wrapped: Buffer.from(wrapped).toString('base64'),
    };
    const begunMs = Date.now();
    const startedAt = new Date(begunMs).toISOString().replaceAll(/[:.]/g, '-');
    const file = join(folder, `${options.process}-${startedAt}-${id.slice(0, 8)}${SEGMENT_SUFFIX}`);
    writeWhole(file, `${JSON.stringify(header)}\n`);
    return { file, id, key, begunMs, frames: 0, bytes: 0 };
  }

  /** Until the key encryption and the disk answer, the old segment goes on, or lines wait. */
  function beginNext(): Promise<void> {
    if (next) return next;
    if (Date.now() - triedMs < BEGIN_AGAIN_MS && isFailing) return Promise.resolve();
    triedMs = Date.now();
    next = begin()
      .then((begun) => {
        segment = begun;
        isFailing = false;
        removeOld(folder, keepMs);
      })
      .catch((error: unknown) => {
        failed(error);
      })
      .finally(() => {
        next = undefined;
      });
    return next;
  }

  /** Said once where somebody can read it, not with each line. */
  function failed(error: unknown): void {
    if (!isFailing) fallback(notice('log segments cannot be written', { code: codeOf(error) }));
    isFailing = true;
  }

  const notice = (msg: string, fields: { code?: string; count?: number }): string => {
    const about = { level: 'error', time: new Date().toISOString(), process: options.process, event: 'log-segments' };
    return `${JSON.stringify({ ...about, ...fields, msg })}\n`;
  };

  /** @returns whether the disk has taken it */
  function append(to: Segment, lines: readonly string[]): boolean {
    const told = elsewhere > 0 ? [notice('lines went to the standard output', { count: elsewhere })] : [];
    const plain = Buffer.from([...told, ...lines].join(''));
    const frame = seal(to.key, plain, framePlace(to.id, to.frames)).toString('base64');
    try {
      appendThere(to.file, `${frame}\n`);
    } catch (error) {
      // Half a frame may lie there: whatever came after it could not be read. What is waiting goes to another segment.
      segment = undefined;
      failed(error);
      return false;
    }
    elsewhere = 0;
    to.frames += 1;
    to.bytes += frame.length;
    return true;
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (waiting.length > 0 && segment && append(segment, waiting)) {
      waiting = [];
      waitingBytes = 0;
    }
    while (waitingBytes > MOST_WAITING_BYTES) toFallback(waiting.shift() ?? '');
    const isOver = !segment || segment.bytes >= segmentBytes || Date.now() - segment.begunMs >= SEGMENT_MS;
    if (isOver) void beginNext();
    if (waiting.length > 0) flushSoon();
  }

  function toFallback(line: string): void {
    waitingBytes -= line.length;
    elsewhere += 1;
    fallback(line);
  }

  function flushSoon(): void {
    timer ??= setTimeout(flush, FLUSH_EVERY_MS).unref();
  }

  await beginNext();
  setInterval(() => {
    removeOld(folder, keepMs);
  }, HOUR_MS).unref();
  return {
    write(line) {
      waiting.push(line);
      waitingBytes += line.length;
      const isMuch = segment ? waitingBytes >= FLUSH_FROM_BYTES : waitingBytes > MOST_WAITING_BYTES;
      if (isMuch) flush();
      else flushSoon();
    },
    flush,
    end() {
      flush();
      for (const line of waiting.splice(0)) toFallback(line);
    },
  };
}

/** A file that was deleted is not made again: it would be one without its first line. */
function appendThere(file: string, text: string): void {
  const fd = openSync(file, constants.O_WRONLY | constants.O_APPEND);
  try {
    appendFileSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** Under its name it is whole: who reads the folder finds no half of a first line. */
function writeWhole(file: string, text: string): void {
  const draft = `${file}${DRAFT_SUFFIX}`;
  try {
    writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Several processes share a folder: what another one has deleted is gone, and what cannot be deleted is tried again. */
function removeOld(folder: string, keepMs: number): void {
  if (keepMs === Infinity) return;
  const beforeMs = Date.now() - keepMs;
  for (const name of namesIn(folder)) {
    const file = join(folder, name);
    try {
      if (statSync(file).mtimeMs < beforeMs) rmSync(file, { force: true });
    } catch {
      continue;
    }
  }
}

function namesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder);
    return names.filter((name) => name.endsWith(SEGMENT_SUFFIX) || name.endsWith(SEGMENT_SUFFIX + DRAFT_SUFFIX));
  } catch {
    return [];
  }
}

/** A listed word of the operating system; messages name paths. */
function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : 'unknown';
}

/** A segment that somebody may still write to is left for later: it is the copy that is put in its place. */
const QUIET_MS = HOUR_MS;

/**
 * Wraps the data keys of finished segments anew that lie under an older key-encryption key (vault/rewrap.ts). What is
 * sealed stays as it is, and so does the time from which a segment's term counts. A segment is replaced whole or not at
 * all, whoever reads it meanwhile; one that cannot be read as a segment is left alone.
 *
 * @param most how many at most
 * @returns how many were wrapped anew, and how many still lie under an older key
 */
export async function rewrapLogSegments(
  folder: string,
  keyEncryption: KeyEncryption,
  most: number,
): Promise<{ rewrapped: number; left: number }> {
  const currentId = await keyEncryption.currentKeyId();
  let [rewrapped, left] = [0, 0];
  for (const name of namesIn(folder).filter((each) => each.endsWith(SEGMENT_SUFFIX))) {
    const file = join(folder, name);
    const found = await headerIn(file);
    if (!found || found.header.keyId === currentId) continue;
    const isQuiet = found.mtimeMs < Date.now() - QUIET_MS;
    if (rewrapped < most && isQuiet && (await rewrapSegment(file, found, keyEncryption))) rewrapped += 1;
    else left += 1;
  }
  return { rewrapped, left };
}

type FoundHeader = {
  readonly header: Header;
  readonly headerBytes: number;
  readonly size: number;
  readonly mtimeMs: number;
};

/** @returns `null` for what is no segment, or is gone */
async function headerIn(file: string): Promise<FoundHeader | null> {
  try {
    const { size, mtimeMs } = statSync(file);
    const stream = createReadStream(file, { encoding: 'latin1' });
    const first = await wholeLines(stream).next();
    stream.destroy();
    const header = first.done === true ? null : headerOf(first.value);
    return header && { header, headerBytes: (first.value as string).length + 1, size, mtimeMs };
  } catch {
    return null;
  }
}

/** @returns whether the copy is in its place; not when somebody has written to the segment meanwhile */
async function rewrapSegment(file: string, found: FoundHeader, keyEncryption: KeyEncryption): Promise<boolean> {
  const { header, headerBytes, size, mtimeMs } = found;
  const old = { wrapped: Buffer.from(header.wrapped, 'base64'), keyId: header.keyId };
  const { wrapped, keyId } = await keyEncryption.rewrap(old, segmentPlace(header.segment));
  const next: Header = { ...header, keyId, wrapped: Buffer.from(wrapped).toString('base64') };
  const draft = join(file, '..', `${randomUUID()}${SEGMENT_SUFFIX}${DRAFT_SUFFIX}`);
  try {
    writeFileSync(draft, `${JSON.stringify(next)}\n`, { mode: 0o600, flag: 'wx' });
    const rest = createReadStream(file, { start: headerBytes, end: Math.max(headerBytes, size - 1) });
    if (size > headerBytes) await pipeline(rest, createWriteStream(draft, { flags: 'a', flush: true }));
    utimesSync(draft, new Date(mtimeMs), new Date(mtimeMs));
    if (statSync(file).size !== size) return false;
    renameSync(draft, file);
    return true;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** A segment that cannot be read further: another key, or a frame that is not what was written there. */
export class SegmentBroken extends Error {
  override readonly name = 'SegmentBroken';
}

/**
 * The text of a segment, piece by piece. A last line without its end is what a process that was killed left: it is passed
 * over, and a file without a whole first line is empty.
 *
 * @throws SegmentBroken
 */
export async function* readLogSegment(file: string, keyEncryption: KeyEncryption): AsyncGenerator<string> {
  const lines = wholeLines(createReadStream(file, { encoding: 'latin1' }));
  const first = await lines.next();
  if (first.done === true) return;
  const header = headerOf(first.value);
  if (!header) throw new SegmentBroken('This is no segment of a log.');
  const { segment, wrapped, keyId } = header;
  const key = await keyEncryption
    .unwrap({ wrapped: Buffer.from(wrapped, 'base64'), keyId }, segmentPlace(segment))
    .catch((error: unknown) => {
      throw error instanceof SealBroken ? new SegmentBroken(`The key ${keyId} is not at hand.`) : error;
    });
  let frame = 0;
  for await (const line of lines) {
    yield openFrame(key, line, framePlace(segment, frame));
    frame += 1;
  }
}

function openFrame(key: Buffer, line: string, place: string): string {
  try {
    return open(key, Buffer.from(line, 'base64'), place).toString('utf8');
  } catch (error) {
    throw error instanceof SealBroken ? new SegmentBroken('A frame is not what was written in its place.') : error;
  }
}

async function* wholeLines(stream: ReadStream): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

function headerOf(line: string): Header | null {
  try {
    const parsed = Header.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
