import { randomUUID } from 'node:crypto';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createOpenAccessActivities } from '../../activities/open-access';
import type { OpenAccessRequest } from '../../contracts/openings';
import type { PartnerGateway } from '../../partners/ports';
import { entriesOfSubject } from '../../journal/subjects';
import { openDatabase, type Database } from '../../prisma/database';
import { factsAt, readAccessFacts } from '../../reads/access-facts';
import { newKey } from '../../vault/envelope';
import { localKeyEncryption } from '../../vault/key-encryption';
import { createSecretStore } from '../../vault/secrets';
import { openKeyStore, type KeyStore } from '../../vault/key-store';
import { createSubjectVault, type SubjectVault } from '../../vault/subject-keys';
import { createTestDatabase, type TestDatabase } from '../support/database';

const integration = 'smart-home';
const accessPointId = randomUUID();
const keyEncryption = localKeyEncryption(new Map([['k', newKey()]]), 'k');

let db: TestDatabase;
let keyStore: KeyStore;
/** As the owner of the store, and as the worker. */
let subjects: SubjectVault;
let workersOwn: { keyStore: KeyStore; subjects: SubjectVault };
let owner: Database;
let worker: Database;
beforeAll(async () => {
  db = await createTestDatabase();
  owner = openDatabase(db.ownerUrl, 2);
  worker = openDatabase(db.urlFor('domovoy_smart_home'), 2);
  keyStore = openKeyStore(db.keyStoreOwnerUrl, 1);
  subjects = createSubjectVault(keyEncryption, keyStore);
  const theirs = openKeyStore(db.keyStoreUrlFor('domovoy_keys_smart_home'), 1);
  workersOwn = { keyStore: theirs, subjects: createSubjectVault(keyEncryption, theirs) };
  await owner.partner.create({
    data: { id: 'p', integration, displayName: 'P', custody: 'partner', profile: {}, agreedFields: [] },
  });
  const house = await owner.house.create({ data: { id: randomUUID() } });
  const device = { deviceId: 'd', kind: 'door', service: 's', label: 'D' };
  await owner.accessPoint.create({
    data: { id: accessPointId, houseId: house.id, partnerId: 'p', integration, ...device },
  });
});
afterAll(async () => {
  await Promise.all([owner.$disconnect(), worker.$disconnect(), keyStore.close(), workersOwn.keyStore.close()]);
  await db.drop();
});

/** Nobody asks, so that each of these is denied; no partner nor billing is reached. */
function request(): OpenAccessRequest {
  const requestedAt = new Date();
  return {
    openingId: randomUUID(),
    clientId: 'app',
    requestSha256: '',
    accessPointId,
    partnerId: 'p',
    method: 'app',
    residentId: null,
    requestedAt: requestedAt.toISOString(),
    notAfter: new Date(requestedAt.getTime() + 5_000).toISOString(),
  };
}
const unreachable = () => Promise.reject(new Error('is not to be asked'));
const activities = () =>
  createOpenAccessActivities({
    integration,
    database: worker,
    gatewayOf: unreachable,
    billing: { standing: unreachable },
    subjects: workersOwn.subjects,
    policy: { billingMaxAgeMs: 1_000 },
    billingTimeoutMs: 100,
  });
const rowOf = ({ openingId }: OpenAccessRequest) => owner.opening.findUniqueOrThrow({ where: { id: openingId } });
const journalOf = async ({ openingId }: OpenAccessRequest) =>
  (await owner.journalEntry.findMany({ where: { objectId: openingId } })).map(({ outcome, reason, actor }) => [
    outcome,
    reason,
    actor,
  ]);
/** As a worker leaves it that died between the command and its answer. */
const commanded = (asked: OpenAccessRequest) =>
  owner.opening.create({
    data: {
      ...(({ openingId: id, ...rest }) => ({ id, ...rest }))(asked),
      integration,
      status: 'commanding',
      attempts: 1,
      decidedAt: new Date(asked.requestedAt),
    },
  });

describe('an opening ends', () => {
  it('as denied with its evidence, once, whoever ends it and however often', async () => {
    const asked = request();
    const answers = await Promise.all(Array.from({ length: 8 }, () => activities().attemptOpening(asked, 100)));
    const { endedAt, decidedAt, status } = await rowOf(asked);
    expect([status, decidedAt]).toEqual(['denied', endedAt]);
    const result = { outcome: 'denied', reason: 'identity-unknown', at: endedAt?.toISOString() };
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify({ kind: 'ended', result })]),
    );
    expect(await journalOf(asked)).toEqual([['denied', 'identity-unknown', 'app']]);
  });

  it('as unknown when a command may have arrived before it was denied, and the evidence says the same', async () => {
    const asked = request();
    await commanded(asked);
    expect(await activities().attemptOpening(asked, 100)).toMatchObject({ result: { outcome: 'unknown' } });
    expect(await rowOf(asked)).toMatchObject({ status: 'unknown', decidedAt: new Date(asked.requestedAt) });
    expect(await journalOf(asked)).toEqual([['unknown', 'identity-unknown', 'app']]);
  });

  it.each([
    ['time-over', 'expired', 'unknown'],
    ['gave-up', 'failed', 'unknown'],
  ] as const)('after "%s" as %s, and as %s when a command may have arrived', async (why, without, after) => {
    const [never, sent] = [request(), request()];
    await commanded(sent);
    expect((await activities().concludeOpening(never, why)).outcome).toBe(without);
    expect((await activities().concludeOpening(sent, why)).outcome).toBe(after);
  });
});

describe('the evidence of an opening', () => {
  const residentId = randomUUID();
  let doing: ReturnType<typeof activities>;
  beforeAll(() => {
    doing = activities();
  });
  const entryOf = ({ openingId: objectId }: OpenAccessRequest) =>
    owner.journalEntry.findFirstOrThrow({ where: { objectId } });
  const named = (): OpenAccessRequest => ({ ...request(), residentId });

  it('names the resident by a pseudonym of their own key, also when it ends as something else than was asked', async () => {
    await owner.resident.create({ data: { id: residentId } });
    await subjects.createKey(owner, residentId);
    const [denied, unknown] = [named(), named()];
    await commanded(unknown);
    await doing.attemptOpening(denied, 100);
    await doing.concludeOpening(unknown, 'time-over');

    expect(Object.values(await entryOf(denied))).not.toContain(residentId);
    const details = { accessPointId, partnerId: 'p', method: 'app' };
    expect(await entriesOfSubject(owner, subjects, residentId)).toMatchObject([
      { objectId: denied.openingId, outcome: 'denied', details },
      { objectId: unknown.openingId, outcome: 'unknown', details },
    ]);
  });

  it('names nobody from the moment the key is destroyed, although the process holds it still', async () => {
    await owner.subjectKey.delete({ where: { residentId } });
    const [first, second] = [named(), named()];
    for (const asked of [first, second]) await doing.attemptOpening(asked, 100);
    for (const asked of [first, second]) {
      expect(await entryOf(asked)).toMatchObject({ outcome: 'denied', subject: null, sealed: null });
    }
  });
});

describe('facts that change while billing is asked', () => {
  const residentId = randomUUID();
  const propertyId = randomUUID();
  const rightId = randomUUID();
  beforeAll(async () => {
    const { houseId } = await owner.accessPoint.findUniqueOrThrow({ where: { id: accessPointId } });
    await owner.resident.create({ data: { id: residentId } });
    await subjects.createKey(owner, residentId);
    await owner.property.create({ data: { id: propertyId, houseId, kind: 'flat', billingAccountId: randomUUID() } });
    const data = { id: rightId, residentId, propertyId, kind: 'owner', startsAt: new Date(0) };
    await owner.propertyRight.create({ data });
  });

  /** Around the clock, and never within a day from now. */
  const otherDays = {
    id: randomUUID(),
    accessPointId,
    integration,
    days: [((new Date().getUTCDay() + 2) % 7) + 1],
    fromMinute: 0,
    toMinute: 0,
    setBy: 'test',
  };

  /** The device opens whatever reaches it; what happens while billing is asked is the test's matter. */
  function opening(
    meanwhile: () => Promise<unknown>,
    {
      facts,
      unpaid,
      vault = workersOwn.subjects,
    }: { facts?: string; unpaid?: string; vault?: ReturnType<typeof createSubjectVault> } = {},
  ) {
    const commanded: string[] = [];
    const accounts: string[] = [];
    const open = ({ commandId }: { commandId: string }) => {
      commanded.push(commandId);
      return Promise.resolve({ result: 'opened', at: new Date().toISOString() });
    };
    const doing = createOpenAccessActivities({
      integration,
      database: worker,
      gatewayOf: () => Promise.resolve({ doors: { open } } as unknown as PartnerGateway),
      billing: {
        async standing({ accountId }) {
          accounts.push(accountId);
          if (accounts.length === 1) await meanwhile();
          return { standing: accountId === unpaid ? 'unpaid' : 'paid', asOf: new Date().toISOString() };
        },
      },
      subjects: vault,
      policy: { billingMaxAgeMs: 60_000 },
      billingTimeoutMs: 1_000,
    });
    const asked = { ...request(), residentId, ...(facts !== undefined && { facts }) };
    const attempt = new MockActivityEnvironment().run(
      (...args: Parameters<typeof doing.attemptOpening>) => doing.attemptOpening(...args),
      asked,
      1_000,
    );
    return { asked, commanded, accounts, attempt };
  }

  const spoiling: [string, () => Promise<unknown>][] = [
    ['resident-inactive', () => owner.resident.update({ where: { id: residentId }, data: { status: 'blocked' } })],
    [
      'device-unavailable',
      () => owner.accessPoint.update({ where: { id: accessPointId }, data: { status: 'blocked' } }),
    ],
    ['no-right', () => owner.propertyRight.update({ where: { id: rightId }, data: { endsAt: new Date() } })],
    ['outside-hours', () => owner.visitingHours.create({ data: otherDays })],
  ];
  const mend = async (): Promise<void> => {
    await owner.resident.update({ where: { id: residentId }, data: { status: 'active' } });
    await owner.accessPoint.update({ where: { id: accessPointId }, data: { status: 'active' } });
    await owner.propertyRight.update({ where: { id: rightId }, data: { endsAt: null } });
    await owner.visitingHours.deleteMany();
  };
  const read = () => readAccessFacts(owner, { accessPointId, residentId, method: 'app' });

  it.each(spoiling)('deny as %s, and no command leaves', async (reason, spoil) => {
    const { asked, commanded, attempt } = opening(spoil);
    expect(await attempt).toMatchObject({ result: { outcome: 'denied', reason } });
    expect(await rowOf(asked)).toMatchObject({ status: 'denied', attempts: 0 });
    expect(commanded).toEqual([]);
    await mend();
  });

  it.each(spoiling)('deny as %s also when the API had read others', async (reason, spoil) => {
    const facts = await read();
    await spoil();
    const { asked, commanded, attempt } = opening(() => Promise.resolve(), { facts });
    expect(await attempt).toMatchObject({ result: { outcome: 'denied', reason } });
    expect(await rowOf(asked)).toMatchObject({ status: 'denied', attempts: 0 });
    expect(commanded).toEqual([]);
    await mend();
  });

  it.each(spoiling)('deny nobody as %s because the API had read so', async (_reason, spoil) => {
    await spoil();
    const facts = await read();
    await mend();
    const { asked, commanded, attempt } = opening(() => Promise.resolve(), { facts });
    expect(await attempt).toMatchObject({ result: { outcome: 'opened' } });
    expect(commanded).toEqual([asked.openingId]);
  });

  it('have billing asked about the account of now, and not about the one that the API had read', async () => {
    const facts = await read();
    const { billingAccountId: before } = await owner.property.findUniqueOrThrow({ where: { id: propertyId } });
    const now = randomUUID();
    await owner.property.update({ where: { id: propertyId }, data: { billingAccountId: now } });
    const denied = opening(() => Promise.resolve(), { facts, unpaid: now });
    expect(await denied.attempt).toMatchObject({ result: { outcome: 'denied', reason: 'service-unpaid' } });
    expect(denied.accounts).toEqual([before, now]);
    expect(denied.commanded).toEqual([]);
    const paidNow = opening(() => Promise.resolve(), { facts, unpaid: before });
    expect(await paidNow.attempt).toMatchObject({ result: { outcome: 'opened' } });
    expect(paidNow.accounts).toEqual([before, now]);
  });

  it('are as the API reads them when they are as the worker does', async () => {
    expect(await readAccessFacts(worker, { accessPointId, residentId, partnerId: 'p', method: 'app' })).toBe(
      await read(),
    );
  });

  it('to hours that bind a right of another kind only open all the same', async () => {
    const { commanded, asked, attempt } = opening(() =>
      owner.visitingHours.create({ data: { ...otherDays, rightKind: 'guest' } }),
    );
    expect(await attempt).toMatchObject({ result: { outcome: 'opened' } });
    expect(commanded).toEqual([asked.openingId]);
    await owner.visitingHours.deleteMany();
  });

  it('ask billing of no right that opens at other hours', async () => {
    const [paid, unpaid] = [randomUUID(), randomUUID()];
    await owner.visitingHours.create({ data: { ...otherDays, rightKind: 'guest' } });
    const { houseId } = await owner.accessPoint.findUniqueOrThrow({ where: { id: accessPointId } });
    await owner.property.create({ data: { id: paid, houseId, kind: 'flat', billingAccountId: paid } });
    await owner.property.create({ data: { id: unpaid, houseId, kind: 'flat', billingAccountId: unpaid } });
    const visitor = await owner.resident.create({ data: { id: randomUUID() } });
    const right = { residentId: visitor.id, startsAt: new Date(0) };
    await owner.propertyRight.create({ data: { ...right, id: randomUUID(), propertyId: paid, kind: 'guest' } });
    await owner.propertyRight.create({ data: { ...right, id: randomUUID(), propertyId: unpaid, kind: 'owner' } });
    const question = { ...request(), residentId: visitor.id };
    const { billing } = factsAt(await readAccessFacts(worker, question), Date.now());
    expect(billing.accountIds).toEqual([unpaid]);
    await owner.visitingHours.deleteMany();
  });

  it('are decided upon anew, and open when they still allow it', async () => {
    const another = { id: randomUUID(), residentId, propertyId, kind: 'tenant', startsAt: new Date(0) };
    const { asked, commanded, attempt } = opening(() => owner.propertyRight.create({ data: another }));
    expect(await attempt).toMatchObject({ result: { outcome: 'opened' } });
    expect(await rowOf(asked)).toMatchObject({ status: 'opened', attempts: 1 });
    expect(commanded).toEqual([asked.openingId]);
  });

  it('open nothing while the key store does not answer, because the evidence could not be written', async () => {
    const away = openKeyStore('postgresql://nobody:nothing@127.0.0.1:1/none', 1);
    const inVain = opening(() => Promise.resolve(), { vault: createSubjectVault(keyEncryption, away) });
    await expect(inVain.attempt).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(inVain.commanded).toEqual([]);
    expect(await owner.opening.count({ where: { id: inVain.asked.openingId } })).toBe(0);
    await away.close();
    const { attempt } = opening(() => Promise.resolve());
    expect(await attempt).toMatchObject({ result: { outcome: 'opened' } });
  });

  it('command nothing when the opening was ended by who waited for it', async () => {
    const { asked, commanded, attempt } = opening(() =>
      activities().concludeOpening({ ...asked, residentId }, 'time-over'),
    );
    expect(await attempt).toMatchObject({ result: { outcome: 'expired' } });
    expect(commanded).toEqual([]);
  });
});

describe('the revision of a partner rises', () => {
  const revision = async (): Promise<number> =>
    (await owner.partner.findUniqueOrThrow({ where: { id: 'p' } })).revision;

  it('with every change of its row, whoever makes it, and with none that changes nothing', async () => {
    const before = await revision();
    await owner.partner.update({ where: { id: 'p' }, data: { agreedFields: ['commandId'] } });
    expect(await revision()).toBe(before + 1);
    await owner.partner.update({ where: { id: 'p' }, data: { agreedFields: ['commandId'] } });
    expect(await revision()).toBe(before + 1);
    await owner.partner.update({ where: { id: 'p' }, data: { active: false, revision: 0 } });
    expect(await revision()).toBe(before + 2);
  });

  it('when another secret is taken into use, and not when one is prepared or wrapped anew', async () => {
    const store = createSecretStore(localKeyEncryption(new Map([['k', newKey()]]), 'k'));
    const secret = { owner: 'p', name: 'basic-password', integration, value: 'x' };
    const first = await revision();
    await store.put(worker, secret);
    const second = await revision();
    expect(second).toBeGreaterThan(first);
    const version = await store.prepare(worker, { ...secret, issuedAt: new Date() });
    await owner.secret.updateMany({ where: { owner: 'p' }, data: { keyId: 'another' } });
    expect(await revision()).toBe(second);
    await store.activate(worker, secret, version);
    expect(await revision()).toBeGreaterThan(second);
  });
});
