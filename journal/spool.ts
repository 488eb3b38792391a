import { randomUUID } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** What is noted for the journal many at a time: opaque ids and listed words, as the journal itself has them in clear. */
const Noted = z.strictObject({
  kind: z.enum(['exchange', 'partner-call', 'refusal']),
  integration: z.string().nullable(),
  objectId: z.string(),
  actor: z.string(),
  outcome: z.string(),
  reason: z.string().optional(),
});
export type Noted = Readonly<z.infer<typeof Noted>>;

const Line = z.strictObject({ number: z.number().int().nonnegative(), atMs: z.number(), record: Noted });
/** With its place among all that the process noted. */
export type Numbered = Readonly<z.infer<typeof Line>>;

/** What one process has noted since it started and is not known to be in the database, as lines of a file. */
export type Spool = {
  /**
   * Survives the process, however it ends; not the machine: nobody waits for the disk.
   *
   * @returns whether it is in the file
   */
  append(noted: Numbered): boolean;
  /** Every line that is there. */
  read(): AsyncGenerator<Numbered>;
  /** Forgets all lines but these, once what can be forgotten is worth it. */
  keep(unwritten: readonly Numbered[]): void;
  /** Says that the process lives. */
  touch(unwritten: readonly Numbered[]): void;
  /** @param isDone nothing is left to write: the file goes */
  close(isDone: boolean): void;
};

const SUFFIX = '.jsonl';
/** Some thousand lines. */
const FORGET_FROM_BYTES = 1_000_000;
/** About a day of a busy API without its database; more are lost, and said to be. */
const AT_MOST_BYTES = 512_000_000;

/** @param id names the file, and the process's row of `journal_spools` */
export function openSpool(folder: string, id: string = randomUUID()): Spool {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, id + SUFFIX);
  let handle = openSync(file, 'ax', 0o600);
  let bytes = 0;
  /** Set when a line may have been written in part: the next one begins a line of its own. */
  let isTorn = false;

  function append(noted: Numbered): boolean {
    const line = `${isTorn ? '\n' : ''}${JSON.stringify(noted)}\n`;
    if (bytes + line.length > AT_MOST_BYTES) return false;
    try {
      const taken = writeSync(handle, line);
      bytes += taken;
      isTorn = taken < Buffer.byteLength(line);
    } catch {
      isTorn = true;
    }
    return !isTorn;
  }

  /** A new file takes the old one's place at once, so that no death comes between. On a full disk the old one stays. */
  function rewrite(lines: readonly Numbered[]): void {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    const next = `${file}.new`;
    try {
      writeFileSync(next, text, { mode: 0o600 });
      renameSync(next, file);
      closeSync(handle);
      handle = openSync(file, 'a', 0o600);
    } catch {
      return;
    }
    bytes = text.length;
    isTorn = false;
  }

  return {
    append,
    read: () => linesOf(file),
    keep(unwritten) {
      if (bytes >= FORGET_FROM_BYTES) rewrite(unwritten);
    },
    touch(unwritten) {
      try {
        utimesSync(file, new Date(), new Date());
      } catch {
        // It was taken for dead and its lines were written; those that came since are in no file.
        rewrite(unwritten);
      }
    },
    close(isDone) {
      closeSync(handle);
      if (isDone) rmSync(file, { force: true });
    },
  };
}

export type LeftBehind = {
  readonly id: string;
  /** Whether its process lives no more: then nothing comes after what is read now. */
  readonly isOver: boolean;
  read(): AsyncGenerator<Numbered>;
  remove(): void;
};

/** For so long a file is not touched before its process counts as dead; a living one touches it far more often. */
export const OVER_AFTER_MS = 60_000;

/** What other processes keep in the folder, this one's own left out. */
export function spoolsIn(folder: string, ownIds: readonly string[], overAfterMs = OVER_AFTER_MS): LeftBehind[] {
  const own = ownIds.map((id) => id + SUFFIX);
  const names = readdirSync(folder).filter((name) => name.endsWith(SUFFIX) && !own.includes(name));
  return names.flatMap((name) => {
    const file = join(folder, name);
    const touched = statSync(file, { throwIfNoEntry: false });
    if (!touched) return [];
    return {
      id: name.slice(0, -SUFFIX.length),
      isOver: Date.now() - touched.mtimeMs > overAfterMs,
      read: () => linesOf(file),
      remove() {
        rmSync(file, { force: true });
      },
    };
  });
}

/** A line that was cut off when its process died, or by a full disk, says nothing; a file that is gone has none. */
async function* linesOf(file: string): AsyncGenerator<Numbered> {
  let rest = '';
  try {
    for await (const piece of createReadStream(file, 'utf8') as AsyncIterable<string>) {
      const texts = (rest + piece).split('\n');
      rest = texts.pop() ?? '';
      for (const text of texts) {
        const line = Line.safeParse(jsonOf(text));
        if (line.success) yield line.data;
      }
    }
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== 'ENOENT') throw error;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
