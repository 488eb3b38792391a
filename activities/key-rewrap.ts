import { appendJournal } from '../journal/journal';
import type { Database } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { rewrapLogSegments } from '../vault/log-segments';
import { leftToRewrap, rewrapBatch, type WrappedTable } from '../vault/rewrap';

export type KeyRewrapActivities = ReturnType<typeof createKeyRewrapActivities>;

/** Small enough to end well within its time, also when each one is a question over the network. */
const BATCH = 100;
/** Each is copied. */
const SEGMENTS = 10;

/** Effects of wrapping data keys anew after the key-encryption key was replaced, run by the `core` worker. */
export function createKeyRewrapActivities({
  database,
  keyEncryption,
  logSegments,
}: {
  database: Database;
  keyEncryption: KeyEncryption;
  /** The folder that the processes share for their logs, when they rest encrypted. */
  logSegments?: string | undefined;
}) {
  return {
    /** @returns how many rows of the table were under an older key; 0: none is left */
    rewrapSome: (table: WrappedTable): Promise<number> => rewrapBatch(database, keyEncryption, table, BATCH),

    /** @returns how many segments of logs were under an older key and no longer are, and how many still are */
    rewrapLogs: (): Promise<{ rewrapped: number; left: number }> =>
      logSegments === undefined
        ? Promise.resolve({ rewrapped: 0, left: 0 })
        : rewrapLogSegments(logSegments, keyEncryption, SEGMENTS),

    /**
     * Writes down how it ended, if there was anything to do.
     *
     * @returns how many rows, and segments of logs as it is told, still want an older key
     */
    async concludeRewrap(rewrapped: number, segmentsLeft = 0): Promise<number> {
      const left = (await leftToRewrap(database, keyEncryption)) + segmentsLeft;
      if (rewrapped > 0) {
        await appendJournal(database, {
          kind: 'key-encryption',
          integration: null,
          objectId: await keyEncryption.currentKeyId(),
          actor: 'key-rewrap',
          outcome: left === 0 ? 'complete' : 'incomplete',
          reason: `rewrapped-${rewrapped.toString()}`,
        });
      }
      return left;
    },
  };
}
