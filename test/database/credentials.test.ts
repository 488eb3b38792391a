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
