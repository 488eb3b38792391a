import { generateKeyPairSync } from 'node:crypto';
import { compactDecrypt, importJWK } from 'jose';
import { createCredentialRotationActivities } from '../../activities/credential-rotation';
import { handToPerson } from '../../activities/credential-handover';
import { credentialHandoverOperations } from '../../api/staff/credential-handovers';
import type { OperationInput } from '../../api/operation';
import type { CredentialRef } from '../../contracts/credentials';
import { publicPemOf, signingKeyOf } from '../../partners/credential-values';
import { openDatabase, type Database } from '../../prisma/database';
import { newKey } from '../../vault/envelope';
import { localKeyEncryption } from '../../vault/key-encryption';
import { hashSecret } from '../../vault/secret-hash';
import { createSecretStore } from '../../vault/secrets';
import { createTestDatabase, type TestDatabase } from '../support/database';

const integration = 'smart-home';
const keyEncryption = localKeyEncryption(new Map([['only', newKey()]]), 'only');
const secrets = createSecretStore(keyEncryption);
const MEMBER = 'staff/somebody';

let db: TestDatabase;
let owner: Database;
let worker: Database;
let api: Database;

beforeEach(async () => {
  db = await createTestDatabase();
  owner = openDatabase(db.ownerUrl, 2);
  worker = openDatabase(db.urlFor('domovoy_smart_home'), 2);
  api = openDatabase(db.urlFor('domovoy_api'), 1);
  const profile = { credentialDelivery: 'person' };
  const row = { id: 'kluch', integration, displayName: 'K', custody: 'partner', profile, agreedFields: [] };
  await owner.partner.create({ data: row });
});
afterEach(async () => {
  await Promise.all([owner, worker, api].map((each) => each.$disconnect()));
  await db.drop();
});

const presented = (name: string): CredentialRef => ({ integration, partnerId: 'kluch', direction: 'presented', name });

const rotation = () =>
  createCredentialRotationActivities({
    integration,
    database: worker,
    secrets,
    gatewayOf: () => Promise.reject(new Error('A person carries it.')),
  });

/** Stores a successor and offers it, as a rotation does. */
async function offered(credential: CredentialRef): Promise<{ version: number; handoverId: string }> {
  const version = await rotation().issueCredential(credential, new Date().toISOString());
  const of = { owner: credential.partnerId, name: credential.name, version };
  await expect(handToPerson(worker, credential, of)).rejects.toMatchObject({ type: 'PartnerUnauthorized' });
  const { id: handoverId } = await owner.credentialHandover.findFirstOrThrow();
  return { version, handoverId };
}

/** Downloads as a member of staff whose reach is everything. @returns what the seal held */
async function download(handoverId: string): Promise<Record<string, unknown>> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const operation = credentialHandoverOperations({ database: api, keyEncryption }).find(
    ({ id }) => id === 'downloadCredential',
  );
  const input = {
    params: { handoverId },
    body: { publicKey: publicKey.export({ format: 'jwk' }) },
    caller: { clientId: MEMBER, staff: { reach: 'everything' } },
  };
  const answer = await operation?.handle(input as unknown as OperationInput<object, object, unknown> as never);
  const { jwe } = answer?.body as { jwe: string };
  const key = await importJWK(privateKey.export({ format: 'jwk' }), 'ECDH-ES+A256KW');
  return JSON.parse(Buffer.from((await compactDecrypt(jwe, key)).plaintext).toString()) as Record<string, unknown>;
}

describe('a credential that a person carries', () => {
  it('is given as the partner is to have it: of our signing key only the public part, and its id', async () => {
    const { version, handoverId } = await offered(presented('signing-key'));
    const stored = await secrets.read(owner, { owner: 'kluch', name: 'signing-key' }, version);
    expect(await download(handoverId)).toEqual({
      partnerId: 'kluch',
      direction: 'presented',
      name: 'signing-key',
      keyId: `domovoy-signing-key-${version.toString()}`,
      value: publicPemOf(signingKeyOf(stored, 'unused').key),
    });
  });

  it('is given by the offers that there are, not by what the API says that there are', async () => {
    const { handoverId } = await offered(presented('signing-key'));
    await owner.credentialHandover.updateMany({ data: { expiresAt: new Date() } });
    // The one connection of this pool keeps it.
    await api.$executeRaw`CREATE TEMPORARY TABLE credential_handovers AS
      SELECT id, owner, secret_name, version, now() + interval '1 day' AS expires_at, taken_at, taken_by
      FROM public.credential_handovers`;
    await api.$executeRaw`GRANT ALL ON pg_temp.credential_handovers TO PUBLIC`;
    expect(await api.$queryRaw`SELECT * FROM take_credential(${handoverId}::uuid, ${MEMBER})`).toEqual([]);
  });

  it('is no client certificate: nothing is offered, and staff are told once', async () => {
    const credential = presented('tls-key');
    const version = await rotation().issueCredential(credential, new Date().toISOString());
    for (let tries = 0; tries < 2; tries++) {
      await expect(rotation().deliverCredential(credential, version)).rejects.toMatchObject({
        type: 'PartnerRejected',
      });
    }
    expect(await owner.credentialHandover.count()).toBe(0);
    const alerts = await owner.securityAlert.findMany({ select: { kind: true, objectId: true } });
    expect(alerts).toEqual([{ kind: 'credential-not-carried', objectId: 'kluch/presented/tls-key' }]);
  });
});

describe('what a partner shows us', () => {
  const credential: CredentialRef = { integration, partnerId: 'kluch', direction: 'issued', name: 'kluch' };
  const tokens = async () => (await owner.oidcPayload.findMany({ orderBy: { id: 'asc' } })).map(({ id }) => id);
  const hashes = async () => (await owner.oAuthClient.findUniqueOrThrow({ where: { id: 'kluch' } })).secretHashes;
  const token = (id: string, clientId: string) =>
    owner.oidcPayload.create({ data: { model: 'ClientCredentials', id, payload: { clientId } } });

  let version: number;
  let successor: string;
  beforeEach(async () => {
    const client = { audience: 'partner', authMethod: 'client_secret_basic', scopes: [], secretHashes: ['old'] };
    for (const [id, of] of [
      ['kluch', 'smart-home'],
      ['shlagbaum', 'communal'],
    ] as const) {
      await owner.oAuthClient.create({ data: { id, partnerId: id, integration: of, ...client } });
      await token(`token-of-${id}`, id);
    }
    version = await rotation().issueCredential(credential, new Date().toISOString());
    successor = hashSecret(await secrets.read(owner, { owner: 'kluch', name: 'client/kluch' }, version));
  });

  it('ends with its tokens when it is revoked, also those that were being given out meanwhile', async () => {
    await rotation().acceptOnly(credential, version);
    expect(await hashes()).toEqual([successor]);
    expect(await tokens()).toEqual(['token-of-shlagbaum']);
    await token('late', 'kluch');
    await rotation().acceptOnly(credential, version);
    expect(await tokens()).toEqual(['token-of-shlagbaum']);
  });

  it('leaves tokens that its successor got, once that one alone is valid', async () => {
    await rotation().acceptOnly(credential, version);
    await owner.secretSighting.create({ data: { clientId: 'kluch', sha256: successor, integration } });
    await token('new', 'kluch');
    await rotation().acceptOnly(credential, version);
    expect(await tokens()).toEqual(['new', 'token-of-shlagbaum']);
  });

  it('leaves its tokens when it is retired as planned', async () => {
    await rotation().retireOlder(credential, version);
    expect(await hashes()).toEqual([successor]);
    expect(await tokens()).toEqual(['token-of-kluch', 'token-of-shlagbaum']);
  });

  it('is revoked by no worker of another integration', async () => {
    await worker.$queryRaw`SELECT revoke_other_client_secrets('shlagbaum', 'old')::text`;
    expect(await tokens()).toEqual(['token-of-kluch', 'token-of-shlagbaum']);
  });
});
