import { generateKeyPairSync, randomUUID, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { compactDecrypt, importJWK } from 'jose';
import { createCredentialRotationActivities } from '../../activities/credential-rotation';
import { createRotationActivities } from '../../activities/rotations';
import { announcementDesk, seeMessageKey } from '../../api/announced-credentials';
import { createLogger } from '../../config/logger';
import { handToPerson } from '../../activities/credential-handover';
import { credentialHandoverOperations } from '../../api/staff/credential-handovers';
import type { OperationInput } from '../../api/operation';
import type { CredentialRef } from '../../contracts/credentials';
import { certificateRequestOf, tlsIdentityOf, withCertificate } from '../../partners/client-certificate';
import { publicPemOf, signingKeyOf } from '../../partners/credential-values';
import type { PartnerGateway } from '../../partners/ports';
import { openDatabase, type Database } from '../../prisma/database';
import { newKey } from '../../vault/envelope';
import { localKeyEncryption } from '../../vault/key-encryption';
import { createSecretChecks, isFast } from '../../vault/slow-hash';
import { createSecretStore } from '../../vault/secrets';
import { ensureCertificates, type Certificates } from '../../stack/certificates';
import { stackPorts } from '../../stack/ports';
import { seedTown } from '../../stack/seed';
import { issueClientCertificate } from '../support/client-certificates';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { copyTown } from '../support/town-template';

const integration = 'smart-home';
const keyEncryption = localKeyEncryption(new Map([['only', newKey()]]), 'only');
const secrets = createSecretStore(keyEncryption);
const MEMBER = 'staff/somebody';

let db: TestDatabase;
let owner: Database;
let worker: Database;
let api: Database;

let folder: string;
let certificates: Certificates;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'domovoy-credentials-'));
  certificates = await ensureCertificates(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(async () => {
  signals = [];
  diesBeforeSignal = false;
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

const TLS_KEY = { owner: 'kluch', name: 'tls-key' };
/** What executions were told. */
let signals: string[];
/** Whether the process dies before it tells one. */
let diesBeforeSignal: boolean;
const temporal = {
  workflow: {
    signalWithStart: (_type: string, { signal }: { signal: { name: string } }) => {
      if (diesBeforeSignal) return Promise.reject(new Error('the process is gone'));
      signals.push(signal.name);
      return Promise.resolve();
    },
  },
} as unknown as Client;

/** Brings what the partner's authority signed, as a member of staff whose reach is everything. */
async function bring(handoverId: string, certificatePem: string): Promise<void> {
  const operations = credentialHandoverOperations({ database: api, temporal, keyEncryption });
  const caller = { clientId: MEMBER, staff: { reach: 'everything' } };
  const input = { params: { handoverId }, body: { certificatePem }, caller };
  await operations
    .find(({ id }) => id === 'bringCertificate')
    ?.handle(input as unknown as OperationInput<object, object, unknown> as never);
}

/** Downloads as a member of staff whose reach is everything. @returns what the seal held */
async function download(handoverId: string): Promise<Record<string, unknown>> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const operation = credentialHandoverOperations({ database: api, temporal, keyEncryption }).find(
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

  describe('that is a request for a client certificate', () => {
    const credential = presented('tls-key');
    const issue = (wish: { request: string; days?: number }, authority = certificates.partnerCa) =>
      issueClientCertificate(authority, { dnsNames: ['domovoy.company.example'], ...wish });
    beforeEach(async () => {
      const profile = {
        ...{ profile: 'mtls-oidc', credentialDelivery: 'person', apiVersion: 'v1', grant: 'client-certificate' },
        ...{ baseUrl: 'https://kluch.example', issuer: 'https://kluch.example', clientId: 'domovoy' },
        caPem: readFileSync(certificates.partnerCa, 'utf8'),
        certificatePem: readFileSync(certificates.ourClient.certificate, 'utf8'),
      };
      await owner.partner.update({ where: { id: 'kluch' }, data: { profile } });
    });

    it('goes on with the certificate that staff bring for it, once and for its own key', async () => {
      const { version, handoverId } = await offered(credential);
      const deliver = () => rotation().deliverCredential(credential, version);
      const before = await issue({ request: certificateRequestOf(await secrets.read(owner, TLS_KEY, version)) });
      await expect(bring(handoverId, before.cert)).rejects.toMatchObject({ problem: { status: 409 } });

      const request = String((await download(handoverId))['value']);
      await expect(deliver()).rejects.toMatchObject({ type: 'PartnerUnauthorized' });
      const signed = (await issue({ request })).cert;
      await bring(handoverId, signed);
      await bring(handoverId, signed);
      await deliver();
      expect(tlsIdentityOf(await secrets.read(owner, TLS_KEY, version), '').cert.trim()).toBe(signed.trim());
      expect((await owner.secret.findFirstOrThrow({ where: TLS_KEY })).endsAt).toEqual(
        new Date(new X509Certificate(signed).validTo),
      );
      const another = (await issue({ request })).cert;
      await expect(bring(handoverId, another)).rejects.toMatchObject({ problem: { status: 409 } });
      expect(signals).toEqual(['credentialAnnounced', 'credentialAnnounced']);
      const written = await owner.journalEntry.findMany({ where: { outcome: 'certificate-brought' } });
      expect(written).toMatchObject([{ actor: MEMBER, objectId: 'kluch/presented/tls-key' }]);
    });

    it('says when the certificate ends, also where the partner signs it by its interface', async () => {
      await owner.partner.update({ where: { id: 'kluch' }, data: { profile: {} } });
      let signed = '';
      const add = async ({ value }: { value: string }) => {
        signed = (await issue({ request: certificateRequestOf(value) })).cert;
        return withCertificate(value, signed);
      };
      const gatewayOf = () => Promise.resolve({ credentials: { add } } as unknown as PartnerGateway);
      const steps = createCredentialRotationActivities({ integration, database: worker, secrets, gatewayOf });
      const version = await steps.issueCredential(credential, new Date().toISOString());
      await new MockActivityEnvironment().run(() => steps.deliverCredential(credential, version));
      const endsAt = async () => (await owner.secret.findFirstOrThrow({ where: TLS_KEY })).endsAt;
      const validTo = new Date(new X509Certificate(signed).validTo);
      expect(await endsAt()).toEqual(validTo);
      // As one that came before this was noted.
      await owner.secret.updateMany({ where: TLS_KEY, data: { endsAt: null, state: 'active' } });
      await steps.settleStoredCredentials();
      expect(await endsAt()).toEqual(validTo);
    });

    it('takes no certificate of another authority, for another key, or that ends within a month', async () => {
      const { version, handoverId } = await offered(credential);
      const request = String((await download(handoverId))['value']);
      const other = await issueClientCertificate(certificates.partnerCa, { dnsNames: ['domovoy.company.example'] });
      const wrong = [
        (await issue({ request }, certificates.clientCa)).cert,
        (await issue({ request, days: 30 })).cert,
        other.cert,
        request,
        'none',
      ];
      for (const certificatePem of wrong) {
        await expect(bring(handoverId, certificatePem)).rejects.toMatchObject({ problem: { status: 400 } });
      }
      expect(certificateRequestOf(await secrets.read(owner, TLS_KEY, version)).trim()).toBe(request.trim());
      expect(signals).toEqual([]);
    });

    it('is offered anew when a day after the download no certificate has come', async () => {
      const { version } = await offered(credential);
      const { id } = await owner.credentialHandover.findFirstOrThrow();
      await download(id);
      await owner.credentialHandover.updateMany({ data: { takenAt: new Date(Date.now() - 25 * 3_600_000) } });
      await expect(rotation().deliverCredential(credential, version)).rejects.toMatchObject({
        type: 'PartnerUnauthorized',
      });
      expect(await owner.credentialHandover.count({ where: { version } })).toBe(2);
    });
  });
});

/** From now on a transaction that writes this down ends there, as it does when the process of a worker is gone. */
async function dieAt(outcome: string): Promise<void> {
  await owner.$executeRawUnsafe(`
    CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the process is gone'; END $$`);
  await owner.$executeRawUnsafe(`
    CREATE TRIGGER die BEFORE INSERT ON journal_entries FOR EACH ROW WHEN (NEW.outcome = '${outcome}')
    EXECUTE FUNCTION die()`);
}
const live = (): Promise<unknown> => owner.$executeRawUnsafe('DROP FUNCTION die CASCADE');

describe('a credential that a partner announced or a person carries, when a process dies on the way', () => {
  const credential: CredentialRef = { integration, partnerId: 'kluch', direction: 'announced', name: 'message-key' };
  const newPem = (): string =>
    generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const desk = () => announcementDesk({ database: api, temporal, clientAuthorities: [] });
  const partner = { id: 'kluch', integration };
  const announcing = (keyId: string, publicKeyPem: string, replaces?: string) =>
    desk().announce(partner, { name: 'message-key', keyId, publicKeyPem, ...(replaces && { replaces }) }, 'kluch');
  /** A worker that knows nothing of what another one did. */
  const another = () =>
    createRotationActivities({
      ...{ integration, database: worker, secrets },
      gatewayOf: () => Promise.reject(new Error('Nobody is asked.')),
    } as const);
  const standing = async () =>
    (await owner.partnerCredential.findMany({ orderBy: { version: 'asc' } })).map(
      ({ keyId, state }) => `${keyId} ${state}`,
    );
  const log = createLogger('test', 'silent');
  const shows = async (keyId: string): Promise<void> => {
    const { profile, credentials } = await owner.partner.findUniqueOrThrow({
      where: { id: 'kluch' },
      include: { credentials: true },
    });
    await seeMessageKey({ database: api, log }, { ...partner, profile, credentials }, keyId);
  };
  const configure = async (...keyIds: string[]): Promise<void> => {
    const profile = {
      ...{ profile: 'basic-signed', apiVersion: 'v1', baseUrl: 'https://kluch.example', username: 'd', keyId: 'd-1' },
      caPem: readFileSync(certificates.partnerCa, 'utf8'),
      partnerKeys: keyIds.map((keyId) => ({ keyId, publicKeyPem: newPem() })),
    };
    await owner.partner.update({ where: { id: 'kluch' }, data: { profile } });
  };

  it('is announced once, and its execution is told by the repeat', async () => {
    await configure('k-1');
    const pem = newPem();
    diesBeforeSignal = true;
    await expect(announcing('k-2', pem)).rejects.toThrow('the process is gone');
    expect(await standing()).toEqual(['k-1 active', 'k-2 pending']);
    diesBeforeSignal = false;
    expect(await announcing('k-2', pem)).toMatchObject({ version: 2, state: 'pending' });
    expect([await standing(), signals]).toEqual([['k-1 active', 'k-2 pending'], ['credentialAnnounced']]);
    expect(await owner.journalEntry.count({ where: { outcome: 'announced' } })).toBe(1);
  });

  it('is not pinned, and nothing is lost, when what was stored with it is not', async () => {
    await configure('k-1');
    await dieAt('adopted');
    await shows('k-1');
    expect(await standing()).toEqual([]);
    await live();
    await shows('k-1');
    expect(await standing()).toEqual(['k-1 active']);

    await dieAt('announced');
    const pem = newPem();
    await expect(announcing('k-2', pem)).rejects.toThrow();
    expect(await standing()).toEqual(['k-1 active']);
    await live();
    await announcing('k-2', pem);
    expect(await standing()).toEqual(['k-1 active', 'k-2 pending']);
  });

  it.each([
    ['takes the place of the other', 'in-use', ['k-1 active', 'k-2 pending']],
    ['begins to overlap', 'retiring', ['k-1 active', 'k-2 pending']],
    ['retires the other', 'retired', ['k-1 retiring', 'k-2 active']],
    ['sees it refused', 'refused', ['k-1 retired', 'k-2 active']],
  ])('is in one place or the other, and goes on with another worker: it %s', async (_, outcome, left) => {
    await configure('k-1');
    await announcing('k-2', newPem());
    await shows('k-2');
    const steps = async (): Promise<void> => {
      const rotations = another();
      const version = await rotations.issueCredential(credential, new Date().toISOString());
      await rotations.proveCredential(credential, version);
      await rotations.useCredential(credential, version);
      await rotations.retireOlder(credential, version);
      await rotations.proveRefused(credential, version);
    };
    await dieAt(outcome);
    await expect(steps()).rejects.toThrow();
    expect(await standing()).toEqual(left);
    await live();
    // What the execution of the worker that is gone comes back to.
    const known = await another().credentialStanding(credential);
    expect(known?.pending ?? known?.overlapping).toBe(2);
    if (known?.pending) await steps();
    else {
      await another().retireOlder(credential, 2);
      await another().proveRefused(credential, 2);
    }
    expect(await standing()).toEqual(['k-1 retired', 'k-2 active']);
    expect(await owner.journalEntry.count({ where: { outcome: 'refused', reason: 'version-1' } })).toBe(1);
  });

  it('is stored before it is offered: the next worker offers the same one', async () => {
    const carried = presented('basic-password');
    const version = await rotation().issueCredential(carried, new Date().toISOString());
    const value = await secrets.read(owner, { owner: 'kluch', name: 'basic-password' }, version);
    await dieAt('offered');
    await expect(rotation().deliverCredential(carried, version)).rejects.toThrow();
    expect(await owner.credentialHandover.count()).toBe(0);
    await live();
    expect(await rotation().issueCredential(carried, new Date().toISOString())).toBe(version);
    await expect(rotation().deliverCredential(carried, version)).rejects.toMatchObject({ type: 'PartnerUnauthorized' });
    const { id } = await owner.credentialHandover.findFirstOrThrow();
    expect(await download(id)).toMatchObject({ value });
  });

  it('of two configured keys replaces the one that its announcement names', async () => {
    await configure('k-1', 'k-2');
    await expect(announcing('k-3', newPem())).rejects.toMatchObject({ problem: { status: 409 } });
    await expect(announcing('k-3', newPem(), 'k-9')).rejects.toMatchObject({ problem: { status: 400 } });
    expect(await standing()).toEqual([]);
    const pem = newPem();
    await announcing('k-3', pem, 'k-2');
    await announcing('k-3', pem, 'k-2');
    expect(await standing()).toEqual(['k-2 active', 'k-3 pending']);
    await expect(announcing('k-4', newPem(), 'k-1')).rejects.toMatchObject({ problem: { status: 400 } });
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
    successor = (await hashes()).find((each) => each !== 'old') ?? '';
    const value = await secrets.read(owner, { owner: 'kluch', name: 'client/kluch' }, version);
    expect(await createSecretChecks().matching('kluch', value, [successor])).toBe(successor);
    expect(isFast(successor)).toBe(false);
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
    await owner.secretSighting.create({ data: { clientId: 'kluch', secretHash: successor, integration } });
    await token('new', 'kluch');
    await rotation().acceptOnly(credential, version);
    expect(await tokens()).toEqual(['new', 'token-of-shlagbaum']);
  });

  it('leaves its tokens when it is retired as planned', async () => {
    await rotation().retireOlder(credential, version);
    expect(await hashes()).toEqual([successor]);
    expect(await tokens()).toEqual(['token-of-kluch', 'token-of-shlagbaum']);
  });

  describe('once it is in use', () => {
    const place = { owner: 'kluch', name: 'client/kluch' };
    const valueOf = () => secrets.read(owner, place, version);
    const use = () => rotation().useCredential(credential, version);
    /** No key of ours opens what is not there. */
    const valuesInUse = async () =>
      (await owner.secret.findMany({ where: { name: { startsWith: 'client/' }, state: 'active' } })).filter(
        ({ wrapped }) => wrapped !== null,
      );

    it('is kept by its hash alone, which the steps after go by', async () => {
      await use();
      await expect(valueOf()).rejects.toThrow('There is no version 1');
      expect(await valuesInUse()).toEqual([]);
      await use();

      const next = await rotation().issueCredential(credential, new Date().toISOString());
      await rotation().useCredential(credential, next);
      expect(await valuesInUse()).toEqual([]);
      // Nobody has ended the one before yet: it is not refused.
      await expect(rotation().proveRefused(credential, next)).rejects.toMatchObject({ type: 'PartnerMisanswered' });
      await rotation().retireOlder(credential, next);
      await rotation().proveRefused(credential, next);
      await rotation().acceptOnly(credential, next);
      const kept = await owner.secret.findMany({ orderBy: { version: 'asc' } });
      expect(kept.map(({ hash, wrapped }) => [hash, wrapped])).toEqual([
        [null, null],
        [(await hashes())[0], null],
      ]);
      expect(await hashes()).toHaveLength(1);
    });

    it('was not lost to a process that died between its proof and its use', async () => {
      const value = await valueOf();
      await dieAt('in-use');
      await expect(use()).rejects.toThrow();
      expect(await valueOf()).toBe(value);
      await live();
      await use();
      await expect(valueOf()).rejects.toThrow('There is no version 1');
    });

    it('has no value again: the database refuses it', async () => {
      await use();
      await expect(owner.secret.updateMany({ data: { wrapped: Buffer.from('a value') } })).rejects.toThrow(
        /secrets_in_use_by_hash/,
      );
    });

    it('of an earlier release loses its value by the next round, and is what it was', async () => {
      await owner.secret.updateMany({ data: { hash: null, state: 'active' } });
      expect(await valuesInUse()).toHaveLength(1);
      await rotation().settleStoredCredentials();
      await rotation().settleStoredCredentials();
      expect(await valuesInUse()).toEqual([]);
      expect(await secrets.hashOf(owner, place, version)).toBe(successor);
    });
  });

  it('is revoked by no worker of another integration', async () => {
    await worker.$queryRaw`SELECT revoke_other_client_secrets('shlagbaum', 'old')::text`;
    expect(await tokens()).toEqual(['token-of-kluch', 'token-of-shlagbaum']);
  });
});

it('the seed gives the sandbox’s clients the scopes that came since, and none that a review took away', async () => {
  const { secrets: own, certificates: of } = await copyTown();
  const town = await createTestDatabase('town');
  const rows = openDatabase(town.ownerUrl, 2);
  const scopes = async () => (await rows.oAuthClient.findUniqueOrThrow({ where: { id: 'kluch' } })).scopes;
  try {
    const before = await scopes();
    await rows.oAuthClient.update({ where: { id: 'kluch' }, data: { scopes: ['openings:request'] } });
    const at = new Date();
    const review = { id: randomUUID(), workflowId: 'w', openedAt: at, dueAt: at };
    const taken = { kind: 'client', holder: 'kluch', granted: 'webhooks:deliver', decision: 'revoked' };
    await rows.accessReview.create({ data: { ...review, items: { create: [{ id: randomUUID(), ...taken }] } } });
    await seedTown(town, { secrets: own, certificates: of, ports: stackPorts({}) });
    expect((await scopes()).toSorted()).toEqual(before.filter((each) => each !== 'webhooks:deliver').toSorted());
  } finally {
    await rows.$disconnect();
    await town.drop();
  }
});
