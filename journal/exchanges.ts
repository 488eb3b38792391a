import { randomUUID } from 'node:crypto';
import type { Integration } from '../contracts/ids';
import type { Database } from '../prisma/database';
import { appendManyToJournal, type JournalRecord } from './journal';
import { partnerCallRecord, type PartnerCallEntry } from './partner-calls';

/** One request between the systems and its answer (R0.11): who asked for what and what the status was, no content. */
export type Exchange = {
  readonly integration: Integration | null;
  readonly requestId: string;
  readonly actor: string;
  /** The operation's id in the contract. */
  readonly operation: string;
  /** The status that was answered, or `aborted`. */
  readonly outcome: string;
};

export type ExchangeJournal = {
  /** Takes note; nobody waits for it to be written. */
  readonly note: (exchange: Exchange) => void;
  /** Takes note of a call of ours to another system. */
  readonly called: (call: PartnerCallEntry) => void;
  /** Writes what is noted. */
  readonly close: () => Promise<void>;
};

const EVERY_MS = 500;
const AT_ONCE = 500;
/** About what comes in while the database is restarted. Beyond that, what is oldest is lost, and said to be. */
const AT_MOST = 20_000;

/**
 * Writes exchanges many at a time, so that an opening does not wait for a line about itself. What was decided and done
 * is not in here: that is written in its own transaction. A process that is killed loses half a second of these.
 *
 * @param onLost told how many were given up
 * @param append writes a batch
 */
export function createExchangeJournal(
  database: Database,
  onLost: (count: number) => void,
  append: typeof appendManyToJournal = appendManyToJournal,
): ExchangeJournal {
  let noted: JournalRecord[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();

  function later(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      writing = writing.then(write);
    }, EVERY_MS).unref();
  }

  async function write(): Promise<void> {
    while (noted.length > 0) {
      const batch = noted.slice(0, AT_ONCE);
      try {
        await append(database, batch);
      } catch {
        later();
        return;
      }
      noted = noted.slice(batch.length);
    }
  }

  function add(record: JournalRecord): void {
    noted.push(record);
    later();
    // Never the batch that is being written: those at the front may be on their way.
    if (noted.length <= AT_MOST) return;
    noted.splice(AT_ONCE, 1);
    onLost(1);
  }

  return {
    note: ({ operation, requestId, ...exchange }) => {
      add({ kind: 'exchange', objectId: opaque(requestId), reason: operation, ...exchange });
    },
    called: (call) => {
      add(partnerCallRecord(call));
    },
    async close() {
      clearTimeout(timer);
      writing = writing.then(write);
      await writing;
      clearTimeout(timer);
      if (noted.length > 0) onLost(noted.length);
    },
  };
}

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** A caller may choose its request id, and may choose to put anything there: what is no UUID is given one of its own. */
export const opaque = (requestId: string): string => (UUID.test(requestId) ? requestId : randomUUID());
