import { sleep } from '@temporalio/activity';
import { OWN_CREDENTIALS, type CredentialRef } from '../contracts/credentials';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import type { Database, Transaction } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { createOwnKeyStore, readersOf, type OwnKeyStore, type OwnKeyVersion } from '../vault/own-keys';
import { noteCredential, raiseExpiryAlarm } from './credential-evidence';
import type { CredentialRotationActivities } from './credential-rotation';

/** How long a try waits for the API's processes: several times as long as they take to look. */
const READERS_WITHIN_MS = 10_000;
const ASK_READERS_EVERY_MS = 200;

/**
 * The steps of a rotation for the keys that we sign with ourselves (R0.6), run by the `core` worker: to deliver is to
 * publish, to prove is to see that every API process goes by the key, and to prove that the old one is refused is to see
 * that none does any more: who looks up our keys then finds it nowhere. The overlap outlasts the longest token and
 * every signed answer.
 */
export function createOwnKeyActivities(deps: {
  database: Database;
  keyEncryption: KeyEncryption;
  /** How long a key is published before anything is signed with it: others keep what they read for a while. */
  tokenKeyLeadMs: number;
}): CredentialRotationActivities {
  const { database } = deps;
  const stores: Readonly<Record<string, OwnKeyStore>> = Object.fromEntries(
    OWN_CREDENTIALS.map(({ purpose, credential }) => [credential.name, createOwnKeyStore(deps.keyEncryption, purpose)]),
  );
  const keysOf = ({ name }: CredentialRef): OwnKeyStore => {
    const store = stores[name];
    if (!store) throw new Error('This is no key of ours.');
    return store;
  };
  const note = (tx: Transaction, credential: CredentialRef, outcome: string, version: number): Promise<void> =>
    noteCredential(tx, credential, outcome, `version-${version.toString()}`);

  async function kidOf(credential: CredentialRef, version: number): Promise<string> {
    const found = (await keysOf(credential).versions(database)).find((each) => each.version === version);
    if (!found) throw new Error(`There is no version ${version.toString()} of the key.`);
    return found.kid;
  }

  /** Ends when all API processes that are there go by the key, or none does; proves nothing when there is none. */
  async function readersAgree(credential: CredentialRef, version: number, wanted: 'all' | 'none'): Promise<void> {
    const kid = await kidOf(credential, version);
    for (let waitedMs = 0; waitedMs < READERS_WITHIN_MS; waitedMs += ASK_READERS_EVERY_MS) {
      const { all, knowing } = await readersOf(database, kid);
      if (all > 0 && knowing === (wanted === 'all' ? all : 0)) return;
      await sleep(ASK_READERS_EVERY_MS);
    }
    throw toApplicationFailure(new PartnerError('PartnerUnauthorized', 'Not every API process goes by the keys yet.'));
  }

  const leftOver = (versions: readonly OwnKeyVersion[]) =>
    versions.filter(({ state, destroyed }) => state === 'retiring' || (state === 'retired' && !destroyed));

  async function retireOlder(credential: CredentialRef, keep: number): Promise<void> {
    await keysOf(credential).retireOlder(database, keep);
  }

  return {
    rotatingCredentials: () => Promise.resolve(OWN_CREDENTIALS.map(({ credential }) => credential)),

    /** None of them was ever kept otherwise. */
    settleStoredCredentials: () => Promise.resolve(),

    async credentialStanding(credential) {
      const versions = await keysOf(credential).versions(database);
      const signing = versions.find(({ state }) => state === 'signing');
      if (!signing) return null;
      return {
        issuedAt: signing.issuedAt.toISOString(),
        pending: versions.find(({ state }) => state === 'published')?.version ?? null,
        overlapping: leftOver(versions).length > 0 ? signing.version : null,
        leadMs: deps.tokenKeyLeadMs,
      };
    },

    async issueCredential(credential, at) {
      const keys = keysOf(credential);
      return database.$transaction(async (tx) => {
        const prepared = (await keys.versions(tx)).find(({ state }) => state === 'published');
        if (prepared) return prepared.version;
        const version = await keys.publish(tx, new Date(at));
        await note(tx, credential, 'issued', version);
        return version;
      });
    },

    deliverCredential: (credential, version) => readersAgree(credential, version, 'all'),
    proveCredential: (credential, version) => readersAgree(credential, version, 'all'),

    async useCredential(credential, version) {
      await database.$transaction(async (tx) => {
        if (await keysOf(credential).sign(tx, version)) await note(tx, credential, 'in-use', version);
      });
    },

    acceptOnly: retireOlder,
    retireOlder,

    async proveRefused(credential) {
      const keys = keysOf(credential);
      for (const { version, state } of leftOver(await keys.versions(database))) {
        if (state !== 'retired') continue;
        await readersAgree(credential, version, 'none');
        await database.$transaction(async (tx) => {
          await keys.destroy(tx, version);
          await note(tx, credential, 'refused', version);
        });
      }
    },

    raiseExpiryAlarm: (credential, day, at) => raiseExpiryAlarm(database, credential, day, at),
  };
}
