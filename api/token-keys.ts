import { randomUUID } from 'node:crypto';
import type { JWK } from 'jose';
import type { Logger } from '../config/logger';
import type { Database } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { createTokenKeyStore, noteReader, type TokenKey } from '../vault/token-keys';

/** The keys of the authorization server as this process goes by them; they change while it runs (R0.6). */
export type TokenKeys = {
  /** The signing key first, then the others that are accepted. */
  readonly current: () => readonly JWK[];
  /** Is told of every later change. */
  readonly onChange: (use: (keys: readonly JWK[]) => void) => void;
  /** @throws when it has not been able to look for so long that it may go by keys that are over */
  readonly assertFresh: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** How often a process looks for changes: a key that must not sign any more does so for no longer. */
const LOOK_EVERY_MS = 2_000;
const STALE_AFTER_MS = 30_000;

/**
 * Reads the keys, takes in those of the configuration when there are none yet, and goes on looking. What this process
 * goes by is written down after it does: a new key is signed with only when all processes know it.
 */
export async function openTokenKeys(options: {
  database: Database;
  keyEncryption: KeyEncryption;
  configured: readonly TokenKey[];
  log: Logger;
  lookEveryMs?: number;
}): Promise<TokenKeys> {
  const { database, log, lookEveryMs = LOOK_EVERY_MS } = options;
  const store = createTokenKeyStore(options.keyEncryption);
  const processId = randomUUID();
  const users: ((keys: readonly JWK[]) => void)[] = [];
  let keys: readonly TokenKey[] = [];
  let known = '';
  let lookedAtMs = 0;

  async function look(): Promise<void> {
    const startedMs = Date.now();
    const versions = await store.versions(database);
    const standing = versions.map(({ kid, state }) => `${kid} ${state}`).join('\n');
    if (standing !== known) {
      keys = await store.usable(database);
      users.forEach((use) => use(keys));
      known = standing;
    }
    await noteReader(
      database,
      processId,
      keys.map(({ kid }) => kid),
    );
    lookedAtMs = startedMs;
  }

  await store.adopt(database, options.configured);
  await look();
  if (keys.length === 0) throw new Error('There is no key to sign tokens with.');
  let looking = Promise.resolve();
  const timer = setInterval(() => {
    looking = looking.then(look).catch((error: unknown) => {
      log.warn({ event: 'token-keys', error }, 'the keys of tokens could not be read');
    });
  }, lookEveryMs);
  timer.unref();

  return {
    current: () => keys,
    onChange: (use) => {
      users.push(use);
    },
    assertFresh: () =>
      Date.now() - lookedAtMs < STALE_AFTER_MS ? Promise.resolve() : Promise.reject(new Error('not fresh')),
    async close() {
      clearInterval(timer);
      await looking;
    },
  };
}
