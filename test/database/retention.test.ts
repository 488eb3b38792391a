import { randomUUID } from 'node:crypto';
import { createHousekeepingActivities } from '../../activities/housekeeping';
import { openDatabase, type Database } from '../../prisma/database';
import { newKey } from '../../vault/envelope';
import { localKeyEncryption } from '../../vault/key-encryption';
import { createSubjectVault } from '../../vault/subject-keys';
import { createTestDatabase, type TestDatabase } from '../support/database';

const YEAR_MS = 366 * 86_400_000;
const ago = (years: number): Date => new Date(Date.now() - years * YEAR_MS);

/** What docs/retention.md says is kept, by the activity that the schedule runs, with the rights of its role. */
describe('the end of retention', () => {
  let db: TestDatabase;
  let owner: Database;
  let core: Database;
  beforeAll(async () => {
    db = await createTestDatabase();
    owner = openDatabase(db.ownerUrl, 2);
    core = openDatabase(db.urlFor('domovoy_core'), 2);
  });
  afterAll(async () => {
    await Promise.all([owner.$disconnect(), core.$disconnect()]);
    await db.drop();
  });

  const never = (): Promise<never> => Promise.reject(new Error('not asked'));
  const housekeeping = () =>
    createHousekeepingActivities({
      database: core,
      subjects: createSubjectVault(localKeyEncryption(new Map([['k', newKey()]]), 'k')),
      startDeletion: never,
      resumeSale: never,
      startErasure: never,
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
  });
  const ALL = { rights: 1, saleRights: 1, sellers: 1, erasures: 1, holders: 1, certificates: 1 };

  it('lets go of acts, and of what the register says of people who are erased, after three years and not before', async () => {
    const [old, young] = [await erasedSeller(3.01), await erasedSeller(2.9)];
    expect(await endRetention()).toBe(2);
    expect(await left(old)).toEqual({ rights: 0, saleRights: 0, sellers: 0, erasures: 0, holders: 0, certificates: 0 });
    expect(await left(young)).toEqual(ALL);
    expect(await endRetention()).toBe(0);
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
