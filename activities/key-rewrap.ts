import { appendJournal } from '../journal/journal';
import type { Database } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { leftToRewrap, rewrapBatch, type WrappedTable } from '../vault/rewrap';

export type KeyRewrapActivities = ReturnType<typeof createKeyRewrapActivities>;

/** Small enough to end well within its time, also when each one is a question over the network. */
const BATCH = 100;

/** Effects of wrapping data keys anew after the key-encryption key was replaced, run by the `core` worker. */
export function createKeyRewrapActivities({
  database,
  keyEncryption,
}: {
  database: Database;
  keyEncryption: KeyEncryption;
}) {
  return {
    /** @returns how many rows of the table were under an older key; 0: none is left */
    rewrapSome: (table: WrappedTable): Promise<number> => rewrapBatch(database, keyEncryption, table, BATCH),

    /** Writes down how it ended, if there was anything to do. @returns how many rows still want an older key */
    async concludeRewrap(rewrapped: number): Promise<number> {
      const left = await leftToRewrap(database, keyEncryption);
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
