import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHousekeepingActivities } from '../../activities/housekeeping';
import { openErasureLedger, residentHash } from '../../erasure/ledger';
import { openDatabase, type Database } from '../../prisma/database';
import { newKey } from '../../vault/envelope';
import { localKeyEncryption } from '../../vault/key-encryption';
import { openKeyStore, type KeyStore } from '../../vault/key-store';
import { createSubjectVault } from '../../vault/subject-keys';
import { createTestDatabase, type TestDatabase } from '../support/database';

const YEAR_MS = 366 * 86_400_000;
const ago = (years: number): Date => new Date(Date.now() - years * YEAR_MS);

/** What docs/retention.md says is kept, by the activity that the schedule runs, with the rights of its role. */
describe('the end of retention', () => {
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-ledger-'));
  let db: TestDatabase;
  let owner: Database;
  let core: Database;
  let keyStore: KeyStore;
  beforeAll(async () => {
    db = await createTestDatabase();
    owner = openDatabase(db.ownerUrl, 2);
    core = openDatabase(db.urlFor('domovoy_core'), 2);
    keyStore = openKeyStore(db.keyStoreUrlFor('domovoy_keys_core'), 1);
  });
  afterAll(async () => {
    await Promise.all([owner.$disconnect(), core.$disconnect(), keyStore.close()]);
    await db.drop();
    rmSync(folder, { recursive: true });
  });

  const never = (): Promise<never> => Promise.reject(new Error('not asked'));
  const housekeeping = () =>
    createHousekeepingActivities({
      database: core,
      subjects: createSubjectVault(localKeyEncryption(new Map([['k', newKey()]]), 'k'), keyStore),
      startDeletion: never,
      resumeSale: never,
      startErasure: never,
      ledger: openErasureLedger(folder),
      backupDays: 30,
      startLogExport: never,
      startReview: never,
    });
  const endRetention = () => housekeeping().endRetention();

  /** Somebody who is erased and had sold a flat so many years ago; all of it is as old. */
  async function erasedSeller(years: number, status = 'erased') {
    const [residentId, houseId, propertyId] = [randomUUID(), randomUUID(), randomUUID()];
    const [rightId, saleId, erasureId] = [randomUUID(), randomUUID(), randomUUID()];
    const at = ago(years);
    await owner.resident.create({ data: { id: residentId, status } });
    await owner.house.create({ data: { id: houseId } });
    await owner.property.create({ data: { id: propertyId, houseId, kind: 'flat', billingAccountId: randomUUID() } });
    await owner.propertyRight.create({
      data: { id: rightId, residentId, propertyId, kind: 'owner', startsAt: new Date(0), endsAt: at },
    });
    await owner.propertySale.create({
      data: {
        id: saleId,
        clientId: 'property-registry',
        registryReference: saleId,
        requestSha256: '',
        propertyId,
        sellerIds: [residentId],
        effectiveAt: at,
        state: 'in-force',
        takenAt: at,
        fanOut: 'done',
        rights: { create: { rightId, residentId } },
      },
    });
    await owner.erasure.create({
      data: {
        id: erasureId,
        residentId,
        basis: 'stop-processing',
        actor: 'app',
        state: 'closed',
        dueAt: at,
        completedAt: at,
        holders: { create: { id: randomUUID(), partnerId: 'p', integration: 'communal', kind: 'face' } },
        certificates: { create: { id: randomUUID(), version: 1, document: {}, issuedAt: at } },
      },
    });
    return { residentId, saleId, erasureId };
  }

  const left = async ({ residentId, saleId, erasureId }: Awaited<ReturnType<typeof erasedSeller>>) => ({
    rights: await owner.propertyRight.count({ where: { residentId } }),
    saleRights: await owner.propertySaleRight.count({ where: { saleId } }),
    sellers: (await owner.propertySale.findUniqueOrThrow({ where: { id: saleId } })).sellerIds.length,
    erasures: await owner.erasure.count({ where: { id: erasureId } }),
    holders: await owner.erasureHolder.count({ where: { erasureId } }),
    certificates: await owner.erasureCertificate.count({ where: { erasureId } }),
    ids: await owner.resident.count({ where: { id: residentId } }),
  });
  const ALL = { rights: 1, saleRights: 1, sellers: 1, erasures: 1, holders: 1, certificates: 1, ids: 1 };
  const NOTHING = { rights: 0, saleRights: 0, sellers: 0, erasures: 0, holders: 0, certificates: 0, ids: 0 };

  it('lets go of acts, and of what the register says of people who are erased, after three years and not before', async () => {
    const [old, young] = [await erasedSeller(3.01), await erasedSeller(2.9)];
    expect(await endRetention()).toBe(3);
    expect(await left(old)).toEqual(NOTHING);
    expect(await left(young)).toEqual(ALL);
    expect(await endRetention()).toBe(0);
  });

  it('keeps the id of somebody who is erased as long as the register has a right of theirs', async () => {
    const there = await erasedSeller(3.01);
    await owner.propertyRight.updateMany({ where: { residentId: there.residentId }, data: { endsAt: null } });
    expect(await endRetention()).toBe(1);
    expect(await left(there)).toEqual({ ...ALL, erasures: 0, holders: 0, certificates: 0 });
    await owner.propertyRight.updateMany({ where: { residentId: there.residentId }, data: { endsAt: ago(3.01) } });
    await endRetention();
    expect(await left(there)).toEqual(NOTHING);
  });

  it('lets go of calls to people and of reviews three years after they ended, and of none that is open', async () => {
    const call = (resolvedAt: Date | null) => ({
      ...{ id: randomUUID(), integration: 'core', process: 'erasure', objectId: randomUUID(), reason: 'overdue' },
      ...{ level: 1, raisedAt: ago(4), resolvedAt },
    });
    const calls = [call(null), call(ago(2.9))];
    await owner.escalation.createMany({ data: [call(ago(3.01)), ...calls] });
    const review = (closedAt: Date | null) => ({
      ...{ id: randomUUID(), workflowId: 'access-review', openedAt: ago(4), dueAt: ago(4), closedAt },
      state: closedAt === null ? 'open' : 'closed',
      items: { create: { id: randomUUID(), kind: 'member', holder: 'h', granted: 'operations' } },
    });
    const reviews = [review(null), review(ago(2.9))];
    for (const data of [review(ago(3.01)), ...reviews]) await owner.accessReview.create({ data });
    expect(await endRetention()).toBe(2);
    const ids = (rows: readonly { id: string }[]) => rows.map(({ id }) => id).toSorted();
    expect(ids(await owner.escalation.findMany())).toEqual(ids(calls));
    expect(ids(await owner.accessReview.findMany())).toEqual(ids(reviews));
    expect(await owner.accessReviewItem.count()).toBe(2);
  });

  it('lets go of the ledger’s lines when no backup is left that has the person, and of its acts after three years', async () => {
    const ledger = openErasureLedger(folder);
    const days = (number: number): string => new Date(Date.now() - number * 86_400_000).toISOString();
    const demand = (erasedAt: string | null) => ({
      ...{ erasureId: randomUUID(), basis: 'stop-processing' as const, requestedAt: days(40), dueAt: days(30) },
      ...{ holdReason: null, erasedAt },
    });
    const [old, young, waiting, broken] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
    ledger.enter(old, demand(days(32)));
    ledger.enter(young, demand(days(30.5)));
    ledger.enter(waiting, demand(null));
    // Of whom only the name is left is erased for ever.
    writeFileSync(join(folder, 'demands', `${residentHash(broken)}.json`), '{');
    const act = (issuedAt: Date) => ({ erasureId: randomUUID(), version: 1, issuedAt: issuedAt.toISOString() });
    const kept = { ...act(ago(2.9)), document: { payload: 'p' } };
    ledger.keep({ ...act(ago(3.01)), document: {} });
    ledger.keep(kept);
    expect(await endRetention()).toBe(2);
    expect([...ledger.demands().keys()].toSorted()).toEqual([young, waiting, broken].map(residentHash).toSorted());
    expect(ledger.demands().get(residentHash(broken))).toBeNull();
    expect(ledger.acts()).toEqual([kept]);
  });

  it('makes the months of the journal ahead, and calls once a day when entries lie in none', async () => {
    const alerts = () => owner.securityAlert.findMany({ where: { kind: 'journal-month' } });
    const months = async () =>
      (await owner.$queryRaw<{ month: Date }[]>`SELECT month FROM journal_months() AS month`).map(({ month }) => month);
    const last = (await months()).at(-1);
    await owner.$executeRawUnsafe(
      `DROP TABLE journal_entries_${last?.toISOString().slice(0, 7).replace('-', '_') ?? ''}`,
    );
    expect((await months()).at(-1)).not.toEqual(last);
    expect(await housekeeping().keepJournalMonths()).toBe(0);
    expect([(await months()).at(-1), await alerts()]).toEqual([last, []]);

    await owner.journalEntry.create({ data: { kind: 'opening', at: new Date('2001-01-01T00:00:00Z') } });
    for (let turn = 0; turn < 2; turn++) await housekeeping().keepJournalMonths();
    expect(await alerts()).toMatchObject([{ severity: 'high', scope: 'missing', objectId: 'journal' }]);
  });

  it('leaves the register of who is not erased as it is', async () => {
    const there = await erasedSeller(4, 'active');
    await owner.erasure.update({ where: { id: there.erasureId }, data: { state: 'reopened' } });
    await endRetention();
    expect(await left(there)).toEqual(ALL);
  });

  it('lets go of openings after three years, and of what billing said after a month', async () => {
    const [houseId, accessPointId] = [randomUUID(), randomUUID()];
    await owner.house.create({ data: { id: houseId } });
    await owner.partner.create({
      data: { id: 'p', integration: 'communal', custody: 'partner', displayName: 'P', profile: {} },
    });
    await owner.accessPoint.create({
      data: {
        id: accessPointId,
        houseId,
        partnerId: 'p',
        integration: 'communal',
        deviceId: 'd',
        kind: 'door',
        service: 's',
      },
    });
    const opening = (requestedAt: Date) => ({
      id: randomUUID(),
      clientId: 'app',
      requestSha256: '',
      accessPointId,
      partnerId: 'p',
      integration: 'communal',
      method: 'app',
      status: 'opened',
      requestedAt,
      notAfter: requestedAt,
    });
    const young = opening(ago(2.9));
    await owner.opening.createMany({ data: [opening(ago(3.01)), young] });
    const standing = (days: number) => ({
      accountId: randomUUID(),
      service: 's',
      standing: 'paid',
      asOf: new Date(Date.now() - days * 86_400_000),
    });
    await owner.billingAnswer.createMany({ data: [standing(31), standing(29)] });
    expect(await endRetention()).toBe(2);
    expect((await owner.opening.findMany()).map(({ id }) => id)).toEqual([young.id]);
    expect(await owner.billingAnswer.count()).toBe(1);
  });
});
