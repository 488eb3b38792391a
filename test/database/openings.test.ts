import { randomUUID } from 'node:crypto';
import { createOpenAccessActivities } from '../../activities/open-access';
import type { OpenAccessRequest } from '../../contracts/openings';
import { openDatabase, type Database } from '../../prisma/database';
import { newKey } from '../../vault/envelope';
import { localKeyEncryption } from '../../vault/key-encryption';
import { createSecretStore } from '../../vault/secrets';
import { createTestDatabase, type TestDatabase } from '../support/database';

const integration = 'smart-home';
const accessPointId = randomUUID();

let db: TestDatabase;
let owner: Database;
let worker: Database;
beforeAll(async () => {
  db = await createTestDatabase();
  owner = openDatabase(db.ownerUrl, 2);
  worker = openDatabase(db.urlFor('domovoy_smart_home'), 2);
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
  await Promise.all([owner.$disconnect(), worker.$disconnect()]);
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
