import type { Database } from '../prisma/database';
import { appendOnce, forgetSpool, writtenOf } from './journal';
import { openSpool, OVER_AFTER_MS, type Noted, type Numbered } from './spool';

/** What one process has noted for the journal and is written many at a time. */
export type NotedQueue = {
  /** Takes note; nobody waits for it to be written. */
  readonly add: (record: Noted) => void;
  /** Writes what is noted. */
  readonly close: () => Promise<void>;
};

/**
 * Kept in memory; about what comes in while the database is restarted. Beyond that, what is new waits in the spool alone;
 * without one what is oldest is lost, and said to be.
 */
const AT_MOST = 20_000;
/** A spool that is not touched for long is taken for that of a dead process (journal/spool.ts). */
const TOUCH_EVERY_MS = OVER_AFTER_MS / 6;

/**
 * Writes what is noted, each once. With a folder each is in a file before anybody goes on (journal/spool.ts), and a
 * process that is killed leaves it to the next one; without one it loses what came since the last turn.
 *
 * @param options.id names the spool; of this queue alone
 * @param options.everyMs how long what is noted waits for more of its kind
 * @param options.atOnce lines that one statement writes
 * @param options.together makes entries of lines that are written at once
 * @param options.onLost told how many were given up
 */
export function createNotedQueue(
  database: Database,
  {
    id,
    folder,
    everyMs,
    atOnce,
    together = (records) => records,
    onLost,
  }: {
    readonly id: string;
    readonly folder: string | undefined;
    readonly everyMs: number;
    readonly atOnce: number;
    readonly together?: (records: readonly Noted[]) => readonly Noted[];
    readonly onLost: (count: number) => void;
  },
): NotedQueue {
  const spool = folder === undefined ? undefined : openSpool(folder, id);
  let noted: Numbered[] = [];
  let next = 0;
  let written = 0;
  /** Of what was noted, some is in the spool alone. */
  let isSpilled = false;
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();
  const touching = setInterval(() => {
    spool?.touch(noted);
  }, TOUCH_EVERY_MS).unref();

  function later(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      writing = writing.then(write);
    }, everyMs).unref();
  }

  async function write(): Promise<void> {
    try {
      while (noted.length > 0 || (await readSpilled())) {
        const batch = noted.slice(0, atOnce);
        const to = (batch.at(-1)?.number ?? next) + 1;
        const isNew = await appendOnce(database, { spool: id, from: written, to }, together(batch.map(recordOf)));
        // What was written already, by a try whose answer was lost or by somebody who took this process for dead.
        written = isNew ? to : await writtenOf(database, id);
        noted = noted.filter(({ number }) => number >= written);
        if (!isSpilled) spool?.keep(noted);
      }
    } catch {
      later();
    }
  }

  /** @returns whether there was something */
  async function readSpilled(): Promise<boolean> {
    if (!isSpilled || !spool) return false;
    const read: Numbered[] = [];
    for await (const line of spool.read()) {
      if (line.number >= written && read.push(line) === AT_MOST) break;
    }
    noted = read;
    isSpilled = (read.at(-1)?.number ?? written - 1) < next - 1;
    return read.length > 0;
  }

  return {
    add(record) {
      const numbered = { number: next++, atMs: Date.now(), record };
      const isSpooled = spool?.append(numbered) ?? false;
      later();
      if (isSpooled && (isSpilled || noted.length >= AT_MOST)) {
        isSpilled = true;
        return;
      }
      if (isSpilled) {
        onLost(1);
        return;
      }
      noted.push(numbered);
      if (noted.length <= AT_MOST) return;
      // Never the batch that is being written: those at the front may be on their way.
      noted.splice(atOnce, 1);
      onLost(1);
    },
    async close() {
      clearInterval(touching);
      clearTimeout(timer);
      writing = writing.then(write);
      await writing;
      clearTimeout(timer);
      const isDone = noted.length === 0 && !isSpilled;
      spool?.close(isDone);
      // Whoever has a spool finds them there the next time.
      if (!isDone && !spool) onLost(noted.length);
      if (isDone) await forgetSpool(database, id).catch(() => undefined);
    },
  };
}

const recordOf = ({ record }: Numbered): Noted => record;
