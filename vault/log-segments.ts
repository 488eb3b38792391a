import { appendFileSync, createReadStream, mkdirSync, type ReadStream } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { newKey, open, seal, SealBroken } from './envelope';
import type { KeyEncryption } from './key-encryption';

const FORMAT = 'domovoy-log/1';
/** Files of this ending are segments. */
export const SEGMENT_SUFFIX = '.dlog';

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
  write(line: string): void;
  /** Puts what is waiting on the disk; also when the process is about to end. */
  flush(): void;
};

type Segment = { readonly file: string; readonly id: string; readonly key: Buffer; frames: number; bytes: number };

const FLUSH_EVERY_MS = 250;
const FLUSH_FROM_BYTES = 64 * 1024;

/**
 * A destination for log lines that rests encrypted: segments of AES-256-GCM frames, each segment under a data key of its
 * own that the key encryption wraps. A frame is bound to its segment and place, so that none can be moved or left out of
 * the middle. A process that is killed loses what came in the last quarter of a second.
 *
 * @param options.segmentBytes from this size on the next segment begins
 */
export async function openLogSegments(options: {
  folder: string;
  process: string;
  keyEncryption: KeyEncryption;
  segmentBytes?: number;
}): Promise<LogSegments> {
  const { folder, segmentBytes = 16 * 1024 * 1024 } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let segment = await begin();
  let next: Promise<void> | undefined;
  let waiting: string[] = [];
  let waitingBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  async function begin(): Promise<Segment> {
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
    const startedAt = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const file = join(folder, `${options.process}-${startedAt}-${id.slice(0, 8)}${SEGMENT_SUFFIX}`);
    appendFileSync(file, `${JSON.stringify(header)}\n`, { mode: 0o600, flag: 'ax' });
    return { file, id, key, frames: 0, bytes: 0 };
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (waiting.length === 0) return;
    const plain = Buffer.from(waiting.join(''));
    waiting = [];
    waitingBytes = 0;
    const frame = seal(segment.key, plain, framePlace(segment.id, segment.frames)).toString('base64');
    appendFileSync(segment.file, `${frame}\n`);
    segment.frames += 1;
    segment.bytes += frame.length;
    if (segment.bytes < segmentBytes) return;
    // Until the key encryption answers, and when it does not, the old segment goes on.
    next ??= begin()
      .then((begun) => {
        segment = begun;
      })
      .catch(() => undefined)
      .finally(() => {
        next = undefined;
      });
  }

  return {
    write(line) {
      waiting.push(line);
      waitingBytes += line.length;
      if (waitingBytes >= FLUSH_FROM_BYTES) flush();
      else timer ??= setTimeout(flush, FLUSH_EVERY_MS).unref();
    },
    flush,
  };
}

/** A segment that cannot be read further: another key, or a frame that is not what was written there. */
export class SegmentBroken extends Error {
  override readonly name = 'SegmentBroken';
}

/**
 * The text of a segment, piece by piece. A last line without its end is what a process that was killed left: it is passed
 * over.
 *
 * @throws SegmentBroken
 */
export async function* readLogSegment(file: string, keyEncryption: KeyEncryption): AsyncGenerator<string> {
  const lines = wholeLines(createReadStream(file, { encoding: 'latin1' }));
  const first = await lines.next();
  const header = first.done === true ? null : headerOf(first.value);
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
