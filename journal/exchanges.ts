import { randomUUID } from 'node:crypto';
import type { Integration } from '../contracts/ids';
import type { PartnerCallEntry } from '../contracts/partner-calls';
import type { Database } from '../prisma/database';
import { appendOnce, forgetSpool, writtenOf } from './journal';
import { writeLeftBehind } from './left-behind';
import { partnerCallRecord } from './partner-calls';
import { openSpool, OVER_AFTER_MS, type Noted, type Numbered } from './spool';

/** One request between the systems and its answer (R0.11): who asked for what and what the status was, no content. */
export type Exchange = {
  readonly integration: Integration | null;
  readonly requestId: string;
  readonly actor: string;
  /** The operation's id in the contract. */
  readonly operation: string;
  /** The status that was answered, or `aborted`. */
  readonly outcome: string;
  /** Stands for what was asked for in vain: tells one thing from another, and leads back to none. */
  readonly asked?: string;
};

export type ExchangeJournal = {
  /** Takes note; nobody waits for it to be written. */
  readonly note: (exchange: Exchange) => void;
  /** Takes note of a call of ours to another system. */
  readonly called: (call: PartnerCallEntry) => void;
  /** Takes note of who was not let in (journal/refusals.ts). */
  readonly refused: (record: Noted) => void;
  /** Writes what is noted. */
  readonly close: () => Promise<void>;
};

const EVERY_MS = 500;
const AT_ONCE = 500;
/**
 * Kept in memory; about what comes in while the database is restarted. Beyond that, what is new waits in the spool alone;
 * without one what is oldest is lost, and said to be.
 */
const AT_MOST = 20_000;
/** A spool that is not touched for long is taken for that of a dead process (journal/spool.ts). */
const TOUCH_EVERY_MS = OVER_AFTER_MS / 6;

/**
 * Writes exchanges many at a time, so that an opening does not wait for a line about itself. What was decided and done
 * is not in here: that is written in its own transaction. With a folder each is in a file before anybody goes on
 * (journal/spool.ts), and a process that is killed leaves it to the next one; without one it loses half a second of these.
 * None is written twice.
 *
 * @param onLost told how many were given up
 * @param folder where spools are, this process's own and those of its like that died
 */
export function createExchangeJournal(
  database: Database,
  onLost: (count: number) => void,
  folder?: string,
): ExchangeJournal {
  const id = randomUUID();
  const spool = folder === undefined ? undefined : openSpool(folder, id);
  const others = folder === undefined ? undefined : writeLeftBehind(database, folder, id);
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
    }, EVERY_MS).unref();
  }

  async function write(): Promise<void> {
    try {
      while (noted.length > 0 || (await readSpilled())) {
        const batch = noted.slice(0, AT_ONCE);
        const to = (batch.at(-1)?.number ?? next) + 1;
        const isNew = await appendOnce(database, { spool: id, from: written, to }, batch.map(recordOf));
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

  function add(record: Noted): void {
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
    noted.splice(AT_ONCE, 1);
    onLost(1);
  }

  return {
    note: ({ operation, requestId, asked, ...exchange }) => {
      const reason = asked === undefined ? operation : `${operation} ${asked}`;
      add({ kind: 'exchange', objectId: opaque(requestId), reason, ...exchange });
    },
    called: (call) => {
      add(partnerCallRecord(call));
    },
    refused: add,
    async close() {
      clearInterval(touching);
      clearTimeout(timer);
      writing = writing.then(write);
      await writing;
      clearTimeout(timer);
      await others?.close();
      const isDone = noted.length === 0 && !isSpilled;
      spool?.close(isDone);
      // Whoever has a spool finds them there the next time.
      if (!isDone && !spool) onLost(noted.length);
      if (isDone) await forgetSpool(database, id).catch(() => undefined);
    },
  };
}

const recordOf = ({ record }: Numbered): Noted => record;

/** @returns `null` for an entry that is no exchange */
export function readExchange(entry: {
  readonly kind: string;
  readonly reason: string | null;
}): { readonly operation: string; readonly asked?: string } | null {
  if (entry.kind !== 'exchange') return null;
  const [operation = '', asked] = (entry.reason ?? '').split(' ');
  return { operation, ...(asked !== undefined && { asked }) };
}

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** A caller may choose its request id, and may choose to put anything there: what is no UUID is given one of its own. */
export const opaque = (requestId: string): string => (UUID.test(requestId) ? requestId : randomUUID());
