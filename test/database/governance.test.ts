import { randomUUID } from 'node:crypto';
import { createAttestationActivities } from '../../activities/attestation';
import { compareLogs } from '../../governance/log-comparison';
import { knownOrders, ordersWithin } from '../../governance/own-orders';
import { partnerCallRecord } from '../../journal/partner-calls';
import { openDatabase, type Database } from '../../prisma/database';
import { createTestDatabase, type TestDatabase } from '../support/database';

const MINUTE = 60_000;
const DAY = 86_400_000;
const now = Date.now();
const integration = 'smart-home';

/** What governance reads of the tables, with the rights of the role that reads it. */
describe('governance', () => {
  let db: TestDatabase;
  let owner: Database;
  let api: Database;
  let core: Database;
  beforeAll(async () => {
    db = await createTestDatabase();
    owner = openDatabase(db.ownerUrl, 2);
    api = openDatabase(db.urlFor('domovoy_api'), 2);
    core = openDatabase(db.urlFor('domovoy_core'), 2);
    const partner = { integration, displayName: 'P', custody: 'partner', agreedFields: [], profile: {} };
    await owner.partner.createMany({ data: ['ours', 'other'].map((id) => ({ id, ...partner })) });
  });
  afterAll(async () => {
    await Promise.all([owner, api, core].map((each) => each.$disconnect()));
    await db.drop();
  });

  it('tells of each loss of a letter once', async () => {
    const activities = createAttestationActivities({ database: core });
    await owner.partner.update({ where: { id: 'other' }, data: { attestedUntil: new Date(now + 300 * DAY) } });
    const losses = async () => {
      await activities.warnOfAttestations(new Date(now).toISOString());
      return owner.securityAlert.count({ where: { kind: 'attestation', objectId: 'ours', scope: 'missing' } });
    };
    const lose = async (day: number) => {
      const [id, at] = [randomUUID(), new Date(now + day * DAY)];
      const file = { mediaType: 'application/pdf', sha256: '', bytes: 0, keyId: 'k' };
      await owner.sealedFile.create({ data: { id, ...file, sealed: Buffer.alloc(0), wrappedKey: Buffer.alloc(0) } });
      const times = { inForceFrom: at, endedAt: at };
      await owner.attestationLetter.create({
        data: { id, partnerId: 'ours', fileId: id, status: 'withdrawn', ...times },
      });
    };
    expect([await losses(), await losses()]).toEqual([1, 1]);
    await lose(1);
    expect([await losses(), await losses()]).toEqual([2, 2]);
    await lose(2);
    expect([await losses(), await losses()]).toEqual([3, 3]);
  });

  describe('holds the log of a partner', () => {
    const scope = { partnerId: 'ours', scopeFrom: new Date(now - 60 * MINUTE), scopeTo: new Date(now) };
    const ago = (minutes: number): Date => new Date(now - minutes * MINUTE);
    const [houseId, residentId] = [randomUUID(), randomUUID()];
    beforeAll(async () => {
      await owner.house.create({ data: { id: houseId } });
      await owner.resident.create({ data: { id: residentId } });
      await owner.consentForm.create({
        data: { id: 'form', version: 1, textRu: '', textEn: '', sha256: '', purposes: [], validForDays: 1 },
      });
    });

    async function opened(minutes: number, attempts: number, partnerId = 'ours'): Promise<string> {
      const [id, accessPointId, deviceId] = [randomUUID(), randomUUID(), randomUUID()];
      const place = { houseId, partnerId, integration, deviceId, kind: 'door', service: 'smart-access' };
      await owner.accessPoint.create({ data: { id: accessPointId, ...place } });
      const requestedAt = ago(minutes);
      const request = { clientId: 'app', requestSha256: '', method: 'app', status: 'unknown', requestedAt };
      await owner.opening.create({
        data: { id, accessPointId, partnerId, integration, ...request, notAfter: requestedAt, attempts },
      });
      return `open/${id}`;
    }
    async function enrolled(state: string, concludedMinutesAgo: number, partnerId = 'ours'): Promise<string> {
      const [id, consentId] = [randomUUID(), randomUUID()];
      const common = { residentId, partnerId, integration, createdAt: ago(30) };
      const consent = { formId: 'form', formSha256: '', status: 'granted', expiresAt: new Date(now + DAY) };
      await owner.consent.create({ data: { id: consentId, ...common, ...consent } });
      const updatedAt = ago(concludedMinutesAgo);
      await owner.enrollment.create({ data: { id, ...common, consentId, houseId, state, updatedAt } });
      return `enroll/${id}`;
    }
    async function compared(told: readonly string[]) {
      const ours = await ordersWithin(api, scope);
      const known = await knownOrders(api, scope, told);
      const entries = told.map((key) => ({ key, at: ago(30).toISOString(), event: 'other' as const }));
      const { missing, unknown } = compareLogs({ ours, known }, entries, []);
      return { missing, unknown };
    }

    it('to what it has to have, and takes what it may have for no order that we never gave', async () => {
      const required = [await opened(30, 1), await enrolled('active', 29)].toSorted();
      const erased = randomUUID();
      await owner.journalEntry.create({ data: { kind: 'enrollment', integration, objectId: erased } });
      const possible = [
        // Counted back, although it may have arrived; asked for right before and after the time in question.
        ...[await opened(30, 0), await opened(61, 1), await opened(-1, 1)],
        // Sent to it, and not taken in the end, not yet, or later.
        ...[await enrolled('failed', 29), await enrolled('processing', 29), await enrolled('active', -1)],
        `enroll/${erased}`,
      ];
      expect(await compared([...required, ...possible])).toEqual({ missing: [], unknown: [] });
      expect(await compared(required)).toEqual({ missing: [], unknown: [] });
      expect(await compared(possible)).toEqual({ missing: required, unknown: [] });
    });

    it('to what we had it delete, allow and block, by the lines about our calls', async () => {
      const required = (await ordersWithin(api, scope)).map(({ key }) => key);
      const called = async (order: string, minutes: number, change: { outcome?: string; partnerId?: string } = {}) => {
        const { outcome = 'ok', partnerId = 'ours' } = change;
        const call = { integration, partnerId, operation: 'remove-face', outcome, durationMs: 5, toldAs: 't', order };
        const { kind, reason = '' } = partnerCallRecord({ ...call, correlationId: randomUUID(), execution: 'e' });
        await owner.journalEntry.create({ data: { kind, integration, outcome, reason, at: ago(minutes) } });
        return order;
      };
      const answered = [await called('delete/d/h/1', 30), await called('block-plate/p', 10)];
      await called('delete/d/h/1', 29);
      // May have come to it or not; right before the time in question.
      const possible = [
        await called('enroll-undo/e', 30, { outcome: 'PartnerUnreachable' }),
        await called('allow-plate/p', 61),
      ];
      const foreign = await called('delete/other', 30, { partnerId: 'other' });
      expect(await compared([...required, ...answered, ...possible])).toEqual({ missing: [], unknown: [] });
      expect(await compared([...required, foreign])).toEqual({ missing: answered.toSorted(), unknown: [foreign] });
    });

    it('to be its own: an order to another partner and one that nobody gave are unknown', async () => {
      const required = (await ordersWithin(api, scope)).map(({ key }) => key);
      const foreign = [await opened(30, 1, 'other'), await enrolled('active', 29, 'other'), `open/${randomUUID()}`];
      const odd = ['open/x', `enroll/${randomUUID().toUpperCase()}`, "open/';--"];
      await owner.journalEntry.create({
        data: { kind: 'enrollment', integration, objectId: foreign[1]?.slice('enroll/'.length) ?? '' },
      });
      const { unknown } = await compared([...required, ...foreign, ...odd]);
      expect(unknown).toEqual([...foreign, ...odd].toSorted());
    });
  });
});
