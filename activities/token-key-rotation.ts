import { sleep } from '@temporalio/activity';
import { TOKEN_SIGNING_KEY, type CredentialRef } from '../contracts/credentials';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import type { Database, Transaction } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { createTokenKeyStore, readersOf } from '../vault/token-keys';
import { noteCredential, raiseExpiryAlarm } from './credential-evidence';
import type { CredentialRotationActivities } from './credential-rotation';

/** How long a try waits for the API's processes: several times as long as they take to look. */
const READERS_WITHIN_MS = 10_000;
const ASK_READERS_EVERY_MS = 200;

/**
 * The steps of a rotation for the keys that sign our own access tokens (R0.6), run by the `core` worker: to deliver is
 * to publish, to prove is to see that every API process goes by the key, and to prove that the old one is refused is to
 * see that none does any more. The overlap outlasts the longest token.
 */
export function createTokenKeyActivities(deps: {
  database: Database;
  keyEncryption: KeyEncryption;
  /** How long a key is published before anything is signed with it: others keep what they read for a while. */
  tokenKeyLeadMs: number;
}): CredentialRotationActivities {
  const { database } = deps;
  const keys = createTokenKeyStore(deps.keyEncryption);
  const note = (tx: Transaction, outcome: string, version: number): Promise<void> =>
    noteCredential(tx, TOKEN_SIGNING_KEY, outcome, `version-${version.toString()}`);

  async function kidOf(version: number): Promise<string> {
    const found = (await keys.versions(database)).find((each) => each.version === version);
    if (!found) throw new Error(`There is no version ${version.toString()} of the key.`);
    return found.kid;
  }

  /** Ends when all API processes that are there go by the key, or none does; proves nothing when there is none. */
  async function readersAgree(version: number, wanted: 'all' | 'none'): Promise<void> {
    const kid = await kidOf(version);
    for (let waitedMs = 0; waitedMs < READERS_WITHIN_MS; waitedMs += ASK_READERS_EVERY_MS) {
      const { all, knowing } = await readersOf(database, kid);
      if (all > 0 && knowing === (wanted === 'all' ? all : 0)) return;
      await sleep(ASK_READERS_EVERY_MS);
    }
    throw toApplicationFailure(new PartnerError('PartnerUnauthorized', 'Not every API process goes by the keys yet.'));
  }

  const leftOver = async () =>
    (await keys.versions(database)).filter(
      ({ state, destroyed }) => state === 'retiring' || (state === 'retired' && !destroyed),
    );

  async function retireOlder(_credential: CredentialRef, keep: number): Promise<void> {
    await keys.retireOlder(database, keep);
  }

  return {
    rotatingCredentials: () => Promise.resolve([TOKEN_SIGNING_KEY]),

    async credentialStanding() {
      const versions = await keys.versions(database);
      const signing = versions.find(({ state }) => state === 'signing');
      if (!signing) return null;
      return {
        issuedAt: signing.issuedAt.toISOString(),
        pending: versions.find(({ state }) => state === 'published')?.version ?? null,
        overlapping: (await leftOver()).length > 0 ? signing.version : null,
        leadMs: deps.tokenKeyLeadMs,
      };
    },

    async issueCredential(_credential, at) {
      return database.$transaction(async (tx) => {
        const prepared = (await keys.versions(tx)).find(({ state }) => state === 'published');
        if (prepared) return prepared.version;
        const version = await keys.publish(tx, new Date(at));
        await note(tx, 'issued', version);
        return version;
      });
    },

    deliverCredential: (_credential, version) => readersAgree(version, 'all'),
    proveCredential: (_credential, version) => readersAgree(version, 'all'),

    async useCredential(_credential, version) {
      await database.$transaction(async (tx) => {
        if (await keys.sign(tx, version)) await note(tx, 'in-use', version);
      });
    },

    acceptOnly: retireOlder,
    retireOlder,

    async proveRefused() {
      for (const { version, state } of await leftOver()) {
        if (state !== 'retired') continue;
        await readersAgree(version, 'none');
        await database.$transaction(async (tx) => {
          await keys.destroy(tx, version);
          await note(tx, 'refused', version);
        });
      }
    },

    raiseExpiryAlarm: (credential, day, at) => raiseExpiryAlarm(database, credential, day, at),
  };
}
