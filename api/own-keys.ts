import { createPrivateKey, randomUUID } from 'node:crypto';
import type { JWK } from 'jose';
import type { Logger } from '../config/logger';
import { repeating } from '../config/repeating';
import type { SigningKey } from '../partners/message-signature';
import type { Database } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { createOwnKeyStore, noteReader, OWN_KEY_PURPOSES, type OwnKey, type OwnKeyPurpose } from '../vault/own-keys';

/** The keys that we sign with as this process goes by them; they change while it runs (R0.6). */
export type OwnKeys = {
  /** Private keys: the signing key first, then the others that are accepted. */
  readonly current: (purpose: OwnKeyPurpose) => readonly JWK[];
  /** What our answers are signed with from now on. */
  readonly messageSigner: () => SigningKey;
  /** Is told of every later change of the keys of our access tokens. */
  readonly onTokenKeys: (use: (keys: readonly JWK[]) => void) => void;
  /** @throws when it has not been able to look for so long that it may go by keys that are over */
  readonly assertFresh: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** How often a process looks for changes: a key that must not sign any more does so for no longer. */
const LOOK_EVERY_MS = 2_000;
const STALE_AFTER_MS = 30_000;

/** @returns the key of the configuration, PEM, in the form of those that take its place */
export function configuredKey(kid: string, pem: string): OwnKey {
  return { ...createPrivateKey(pem).export({ format: 'jwk' }), kid, alg: 'EdDSA', use: 'sig' };
}

/**
 * Reads the keys, takes in those of the configuration when there are none yet, and goes on looking. What this process
 * goes by is written down after it does: a new key is signed with only when all processes know it.
 */
export async function openOwnKeys(options: {
  database: Database;
  keyEncryption: KeyEncryption;
  configured: Readonly<Record<OwnKeyPurpose, readonly OwnKey[]>>;
  log: Logger;
  lookEveryMs?: number;
}): Promise<OwnKeys> {
  const { database, keyEncryption, configured, log, lookEveryMs = LOOK_EVERY_MS } = options;
  const stores = {
    token: createOwnKeyStore(keyEncryption, 'token'),
    message: createOwnKeyStore(keyEncryption, 'message'),
  };
  const processId = randomUUID();
  const keys: Record<OwnKeyPurpose, readonly OwnKey[]> = { token: [], message: [] };
  const known: Record<OwnKeyPurpose, string> = { token: '', message: '' };
  const users: ((keys: readonly JWK[]) => void)[] = [];
  let signer: SigningKey | undefined;
  let lookedAtMs = 0;

  async function look(): Promise<void> {
    const startedMs = Date.now();
    for (const purpose of OWN_KEY_PURPOSES) await lookFor(purpose);
    const kids = OWN_KEY_PURPOSES.flatMap((purpose) => keys[purpose].map(({ kid }) => kid));
    await noteReader(database, processId, kids);
    lookedAtMs = startedMs;
  }

  async function lookFor(purpose: OwnKeyPurpose): Promise<void> {
    const versions = await stores[purpose].versions(database);
    const standing = versions.map(({ kid, state }) => `${kid} ${state}`).join('\n');
    if (standing === known[purpose]) return;
    keys[purpose] = await stores[purpose].usable(database);
    const [first] = keys[purpose];
    if (purpose === 'token') users.forEach((use) => use(keys.token));
    else if (first) signer = { keyId: first.kid, key: createPrivateKey({ key: first, format: 'jwk' }) };
    known[purpose] = standing;
  }

  for (const purpose of OWN_KEY_PURPOSES) await stores[purpose].adopt(database, configured[purpose]);
  await look();
  for (const purpose of OWN_KEY_PURPOSES) {
    if (keys[purpose].length === 0) throw new Error(`There is no key to sign with: ${purpose}.`);
  }
  const looking = repeating(lookEveryMs, look, (error) => {
    log.warn({ event: 'own-keys', error }, 'the keys that we sign with could not be read');
  });

  return {
    current: (purpose) => keys[purpose],
    messageSigner() {
      if (!signer) throw new Error('There is no key to sign answers with.');
      return signer;
    },
    onTokenKeys: (use) => {
      users.push(use);
    },
    assertFresh: () =>
      Date.now() - lookedAtMs < STALE_AFTER_MS ? Promise.resolve() : Promise.reject(new Error('not fresh')),
    close: looking.close,
  };
}
