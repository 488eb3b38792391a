import { Gauge, type Registry } from 'prom-client';
import type { Logger } from '../config/logger';
import { repeating } from '../config/repeating';
import { comparedSince } from '../erasure/restore-check';
import type { Database } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import type { KeyStore } from '../vault/key-store';
import { countLostKeys, removeOrphanedShares, splitWholeKeys } from '../vault/key-store-upkeep';

type Parts = { readonly database: Database; readonly keyStore: KeyStore; readonly keyEncryption: KeyEncryption };

const DAY_MS = 24 * 3_600_000;
const TEND_EVERY_MS = 15 * 60_000;

export type KeyStoreStanding = {
  /** How many keys were split now, and how many are whole still. */
  readonly split: number;
  readonly whole: number;
  /** How many shares without a row were destroyed. */
  readonly removed: number;
  /** How many keys have no share although nobody erased the person. */
  readonly lost: number;
};

/**
 * One turn of keeping the two databases in step. A share without a row stays as long as the database itself is one since
 * less than a day: when a backup of it is put back that is too old, the keys of everybody since are there for the right one.
 */
export async function tendKeyStore(parts: Parts, now: Date = new Date()): Promise<KeyStoreStanding> {
  const { split, left: whole } = await splitWholeKeys(parts, parts.keyEncryption);
  const dayAgo = new Date(now.getTime() - DAY_MS);
  const since = await comparedSince(parts.database);
  const removed = since !== null && since < dayAgo ? await removeOrphanedShares(parts, dayAgo) : 0;
  return { split, whole, removed, lost: await countLostKeys(parts) };
}

/** Does that at the start and every quarter of an hour, in the worker `core`, and shows what it found. */
export function keepKeyStore(registry: Registry, log: Logger, parts: Parts): { close: () => Promise<void> } {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] });
  const lostKeys = gauge('domovoy_keys_lost', 'Keys of residents whose half is not in the key store.');
  const wholeKeys = gauge('domovoy_keys_whole', 'Keys of residents that are not split yet.');
  const tend = async (): Promise<void> => {
    const { split, whole, removed, lost } = await tendKeyStore(parts);
    lostKeys.set(lost);
    wholeKeys.set(whole);
    if (split > 0) log.info({ event: 'keys-split', count: split }, 'keys of residents were split');
    if (removed > 0) log.warn({ event: 'key-shares-removed', count: removed }, 'shares of nobody were destroyed');
    if (lost > 0) log.error({ event: 'keys-lost', count: lost }, 'the key store has no share of residents');
  };
  const failed = (error: unknown): void => {
    log.warn({ event: 'key-store', error }, 'the key store could not be looked after');
  };
  const first = tend().catch(failed);
  const later = repeating(TEND_EVERY_MS, tend, failed);
  return {
    async close() {
      await first;
      await later.close();
    },
  };
}
