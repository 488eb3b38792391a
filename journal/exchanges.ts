import { randomUUID } from 'node:crypto';
import type { Integration } from '../contracts/ids';
import type { PartnerCallEntry } from '../contracts/partner-calls';
import type { Database } from '../prisma/database';
import { writeLeftBehind } from './left-behind';
import { createNotedQueue } from './noted-queue';
import { partnerCallRecord } from './partner-calls';
import { countedTogether, refusalRecord, type Refusal } from './refusals';

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
  /** Counts who was not let in (journal/refusals.ts). */
  readonly refused: (refusal: Refusal) => void;
  /** Writes what is noted. */
  readonly close: () => Promise<void>;
};

const EVERY_MS = 500;
const AT_ONCE = 500;
/** Long enough that a network that knocks and knocks is one entry. */
const REFUSALS_EVERY_MS = 10_000;
const REFUSALS_AT_ONCE = 5_000;

/**
 * Writes exchanges many at a time, so that an opening does not wait for a line about itself. What was decided and done
 * is not in here: that is written in its own transaction. With a folder nothing is lost with the process
 * (journal/noted-queue.ts).
 *
 * @param onLost told how many were given up
 * @param folder where spools are, this process's own and those of its like that died
 */
export function createExchangeJournal(
  database: Database,
  onLost: (count: number) => void,
  folder?: string,
  { refusalsEveryMs = REFUSALS_EVERY_MS }: { readonly refusalsEveryMs?: number } = {},
): ExchangeJournal {
  const [id, refusalsId] = [randomUUID(), randomUUID()];
  const exchanges = createNotedQueue(database, { id, folder, everyMs: EVERY_MS, atOnce: AT_ONCE, onLost });
  const refusals = createNotedQueue(database, {
    id: refusalsId,
    folder,
    everyMs: refusalsEveryMs,
    atOnce: REFUSALS_AT_ONCE,
    together: countedTogether,
    onLost,
  });
  const others = folder === undefined ? undefined : writeLeftBehind(database, folder, [id, refusalsId]);

  return {
    note: ({ operation, requestId, asked, ...exchange }) => {
      const reason = asked === undefined ? operation : `${operation} ${asked}`;
      exchanges.add({ kind: 'exchange', objectId: opaque(requestId), reason, ...exchange });
    },
    called: (call) => {
      exchanges.add(partnerCallRecord(call));
    },
    refused: (refusal) => {
      refusals.add(refusalRecord(refusal));
    },
    async close() {
      await Promise.all([exchanges.close(), refusals.close()]);
      await others?.close();
    },
  };
}

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
