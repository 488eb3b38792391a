import { createPrivateKey, randomUUID } from 'node:crypto';
import { moveGalinaIn } from '../../stack/seed';
import { createRegistryBackend, createAppBackend, ownDemand } from '../../stack/story/app-backend';
import { createClient } from '../../stack/story/http';
import {
  APP_CLIENT_ID,
  FLAT_FOR_SALE,
  GALINA,
  REGISTRY_CLIENT_ID,
  REGISTRY_KEY_ID,
  RESIDENTS,
  type TownPartner,
} from '../../stack/town';
import { signRequest } from '../../partners/message-signature';
import { entriesOfSubject } from '../../journal/subjects';
import { takeEffect } from '../../registry/sale';
import { deletionRequestOf, lockBiometrics } from '../../vault/biometrics';
import { startDeletion } from '../../workflows/biometric-deletion/start';
import { getSaleProgress, saleChanged } from '../../workflows/property-sale/messages';
import type { propertySaleWorkflow } from '../../workflows/property-sale/workflow';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { textsOf } from '../support/histories';
import { anna, partnerOf, residentOf } from '../support/resident';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

const kluch = partnerOf('kluch');
const vizor = partnerOf('vizor');
const shlagbaum = partnerOf('shlagbaum');
const vera = RESIDENTS.vera.id;
const boris = RESIDENTS.boris.id;

type Body = Record<string, unknown>;
type PartnerPart = {
  partnerId: string;
  plates: string;
  biometrics: string;
  told: number;
  escalations: number;
  lastAnswer: string | null;
  lastAnswerAt: string | null;
};

let h: Harness;
let resident: ReturnType<typeof residentOf>;

/** @param server the one that skips time stumbles over many callers at once and does not miss a worker that went away */
function onServer(server: 'real' | 'skipping', settings: readonly string[] = []): void {
  beforeAll(async () => {
    h = await createHarness({ core: true, server, settings });
    resident = residentOf(h);
  }, 120_000);
  afterAll(() => h.close());
  afterEach(async () => {
    jest.restoreAllMocks();
    await mendEverything(h);
  });
}

const newReference = (): string => `R-${randomUUID()}`;
const sell = (propertyId: string, more: Body = {}, key?: string) =>
  h.registry.post('/registry/v1/property-sales', { registryReference: newReference(), propertyId, ...more }, key);
const reverse = (saleId: string) => h.registry.post(`/registry/v1/property-sales/${saleId}/reversal`, {});
const reverseByStaff = (member: StaffCaller, saleId: string, how: { key?: string } = {}) =>
  member.call('post', `/staff/v1/property-sales/${saleId}/reversal`, how);
const saleOf = async (saleId: string): Promise<Body & { partners: PartnerPart[] }> =>
  (await h.registry.get(`/registry/v1/property-sales/${saleId}`)).body as Body & { partners: PartnerPart[] };
const partOf = async (saleId: string, partnerId: string): Promise<PartnerPart | undefined> =>
  (await saleOf(saleId)).partners.find((part) => part.partnerId === partnerId);
const confirmed = (saleId: string) =>
  until('every partner has confirmed', async () => (await saleOf(saleId))['done'] === true);
const open = (partner: TownPartner, residentId: string, app = h.app) =>
  app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId });
const reasonOf = async (body: Body) =>
  (await h.owner.opening.findUniqueOrThrow({ where: { id: String(body['openingId']) } })).reason;
const endOf = async (rightId: string) =>
  (await h.owner.propertyRight.findUniqueOrThrow({ where: { id: rightId } })).endsAt;

/** A flat of its own in a house, with the rights that are wanted, so that no test sells another's. */
async function flatIn(
  partner: TownPartner,
  rights: readonly { residentId: string; startsAt?: Date; endsAt?: Date }[],
): Promise<{ propertyId: string; rightIds: string[] }> {
  const propertyId = randomUUID();
  const billingAccountId = partner.flats.paid.accountId;
  await h.owner.property.create({ data: { id: propertyId, houseId: partner.houseId, kind: 'flat', billingAccountId } });
  const rows = rights.map((right) => ({
    id: randomUUID(),
    propertyId,
    kind: 'owner',
    startsAt: new Date(0),
    ...right,
  }));
  await h.owner.propertyRight.createMany({ data: rows });
  return { propertyId, rightIds: rows.map(({ id }) => id) };
}

async function newResident(): Promise<string> {
  const id = randomUUID();
  await h.owner.resident.create({ data: { id } });
  await h.subjects.createKey(h.owner, id);
  return id;
}

const platesAt = async (partner: TownPartner): Promise<string[]> =>
  (await h.sandbox.platesHeld(partner.id)).map(({ plate }) => plate);

/** Vera with a flat, a face and a car at a partner that holds both. */
async function settledIn(partner: TownPartner, plate: string) {
  const flat = await flatIn(partner, [{ residentId: vera }]);
  const consentId = await resident.consentTo(partner.id, vera);
  const { body } = await resident.upload(partner, consentId, vera);
  await ended(h, `enrollment/${String(body['enrollmentId'])}`);
  const car = await h.app.post(`/app/v1/residents/${vera}/vehicles`, { plate, houseId: partner.houseId });
  expect(car.status).toBe(201);
  await until('the plate is allowed', async () => (await platesAt(partner)).includes(plate));
  return { ...flat, consentId };
}

describe('the property registry', () => {
  onServer('skipping');

  describe('a property sale', () => {
    it('ends the right with its answer: the app is denied, and the row says what was taken', async () => {
      const until2099 = new Date('2099-01-01T00:00:00Z');
      const owner = await newResident();
      const { propertyId, rightIds } = await flatIn(kluch, [{ residentId: owner, endsAt: until2099 }]);
      expect((await open(kluch, owner)).status).toBe(200);
      const { status, body } = await sell(propertyId);
      expect(status).toBe(201);
      expect(body).toMatchObject({ propertyId, state: 'in-force', rightsEnded: 1, rightsRestored: 0 });
      const denied = await open(kluch, owner);
      expect([denied.status, await reasonOf(denied.body)]).toEqual([403, 'no-right']);
      const saleId = String(body['saleId']);
      expect(await h.owner.propertySaleRight.findMany({ where: { saleId } })).toEqual([
        { saleId, rightId: rightIds[0], residentId: owner, previousEndsAt: until2099, restoredAt: null },
      ]);
      expect(await endOf(rightIds[0] ?? '')).toEqual(new Date(String(body['takenAt'])));
      await confirmed(saleId);
      expect(await resident.journal(saleId)).toEqual([
        'property-sale reported',
        'property-sale in-force',
        'escalation raised',
        'property-sale confirmed',
      ]);
      // Keys and fobs nobody's port takes an order for: a person is called, and the sale says so until somebody has looked.
      const call = { process: 'property-sale', objectId: `${saleId}/kluch/keys`, resolvedAt: null };
      expect(await partOf(saleId, 'kluch')).toMatchObject({ keysAndFobs: 'to-recode', escalations: 0 });
      const { id: callId } = await h.owner.escalation.findFirstOrThrow({ where: call });
      const operations = await staffMember(h, ['operations']);
      await operations.call('post', `/staff/v1/escalations/${callId}/acknowledgement`);
      expect(await partOf(saleId, 'kluch')).toMatchObject({ keysAndFobs: 'in-hand' });
      const told = (await entriesOfSubject(h.owner, h.subjects, owner)).filter(({ kind }) => kind === 'property-right');
      expect(told).toMatchObject([{ outcome: 'ended', details: { rightId: rightIds[0], saleId } }]);
    });

    it('takes face, plate, app and plugin token of the seller at once, and the partner deletes and blocks', async () => {
      const { propertyId } = FLAT_FOR_SALE;
      const consentId = await resident.consentTo('kluch', vera);
      const uploaded = await resident.upload(kluch, consentId, vera);
      const enrollmentId = String(uploaded.body['enrollmentId']);
      await ended(h, `enrollment/${enrollmentId}`);
      const car = await h.app.post(`/app/v1/residents/${vera}/vehicles`, { plate: 'Н246ОР77' });
      expect(car.status).toBe(201);
      await until('the plate is allowed', async () => (await platesAt(kluch)).includes('Н246ОР77'));
      const plugin = await h.app.post('/app/v1/plugin-sessions', { residentId: vera, partnerId: 'kluch' });
      const { token, clientId } = plugin.body;
      const check = async () =>
        (await h.sandbox.callCompany('kluch', '/partner/v1/plugin-tokens/verifications', { token, clientId })).body;
      expect(await check()).toEqual({ valid: true });
      expect((await resident.atTheDoor(kluch)).company?.status).toBe(200);

      const { body } = await sell(propertyId);
      const saleId = String(body['saleId']);
      const { company } = await resident.atTheDoor(kluch);
      if (company !== null) expect(company.status).toBe(403);
      expect((await open(kluch, vera)).status).toBe(403);
      expect(await check()).toEqual({ valid: false });
      const again = await h.app.post('/app/v1/plugin-sessions', { residentId: vera, partnerId: 'kluch' });
      expect(again.status).toBe(403);

      await confirmed(saleId);
      expect(await partOf(saleId, 'kluch')).toMatchObject({ plates: 'settled', biometrics: 'deleted' });
      expect(await platesAt(kluch)).not.toContain('Н246ОР77');
      expect(await resident.held(kluch)).toEqual([]);
      const consent = await resident.consent(consentId);
      expect(consent).toMatchObject({ status: 'withdrawn', deletion: { state: 'deleted' } });
      const evidence = await h.owner.journalEntry.findFirst({ where: { objectId: consentId, outcome: 'withdrawn' } });
      expect(evidence?.reason).toBe('sale');
      await ended(h, `consent/${consentId}`);
      // And all of it comes back to nobody by itself: the reversal gives back the right, and the plate with it.
      expect((await reverse(saleId)).body).toMatchObject({ state: 'reversed', rightsRestored: 1 });
      expect((await open(kluch, vera)).status).toBe(200);
      await confirmed(saleId);
      expect(await platesAt(kluch)).toContain('Н246ОР77');
      expect((await resident.consent(consentId)).status).toBe('withdrawn');
      expect(await resident.held(kluch)).toEqual([]);
    });

    it('leaves the right of a co-owner who does not sell, and of a buyer who is named', async () => {
      const [seller, coOwner, buyer] = [await newResident(), await newResident(), await newResident()];
      const shared = await flatIn(vizor, [{ residentId: seller }, { residentId: coOwner }]);
      expect((await sell(shared.propertyId, { sellers: [seller] })).body['rightsEnded']).toBe(1);
      expect([(await open(vizor, seller)).status, (await open(vizor, coOwner)).status]).toEqual([403, 200]);
      const whole = await flatIn(vizor, [{ residentId: buyer }, { residentId: coOwner }]);
      expect((await sell(whole.propertyId, { buyers: [buyer.toUpperCase()] })).body['rightsEnded']).toBe(1);
      expect((await open(vizor, buyer)).status).toBe(200);
    });

    it('leaves the right through another flat of the house, and the face there', async () => {
      const { consentId } = await resident.enrolled(vizor);
      const second = await flatIn(vizor, [{ residentId: anna }]);
      const { body } = await sell(second.propertyId);
      await confirmed(String(body['saleId']));
      expect((await open(vizor, anna)).status).toBe(200);
      expect((await resident.atTheDoor(vizor)).company?.status).toBe(200);
      expect((await resident.consent(consentId)).status).toBe('granted');
      expect(await h.owner.propertySaleDeletion.count({ where: { saleId: String(body['saleId']) } })).toBe(0);
      await resident.withdraw(consentId);
      await resident.deleted(consentId);
    });

    it('leaves the face at another house of the same partner, the consent and the session with it, until that is sold, too', async () => {
      const owner = await newResident();
      const second = { ...vizor, houseId: randomUUID() };
      await h.owner.house.create({ data: { id: second.houseId } });
      const { id: partnerId, integration } = vizor;
      const partnerHouseId = `second-${second.houseId}`;
      await h.owner.housePartner.create({ data: { houseId: second.houseId, partnerId, integration, partnerHouseId } });
      const [here, there] = [
        await flatIn(vizor, [{ residentId: owner }]),
        await flatIn(second, [{ residentId: owner }]),
      ];
      const consentId = await resident.consentTo('vizor', owner);
      for (const house of [vizor, second]) {
        const { body } = await resident.upload(house, consentId, owner);
        await ended(h, `enrollment/${String(body['enrollmentId'])}`);
      }
      const facesAt = async () =>
        (await h.owner.faceTemplate.findMany({ where: { residentId: owner, active: true } })).map(
          (face) => face.houseId,
        );
      expect((await facesAt()).toSorted()).toEqual([vizor.houseId, second.houseId].toSorted());
      const started = await h.app.post('/app/v1/plugin-sessions', { residentId: owner, partnerId: 'vizor' });
      expect(started.status).toBe(201);
      const sessions = () => h.owner.pluginSession.count({ where: { residentId: owner, endedAt: null } });

      await confirmed(String((await sell(here.propertyId)).body['saleId']));
      expect((await open(vizor, owner)).status).toBe(403);
      expect(await facesAt()).toEqual([second.houseId]);
      expect([(await resident.consent(consentId)).status, await sessions()]).toEqual(['granted', 1]);

      await confirmed(String((await sell(there.propertyId)).body['saleId']));
      expect(await facesAt()).toEqual([]);
      expect([(await resident.consent(consentId)).status, await sessions()]).toEqual(['withdrawn', 0]);
    });

    it('ends rights that have yet to begin as well, so that no guest of the seller comes tomorrow', async () => {
      const tomorrow = new Date(Date.now() + 86_400_000);
      const guest = await newResident();
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: guest, startsAt: tomorrow }]);
      const { body } = await sell(propertyId);
      expect(await endOf(rightIds[0] ?? '')).toEqual(new Date(String(body['takenAt'])));
    });

    it('of somebody who is erased at the same instant waits for the erasure, or it for the sale: neither fails', async () => {
      const owner = await moveGalinaIn(h.db, h.secrets);
      const subject = { residentId: owner, partnerId: GALINA.partnerId };
      expect((await h.app.post('/app/v1/plugin-sessions', subject)).status).toBe(201);
      jest.spyOn(h.temporal.client.workflow, 'signalWithStart').mockRejectedValue(new Error('gone'));
      const waiting = async (count: number) => {
        const [row] = await h.owner.$queryRaw<{ count: number }[]>`
          SELECT count(*)::int AS count FROM pg_locks JOIN pg_database ON pg_database.oid = database
          WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted`;
        return row?.count === count;
      };
      const [sold, erased] = await h.owner.$transaction(
        async (tx) => {
          await lockBiometrics(tx, subject);
          const sale = sell(GALINA.flat.propertyId, { sellers: [owner] });
          await until('the sale waits', () => waiting(1));
          const erasure = h.app.post(`/app/v1/residents/${owner}/erasure`, ownDemand());
          await until('the erasure waits', () => waiting(2));
          return [() => sale, () => erasure];
        },
        { timeout: 30_000 },
      );
      expect([(await sold()).status, (await erased()).status]).toEqual([201, 202]);
      expect(await h.owner.pluginSession.count({ where: { ...subject, endedAt: null } })).toBe(0);
    });

    it('of both flats of a house, sold at the same instant, leaves no right that each took for the other’s', async () => {
      const owner = await newResident();
      const flats = [
        await flatIn(shlagbaum, [{ residentId: owner }]),
        await flatIn(shlagbaum, [{ residentId: owner }]),
      ];
      const started = await h.app.post('/app/v1/plugin-sessions', { residentId: owner, partnerId: 'shlagbaum' });
      expect(started.status).toBe(201);
      await Promise.all(flats.map(({ propertyId }) => sell(propertyId)));
      expect(await h.owner.pluginSession.count({ where: { residentId: owner, endedAt: null } })).toBe(0);
    });
  });

  describe('a reversal', () => {
    it('gives back each right with the end that it had, and nothing that others changed since', async () => {
      const [first, second] = [await newResident(), await newResident()];
      const end = new Date('2098-06-01T00:00:00Z');
      const { propertyId, rightIds } = await flatIn(vizor, [
        { residentId: first, endsAt: end },
        { residentId: second },
        { residentId: first, endsAt: new Date(1_000) },
      ]);
      const saleId = String((await sell(propertyId)).body['saleId']);
      const [one = '', two = '', over = ''] = rightIds;
      const changed = new Date('2020-01-01T00:00:00Z');
      await h.owner.propertyRight.update({ where: { id: two }, data: { endsAt: changed } });
      const { status, body } = await reverse(saleId);
      expect([status, body['rightsEnded'], body['rightsRestored']]).toEqual([200, 2, 1]);
      expect([await endOf(one), await endOf(two), await endOf(over)]).toEqual([end, changed, new Date(1_000)]);
      expect((await open(vizor, first)).status).toBe(200);
      // A second time it changes nothing.
      expect(await reverse(saleId)).toMatchObject({ status: 200, body: { reversedAt: body['reversedAt'] } });
      expect((await resident.journal(saleId)).filter((line) => line === 'property-sale reversed')).toHaveLength(1);
    });

    it('is refused while a later sale of the property is in force, and possible when that was reversed', async () => {
      const [seller, buyer] = [await newResident(), await newResident()];
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: seller }]);
      const first = String((await sell(propertyId)).body['saleId']);
      await h.owner.propertyRight.create({
        data: { id: randomUUID(), propertyId, residentId: buyer, kind: 'owner', startsAt: new Date(0) },
      });
      const second = String((await sell(propertyId)).body['saleId']);
      expect((await open(vizor, buyer)).status).toBe(403);
      expect(await reverse(first)).toMatchObject({ status: 409, body: { type: '/problems/property-sold-again' } });
      expect(await endOf(rightIds[0] ?? '')).not.toBeNull();
      expect((await reverse(second)).status).toBe(200);
      expect((await open(vizor, buyer)).status).toBe(200);
      expect((await reverse(first)).status).toBe(200);
      expect(await endOf(rightIds[0] ?? '')).toBeNull();
    });

    it('of what is not there is a 404, as is another client’s', async () => {
      expect((await reverse(randomUUID())).status).toBe(404);
      expect((await h.registry.post('/registry/v1/property-sales/x/reversal', {})).status).toBe(400);
      const { propertyId } = await flatIn(vizor, []);
      const saleId = String((await sell(propertyId)).body['saleId']);
      await h.owner.propertySale.update({ where: { id: saleId }, data: { clientId: 'another' } });
      expect([
        (await reverse(saleId)).status,
        (await h.registry.get(`/registry/v1/property-sales/${saleId}`)).status,
      ]).toEqual([404, 404]);
    });
  });

  describe('a sale of a later date', () => {
    const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

    it('takes nothing before it, and everything on it', async () => {
      const owner = await newResident();
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: owner }]);
      const { body } = await sell(propertyId, { effectiveAt: new Date(Date.now() + 2_500).toISOString() });
      expect(body).toMatchObject({ state: 'scheduled', takenAt: null, rightsEnded: 0 });
      expect((await open(vizor, owner)).status).toBe(200);
      const saleId = String(body['saleId']);
      await h.temporal.sleep('3 seconds');
      await until('it took effect', async () => (await saleOf(saleId))['state'] === 'in-force');
      expect((await open(vizor, owner)).status).toBe(403);
      expect(await endOf(rightIds[0] ?? '')).not.toBeNull();
      await confirmed(saleId);
    });

    it('closes the doors on its day though no process of ours is awake', async () => {
      const owner = await newResident();
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: owner }]);
      jest.spyOn(h.temporal.client.workflow, 'signalWithStart').mockRejectedValue(new Error('gone'));
      const effectiveAt = new Date(Date.now() + 1_500);
      const { body } = await sell(propertyId, { effectiveAt: effectiveAt.toISOString() });
      expect(body).toMatchObject({ state: 'scheduled', rightsEnded: 0 });
      expect((await open(vizor, owner)).status).toBe(200);
      await until('nobody comes in', async () => (await open(vizor, owner)).status === 403);
      expect((await saleOf(String(body['saleId'])))['state']).toBe('scheduled');
      expect(await endOf(rightIds[0] ?? '')).toEqual(effectiveAt);
    });

    it('that takes effect late leaves the rights of who bought since, and takes those written before its day', async () => {
      const [owner, guest, buyer] = [await newResident(), await newResident(), await newResident()];
      const { propertyId } = await flatIn(vizor, [{ residentId: owner }]);
      jest.spyOn(h.temporal.client.workflow, 'signalWithStart').mockRejectedValue(new Error('gone'));
      const effectiveAt = new Date(Date.now() + 1_000);
      const saleId = String((await sell(propertyId, { effectiveAt: effectiveAt.toISOString() })).body['saleId']);
      const right = { propertyId, kind: 'owner' };
      await h.owner.propertyRight.createMany({
        data: [
          { ...right, id: randomUUID(), residentId: guest, startsAt: new Date(0) },
          { ...right, id: randomUUID(), residentId: buyer, startsAt: effectiveAt },
        ],
      });
      await until('its day has come', () => Promise.resolve(Date.now() > effectiveAt.getTime()));
      await h.owner.$transaction((tx) => takeEffect(tx, saleId, { actor: 'test', subjects: h.subjects }));
      expect(await saleOf(saleId)).toMatchObject({ state: 'in-force', rightsEnded: 2 });
      const statuses = [owner, guest, buyer].map(async (id) => (await open(vizor, id)).status);
      expect(await Promise.all(statuses)).toEqual([403, 403, 200]);
    });

    it.each([
      ['in the order of their reports', [0, 1]],
      ['the other way round', [1, 0]],
    ])('is called off with another of the same flat, %s, and every right is as it was', async (_order, order) => {
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: await newResident() }]);
      const sales: string[] = [];
      for (const days of [60, 30]) {
        sales.push(String((await sell(propertyId, { effectiveAt: inDays(days) })).body['saleId']));
      }
      for (const index of order) await reverse(sales[index] ?? '');
      expect(await endOf(rightIds[0] ?? '')).toBeNull();
    });

    it('that is called off takes nothing', async () => {
      const owner = await newResident();
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: owner }]);
      const saleId = String((await sell(propertyId, { effectiveAt: inDays(30) })).body['saleId']);
      const call = { process: 'property-sale', objectId: `${saleId}/vizor`, reason: 'PlatesNotSettled', level: 1 };
      await h.owner.escalation.create({
        data: { ...call, id: randomUUID(), integration: 'communal', raisedAt: new Date() },
      });
      expect((await reverse(saleId)).body).toMatchObject({ state: 'reversed', rightsRestored: 0 });
      await ended(h, `property-sale/${saleId}`);
      // Nobody has to see to what the reversal overtook.
      expect(await h.owner.escalation.count({ where: { ...call, resolvedAt: null } })).toBe(0);
      expect(await endOf(rightIds[0] ?? '')).toBeNull();
    });
  });

  describe('a report', () => {
    it('made twice is one sale, by its number as by its key; a number that names another sale is refused', async () => {
      const owner = await newResident();
      const { propertyId } = await flatIn(vizor, [{ residentId: owner }]);
      const registryReference = newReference();
      const key = randomUUID();
      const answers = await Promise.all([
        ...[1, 2, 3].map(() => sell(propertyId, { registryReference })),
        ...[1, 2].map(() => sell(propertyId, { registryReference }, key)),
      ]);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
      expect(new Set(answers.map(({ body }) => body['saleId'])).size).toBe(1);
      expect(await h.owner.propertySale.count({ where: { propertyId } })).toBe(1);
      expect(await h.owner.propertySaleRight.count({ where: { residentId: owner } })).toBe(1);
      const other = await sell((await flatIn(vizor, [])).propertyId, { registryReference });
      expect([other.status, other.body['type']]).toEqual([409, '/problems/property-sale-conflict']);
    });

    it('of an earlier date than a sale in force is refused unless it says whose rights end', async () => {
      const [seller, buyer] = [await newResident(), await newResident()];
      const { propertyId } = await flatIn(vizor, [{ residentId: seller }]);
      await sell(propertyId);
      await h.owner.propertyRight.create({
        data: { id: randomUUID(), propertyId, residentId: buyer, kind: 'owner', startsAt: new Date(0) },
      });
      const effectiveAt = '2026-01-01T00:00:00Z';
      expect((await sell(propertyId, { effectiveAt })).body['type']).toBe('/problems/property-sale-superseded');
      expect((await open(vizor, buyer)).status).toBe(200);
      expect((await sell(propertyId, { effectiveAt, sellers: [seller] })).status).toBe(201);
      expect((await open(vizor, buyer)).status).toBe(200);
    });

    it('that cannot be is refused clearly and takes nothing', async () => {
      const owner = await newResident();
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: owner }]);
      const refused = await Promise.all([
        sell(randomUUID()),
        sell('no-id'),
        sell(propertyId, { registryReference: 'a\u0000b' }),
        sell(propertyId, { registryReference: '' }),
        sell(propertyId, { effectiveAt: '2199-01-01T00:00:00Z' }),
        sell(propertyId, { effectiveAt: '0000-01-01T00:00:00Z' }),
        sell(propertyId, { effectiveAt: 'tomorrow' }),
        sell(propertyId, { sellers: [] }),
        sell(propertyId, { sellers: [boris] }),
        sell(propertyId, { sellers: [owner], buyers: [owner] }),
        sell(propertyId, { price: 1 }),
      ]);
      expect(refused.map(({ status }) => status)).toEqual([404, 400, 400, 400, 400, 400, 400, 400, 404, 400, 400]);
      expect(await endOf(rightIds[0] ?? '')).toBeNull();
      expect(await h.owner.propertySale.count({ where: { propertyId } })).toBe(0);
    });

    it('needs a token of the registry', async () => {
      const { propertyId } = await flatIn(vizor, []);
      const report = { registryReference: newReference(), propertyId };
      expect((await h.app.post('/registry/v1/property-sales', report)).status).toBe(401);
      expect((await h.registry.get(`/app/v1/residents/${anna}/vehicles`)).status).toBe(401);
    });

    it('is believed only with a signature of the registry’s own key: a token alone takes nothing', async () => {
      const owner = await newResident();
      const { propertyId, rightIds } = await flatIn(vizor, [{ residentId: owner }]);
      const reported = String((await sell((await flatIn(vizor, [])).propertyId)).body['saleId']);
      const clientSecret = h.secrets.registryClient.value;
      const scope = 'property-sales:report';
      const unsigned = createAppBackend({ ...h, clientId: REGISTRY_CLIENT_ID, clientSecret, scope });
      const signingKeyPem = h.secrets.fromKluchSigningKey.value;
      const stranger = createRegistryBackend({ ...h, clientSecret, signingKeyPem });
      const report = { registryReference: newReference(), propertyId };
      for (const by of [unsigned, stranger]) {
        const statuses = [
          (await by.post('/registry/v1/property-sales', report)).status,
          (await by.post('/registry/v1/property-sales/imports', JSON.stringify(report))).status,
          (await by.post(`/registry/v1/property-sales/${reported}/reversal`, {})).status,
        ];
        expect(statuses).toEqual([401, 401, 401]);
        expect((await by.get(`/registry/v1/property-sales/${reported}`)).body['state']).toBe('in-force');
        await by.close();
      }
      expect(await endOf(rightIds[0] ?? '')).toBeNull();
      expect((await open(vizor, owner)).status).toBe(200);
    });

    it('that was signed is believed once, as it was signed', async () => {
      const { propertyId } = await flatIn(vizor, []);
      const http = createClient(h.caPem);
      const basic = Buffer.from(`${REGISTRY_CLIENT_ID}:${h.secrets.registryClient.value}`).toString('base64');
      const { body: granted } = await http.send(`${h.apiUrl}/oauth/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
        body: 'grant_type=client_credentials&scope=property-sales%3Areport',
      });
      const url = `${h.apiUrl}/registry/v1/property-sales`;
      const signing = { keyId: REGISTRY_KEY_ID, key: createPrivateKey(h.secrets.registrySigningKey.value) };
      const body = Buffer.from(JSON.stringify({ registryReference: newReference(), propertyId }));
      const headers = {
        authorization: `Bearer ${String(granted['access_token'])}`,
        'content-type': 'application/json',
        'idempotency-key': randomUUID(),
      };
      const message = { method: 'POST', url, headers, body };
      const signed = { ...headers, ...(await signRequest(message, signing, Date.now())) };
      const changed = Buffer.from(JSON.stringify({ registryReference: newReference(), propertyId }));
      expect((await http.send(url, { ...message, headers: signed, body: changed })).status).toBe(401);
      expect((await http.send(url, { ...message, headers: signed })).status).toBe(201);
      expect((await http.send(url, { ...message, headers: signed })).status).toBe(401);
      expect(await h.owner.propertySale.count({ where: { propertyId } })).toBe(1);
      await http.close();
    });

    it('of a registry without an API comes as a CSV file from staff: line by line, and the file may come again', async () => {
      const [seller, other] = [await newResident(), await newResident()];
      const [first, second] = [
        await flatIn(vizor, [{ residentId: seller }, { residentId: other }]),
        await flatIn(vizor, []),
      ];
      const [operations, compliance] = [await staffMember(h, ['operations']), await staffMember(h, ['compliance'])];
      const imports = '/staff/v1/property-sales/imports';
      const file = [
        'registryReference;propertyId;sellers',
        `${newReference()};${first.propertyId};${seller}`,
        '',
        `"broken;${second.propertyId};`,
        `${newReference()};${randomUUID()};`,
        `${newReference()};no-id;`,
        `${newReference()};${second.propertyId};`,
      ].join('\r\n');
      const answer = await operations.call('post', imports, { file });
      const lines = answer.body['lines'] as { line: number; status: number; saleId: string | null }[];
      expect(lines.map(({ line, status }) => [line, status])).toEqual([
        [2, 201],
        [4, 400],
        [5, 404],
        [6, 400],
        [7, 201],
      ]);
      expect([(await open(vizor, seller)).status, (await open(vizor, other)).status]).toEqual([403, 200]);
      expect((await compliance.call('post', imports, { file })).body).toEqual(answer.body);
      expect(await h.owner.propertySale.count({ where: { propertyId: first.propertyId } })).toBe(1);
      const saleId = String(lines[0]?.saleId);
      const entry = await h.owner.journalEntry.findFirst({ where: { objectId: saleId, outcome: 'reported' } });
      expect(entry?.actor).toBe(`staff/${operations.memberId}`);

      const refused = await operations.call('post', imports, { file: file.replace('sellers', 'price') });
      expect(refused.status).toBe(400);
      const key = randomUUID();
      const backs = [
        ...(await Promise.all([{}, {}, { key }].map((how) => reverseByStaff(compliance, saleId, how)))),
        await reverseByStaff(compliance, saleId, { key }),
        await reverseByStaff(operations, saleId),
      ];
      for (const back of backs) {
        expect(back).toMatchObject({ status: 200, body: { state: 'reversed', rightsRestored: 1 } });
      }
      expect(new Set(backs.map(({ body }) => body['reversedAt'])).size).toBe(1);
      expect((await resident.journal(saleId)).filter((line) => line === 'property-sale reversed')).toHaveLength(1);
      // The register knows whose right it is, so that the journal names it among the seller's sealed details only.
      expect(await resident.journal(first.rightIds[0] ?? '')).toEqual([]);
      const told = (await entriesOfSubject(h.owner, h.subjects, seller)).filter(
        ({ kind }) => kind === 'property-right',
      );
      expect(told.map(({ outcome, details }) => [outcome, details])).toEqual([
        ['ended', { rightId: first.rightIds[0], saleId }],
        ['restored', { rightId: first.rightIds[0], saleId }],
      ]);
      expect((await open(vizor, seller)).status).toBe(200);
      // What the registry said itself is the registry's to take back.
      const reported = String((await sell((await flatIn(vizor, [])).propertyId)).body['saleId']);
      expect((await reverseByStaff(compliance, reported)).status).toBe(404);
      expect((await compliance.call('get', `/staff/v1/property-sales/${reported}`)).body['state']).toBe('in-force');
    });

    it('in a file is answered line by line, and a file may come again', async () => {
      const [first, second] = [await flatIn(vizor, []), await flatIn(vizor, [])];
      const line = (propertyId: string) => JSON.stringify({ registryReference: newReference(), propertyId });
      const file = [line(first.propertyId), '', '{', line(randomUUID()), '{"a":1}', line(second.propertyId)].join(
        '\r\n',
      );
      const answer = await h.registry.post('/registry/v1/property-sales/imports', file);
      expect(answer.status).toBe(200);
      const lines = answer.body['lines'] as { line: number; status: number; saleId: string | null }[];
      expect(lines.map((each) => [each.line, each.status])).toEqual([
        [1, 201],
        [3, 400],
        [4, 404],
        [5, 400],
        [6, 201],
      ]);
      expect((await h.registry.post('/registry/v1/property-sales/imports', file)).body).toEqual(answer.body);
      expect(await h.owner.propertySale.count({ where: { propertyId: first.propertyId } })).toBe(1);
      expect((await h.registry.post('/registry/v1/property-sales/imports', '\n'.repeat(600))).status).toBe(413);
    });
  });

  describe('what partners have to do about a sale', () => {
    it('is taken up by the scheduled tidying when the process died right after its commit', async () => {
      const { propertyId, consentId } = await settledIn(shlagbaum, 'Т358УХ78');
      jest.spyOn(h.temporal.client.workflow, 'signalWithStart').mockRejectedValue(new Error('gone'));
      const { status, body } = await sell(propertyId);
      jest.restoreAllMocks();
      const saleId = String(body['saleId']);
      expect([status, body['done']]).toEqual([201, false]);
      expect((await h.owner.propertySale.findUniqueOrThrow({ where: { id: saleId } })).fanOut).toBe('due');
      // A partner that has confirmed before anybody told it keeps no consent's execution from being told.
      const deletion = await h.owner.biometricDeletion.findFirstOrThrow({ where: { sales: { some: { saleId } } } });
      await startDeletion(h.temporal.client, deletionRequestOf(deletion), 'communal');
      await resident.deleted(consentId);
      const workflowId = `housekeeping-${randomUUID()}`;
      await h.temporal.client.workflow.start('housekeepingWorkflow', { workflowId, taskQueue: 'core', args: [] });
      await confirmed(saleId);
      expect(await platesAt(shlagbaum)).not.toContain('Т358УХ78');
      await ended(h, `consent/${consentId}`);
    });

    it('takes faces as well that only the partner knows of, because its plugin brought them', async () => {
      const { propertyId } = await settledIn(shlagbaum, 'Т360УХ78');
      await h.owner.enrollment.deleteMany({ where: { residentId: vera, partnerId: 'shlagbaum' } });
      await h.owner.consent.updateMany({ where: { residentId: vera }, data: { status: 'expired' } });
      expect(await resident.held(shlagbaum)).not.toEqual([]);
      await confirmed(String((await sell(propertyId)).body['saleId']));
      expect(await resident.held(shlagbaum)).toEqual([]);
    });

    it('is put before a person with what it waits for, and ends when the partner is back', async () => {
      const { propertyId } = await settledIn(shlagbaum, 'Т359УХ78');
      await breakPartner(h, 'shlagbaum', { endpoint: 'plates', fault: 'error' });
      const saleId = String((await sell(propertyId)).body['saleId']);
      const handle = h.temporal.client.workflow.getHandle(`property-sale/${saleId}`);
      await until('the faces are deleted', async () => (await partOf(saleId, 'shlagbaum'))?.biometrics === 'deleted');
      const progress = await handle.query(getSaleProgress);
      expect(progress.partners).toMatchObject([{ partnerId: 'shlagbaum', plates: 'settling' }]);
      await until('a person is called', async () => {
        await h.temporal.sleep('15 minutes');
        return (await partOf(saleId, 'shlagbaum'))?.escalations === 1;
      });
      const call = { process: 'property-sale', objectId: `${saleId}/shlagbaum` };
      expect(await h.owner.escalation.findMany({ where: call })).toMatchObject([
        { reason: 'PlatesNotSettled', level: 1, integration: 'communal', resolvedAt: null },
      ]);
      // With what was tried: how often the partner was told, and what it answered last.
      const part = await partOf(saleId, 'shlagbaum');
      expect(part?.lastAnswer).toMatch(/^Partner(Unavailable|Unreachable)$/);
      expect(part?.lastAnswerAt).not.toBeNull();
      const alert = { kind: 'property-sale-late', objectId: call.objectId, scope: 'PlatesNotSettled' };
      expect(await h.owner.securityAlert.count({ where: alert })).toBe(1);
      const [first, second] = [await staffMember(h, ['operations']), await staffMember(h, ['compliance'])];
      const about = async () => {
        const { body } = await second.call('get', '/staff/v1/escalations?open=true');
        const calls = body['escalations'] as Record<string, unknown>[];
        return calls.filter(({ objectId }) => objectId === call.objectId);
      };
      const [open] = await about();
      const escalationId = String(open?.['escalationId']);
      const path = `/staff/v1/escalations/${escalationId}/acknowledgement`;
      expect(open).toMatchObject({ reason: 'PlatesNotSettled', acknowledgedAt: null });
      for (const member of [first, second]) {
        expect((await member.call('post', path)).body['acknowledgedBy']).toBe(`staff/${first.memberId}`);
      }
      expect((await about())[0]?.['acknowledgedAt']).not.toBeNull();
      expect(await resident.journal(escalationId)).toEqual(['escalation acknowledged']);
      expect((await first.call('post', path.replace(escalationId, randomUUID()))).status).toBe(404);
      await mendEverything(h);
      await until('it is done', async () => {
        await h.temporal.sleep('10 minutes');
        return (await saleOf(saleId))['done'] === true;
      });
      expect(await about()).toEqual([]);
      expect((await partOf(saleId, 'shlagbaum'))?.told).toBeGreaterThan(1);
      expect(await h.owner.escalation.count({ where: { ...call, resolvedAt: null } })).toBe(0);
    }, 150_000);
  });
});

describe('a sale, on a real server,', () => {
  // An execution begins anew soon, and not after thousands of events.
  onServer('real', ['limit.historyCount.suggestContinueAsNew=40']);

  it('goes on at its partners when every worker was away and one answer in three is lost, with one effect in each system', async () => {
    const { propertyId } = await settledIn(shlagbaum, 'Т357УХ78');
    await h.stopWorkers();
    await breakPartner(h, 'shlagbaum', { endpoint: '*', fault: 'lost-answer', every: 3 });
    const { body } = await sell(propertyId);
    const saleId = String(body['saleId']);
    expect(body).toMatchObject({ state: 'in-force', done: false });
    expect(await partOf(saleId, 'shlagbaum')).toMatchObject({ plates: 'settling', biometrics: 'deleting', told: 0 });
    await h.startWorkers();
    await confirmed(saleId);
    expect(await platesAt(shlagbaum)).not.toContain('Т357УХ78');
    expect(await resident.held(shlagbaum)).toEqual([]);
    const answer = await fetch(`${h.sandboxControlUrl}/ledger?partner=shlagbaum`);
    const { entries } = (await answer.json()) as { entries: { key: string }[] };
    expect(new Set(entries.map(({ key }) => key)).size).toBe(entries.length);
    const { deletionId } = await h.owner.propertySaleDeletion.findFirstOrThrow({ where: { saleId } });
    expect(await h.sandbox.effects('shlagbaum', `delete/${deletionId}/${shlagbaum.houseId}/0`)).toBe(1);
  }, 150_000);

  it('lets nobody in by a decision that began after it, by whatever way in, on either API process', async () => {
    const other = await h.startAnotherApi();
    const clientSecret = h.secrets.appClient.value;
    const elsewhere = createAppBackend({ ...h, ...other, clientId: APP_CLIENT_ID, clientSecret });
    const { enrolled, atTheDoor } = resident;
    await enrolled(vizor);
    expect((await h.app.post(`/app/v1/residents/${anna}/vehicles`, { plate: 'Р135СТ77' })).status).toBe(201);
    const byApp = (app = h.app) => app.post(`/app/v1/access-points/${vizor.doorId}/openings`, { residentId: anna });
    const byPlate = async () => (await h.sandbox.showPlate('vizor', vizor.barrierDeviceId, 'Р135СТ77')).company?.status;
    const byFace = async () => (await atTheDoor(vizor)).company?.status;
    const ways = [byPlate, byFace, byApp, () => byApp(elsewhere), () => byApp(elsewhere)];
    expect([await byPlate(), await byFace(), (await byApp()).status]).toEqual([200, 200, 200]);

    const sale = { registryReference: newReference(), propertyId: vizor.flats.paid.propertyId };
    let answeredAt = Infinity;
    const late: unknown[] = [];
    const callers = Array.from({ length: 50 }, async (_, index) => {
      // Each caller comes again and again, until one of its tries began after the sale was answered.
      for (let isLast = false; !isLast;) {
        isLast = Date.now() > answeredAt;
        const answer = await ways[index % ways.length]?.();
        const status = typeof answer === 'number' ? answer : answer?.status;
        if (isLast) late.push(status);
      }
    });
    const { body } = await h.registry.post('/registry/v1/property-sales', sale);
    answeredAt = Date.now();
    await Promise.all(callers);
    expect(body['state']).toBe('in-force');
    // 403, or 504 where so many at once left no time to decide at all.
    expect(late).toHaveLength(50);
    expect(late.filter((status) => status !== 403 && status !== 504)).toEqual([]);
    expect([await byPlate(), await byFace(), (await byApp()).status, (await byApp(elsewhere)).status]).toEqual(
      Array.from({ length: 4 }, () => 403),
    );

    const takenAt = new Date(String(body['takenAt']));
    const rows = await h.owner.opening.findMany({ where: { accessPointId: { in: [vizor.doorId, vizor.barrierId] } } });
    expect(rows.length).toBeGreaterThan(50);
    // The facts that let somebody in were read before the sale had committed.
    const allowed = rows.filter(({ status }) => status !== 'denied' && status !== 'expired');
    expect(allowed.length).toBeGreaterThanOrEqual(3);
    for (const { decidedAt } of allowed) expect(decidedAt?.getTime()).toBeLessThanOrEqual(answeredAt);
    const askedAfter = rows.filter(({ requestedAt }) => requestedAt.getTime() > answeredAt);
    expect(askedAfter.filter(({ status }) => status !== 'denied' && status !== 'expired')).toEqual([]);
    expect(takenAt.getTime()).toBeLessThanOrEqual(answeredAt);
    await elsewhere.close();
  });

  it('keeps count of its calls to a person when its execution begins anew', async () => {
    const { propertyId } = await settledIn(shlagbaum, 'Т356УХ78');
    await breakPartner(h, 'shlagbaum', { endpoint: 'plates', fault: 'error' });
    jest.spyOn(h.temporal.client.workflow, 'signalWithStart').mockRejectedValueOnce(new Error('gone'));
    const { body } = await sell(propertyId);
    const saleId = String(body['saleId']);
    const sinceMs = Date.now() - 2 * 3_600_000;
    const handle = await h.temporal.client.workflow.start<typeof propertySaleWorkflow>('propertySaleWorkflow', {
      workflowId: `property-sale/${saleId}`,
      taskQueue: 'core',
      args: [
        { saleId, effectiveAt: String(body['effectiveAt']) },
        { sinceMs, looks: 0, level: 0, tells: true, state: 'in-force' },
      ],
    });
    const runs = [handle.firstExecutionRunId];
    await until('it has begun anew twice', async () => {
      await handle.signal(saleChanged);
      const { runId } = await handle.describe();
      if (!runs.includes(runId)) runs.push(runId);
      return runs.length > 2;
    });
    const last = h.temporal.client.workflow.getHandle(handle.workflowId, runs[2]);
    const { events } = await last.fetchHistory();
    const { opened } = await textsOf(h, [{ events: events?.slice(0, 1) ?? [] }]);
    expect(opened).toContain(`"sinceMs":${sinceMs.toString()}`);
    expect(opened).toMatch(/"level":1\b.*"state":"in-force"/);
    const call = { process: 'property-sale', objectId: `${saleId}/shlagbaum` };
    expect(await h.owner.escalation.findMany({ where: call })).toMatchObject([{ level: 1, resolvedAt: null }]);
  });
});
