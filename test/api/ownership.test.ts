import { randomUUID } from 'node:crypto';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';
import { newKey, startCallers, type Answered, type Ask, type Callers } from './support-callers';

const partnerOf = (id: TownPartner['id']): TownPartner => PARTNERS.find((each) => each.id === id) as TownPartner;
const [vizor, kluch] = [partnerOf('vizor'), partnerOf('kluch')];
const anna = RESIDENTS.anna.id;
const nobody = '00000000-0000-4000-8000-00000000dead';
const at = (): string => new Date().toISOString();

/** An id of another partner, wherever a partner may give one, is answered like an id that nobody has (R0.10, R3.4). */
describe('what belongs to another partner looks like nothing', () => {
  let h: Harness;
  let callers: Callers;
  /** What vizor and kluch call the same resident. */
  let names: { vizor: string; kluch: string };
  beforeAll(async () => {
    h = await createHarness();
    callers = await startCallers(h);
    names = { vizor: await nameAt('vizor'), kluch: await nameAt('kluch') };
  }, 120_000);
  afterAll(async () => {
    await callers.close();
    await h.close();
  });

  /** Starting a plugin names the resident at that partner. */
  async function nameAt(partnerId: string): Promise<string> {
    const { status, body } = await h.app.post('/app/v1/plugin-sessions', { residentId: anna, partnerId });
    expect(status).toBe(201);
    return String(body['clientId']);
  }

  const post = (by: Ask, path: string, body: object): Promise<Answered> => {
    const headers = { ...newKey(), 'content-type': 'application/json' };
    return by({ method: 'POST', path, headers, body: JSON.stringify(body) });
  };
  /** Ids of openings differ of themselves. */
  const shapeOf = ({ status, headers, text }: Answered): unknown => [
    status,
    headers['content-type'],
    text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'id'),
  ];
  async function alike(expected: number, foreign: Promise<Answered>, unknown: Promise<Answered>): Promise<void> {
    const [one, other] = [await foreign, await unknown];
    expect(one.status).toBe(expected);
    expect(shapeOf(one)).toEqual(shapeOf(other));
  }
  const vector = Array.from({ length: 512 }, (_, index) => Math.sin(index));

  it('a device, when a face or a plate is before it', async () => {
    const byFace = (id: string) => post(callers.vizor, `/partner/v1/doors/${id}/openings`, { faceVector: vector });
    await alike(404, byFace(kluch.doorDeviceId), byFace('nothing'));
    const byPlate = (id: string) => post(callers.vizor, `/partner/v1/barriers/${id}/openings`, { plate: 'А123ВС77' });
    await alike(404, byPlate(kluch.barrierDeviceId), byPlate('nothing'));
    expect(await h.owner.opening.count()).toBe(0);
  });

  it.each(['kluch', 'vizor', 'shlagbaum'] as const)('a device, when a resident asks at it through %s', async (id) => {
    const other = partnerOf(id === 'vizor' ? 'kluch' : 'vizor');
    const relay = (deviceId: string) =>
      post(callers[id], '/partner/v1/resident-requests', { clientId: names.vizor, deviceId, action: 'open' });
    await alike(404, relay(other.doorDeviceId), relay('nothing'));
    expect(await h.owner.opening.count()).toBe(0);
  });

  it('the client id of a resident who asks', async () => {
    const deviceId = vizor.doorDeviceId;
    const relay = (clientId: string) =>
      post(callers.vizor, '/partner/v1/resident-requests', { clientId, deviceId, action: 'open' });
    expect((await relay(names.vizor)).status).toBe(200);
    await alike(403, relay(names.kluch), relay(nobody));
    await alike(403, relay(anna), relay(nobody));
    const opened = await h.owner.opening.findMany({ where: { status: 'opened' } });
    expect(opened.map(({ residentId }) => residentId)).toEqual([anna]);
  });

  it('the client id of a plugin’s token', async () => {
    const { body } = await h.app.post('/app/v1/plugin-sessions', { residentId: anna, partnerId: 'kluch' });
    const check = (clientId: string) =>
      post(callers.vizor, '/partner/v1/plugin-tokens/verifications', { token: body['token'], clientId });
    await alike(200, check(names.kluch), check(nobody));
    expect((await check(names.kluch)).text).toBe('{"valid":false}');
  });

  it('an opening, of another partner or of the app', async () => {
    const byApp = await h.app.post(`/app/v1/access-points/${vizor.doorId}/openings`, { residentId: anna });
    const request = { clientId: names.kluch, deviceId: kluch.doorDeviceId, action: 'open' };
    const byKluch = JSON.parse((await post(callers.kluch, '/partner/v1/resident-requests', request)).text) as {
      openingId: string;
    };
    const look = (by: Ask, id: unknown, audience = 'partner') =>
      by({ method: 'GET', path: `/${audience}/v1/openings/${String(id)}` });
    expect((await look(callers.kluch, byKluch.openingId)).status).toBe(200);
    expect((await look(callers.app, byApp.body['openingId'], 'app')).status).toBe(200);
    for (const by of [callers.vizor, callers.shlagbaum]) {
      await alike(404, look(by, byKluch.openingId), look(by, nobody));
      await alike(404, look(by, byApp.body['openingId']), look(by, nobody));
    }
    await alike(404, look(callers.kluch, byApp.body['openingId']), look(callers.kluch, nobody));
    await alike(404, look(callers.app, byKluch.openingId, 'app'), look(callers.app, nobody, 'app'));
  });

  it.each([
    ['enrollment', { state: 'active' }],
    ['deletion', {}],
  ])('the client id and the house of an %s', async (kind, more) => {
    const eventId = `${kind}-of-another`;
    const report = (clientId: string, houseId: string) =>
      post(callers.vizor, `/partner/v1/webhooks/${kind}s`, { eventId, clientId, houseId, at: at(), ...more });
    await alike(404, report(names.kluch, vizor.partnerHouseId), report(nobody, vizor.partnerHouseId));
    await alike(404, report(names.vizor, kluch.partnerHouseId), report(names.vizor, 'nothing'));
    await alike(404, report(names.vizor, kluch.houseId), report(names.vizor, 'nothing'));
    expect(await h.owner.partnerEvent.count({ where: { eventId } })).toBe(0);
  });

  it.each([
    ['key', kluch.doorDeviceId],
    ['fob', kluch.barrierDeviceId],
  ])('the device that a %s opened', async (carrier, deviceId) => {
    const report = (device: string) => {
      const event = { eventId: `${carrier}-of-another`, deviceId: device, [`${carrier}Id`]: 'a', at: at() };
      return post(callers.vizor, `/partner/v1/webhooks/${carrier}-openings`, event);
    };
    await alike(404, report(deviceId), report('nothing'));
    expect(await h.owner.partnerEvent.count({ where: { eventId: `${carrier}-of-another` } })).toBe(0);
  });

  it('the id of an event, which keeps no other partner from using it', async () => {
    const event = { eventId: randomUUID(), at: at() };
    const path = '/partner/v1/webhooks/equipment-changes';
    for (const by of [callers.vizor, callers.kluch, callers.shlagbaum]) {
      expect((await post(by, path, event)).status).toBe(202);
    }
    const rows = await h.owner.partnerEvent.findMany({ where: { eventId: event.eventId } });
    expect(rows.map(({ partnerId }) => partnerId).toSorted()).toEqual(['kluch', 'shlagbaum', 'vizor']);
  });

  it('an Idempotency-Key, which is of one client only', async () => {
    const key = { 'idempotency-key': randomUUID(), 'content-type': 'application/json' };
    const ask = (by: Ask, clientId: string, deviceId: string) => {
      const body = JSON.stringify({ clientId, deviceId, action: 'open' });
      return by({ method: 'POST', path: '/partner/v1/resident-requests', headers: key, body });
    };
    const first = await ask(callers.vizor, names.vizor, vizor.doorDeviceId);
    const second = await ask(callers.kluch, names.kluch, kluch.doorDeviceId);
    expect([first.status, second.status]).toEqual([200, 200]);
    const idOf = ({ text }: Answered) => (JSON.parse(text) as { openingId: string }).openingId;
    expect(idOf(first)).not.toBe(idOf(second));
  });
});
