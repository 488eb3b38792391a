import { randomUUID } from 'node:crypto';
import { equipmentSyncWorkflowId } from '../../contracts/ids';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { ended } from '../support/until';

type House = { id: string; devices: { id: string; kind: string; name: string; online: boolean }[]; keys: []; fobs: [] };

const anna = RESIDENTS.anna.id;

let h: Harness;
beforeAll(async () => {
  h = await createHarness();
}, 120_000);
afterAll(() => h.close());

describe.each(PARTNERS)('the equipment of $id ($profile)', (partner: TownPartner) => {
  let before: House[];
  beforeAll(async () => {
    before = (await control('GET')).houses;
  });
  afterEach(async () => {
    await mendEverything(h);
    await control('PUT', { houses: before });
    await report();
  });

  async function control(method: 'GET' | 'PUT', body?: object): Promise<{ houses: House[] }> {
    const answer = await fetch(`${h.sandboxControlUrl}/partners/${partner.id}/equipment`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    expect(answer.status).toBe(200);
    return (await answer.json()) as { houses: House[] };
  }

  /** The partner reports a change by its own way of proving itself; ends when the comparison has. */
  async function report(eventId: string = randomUUID()): Promise<void> {
    const answer = await fetch(`${h.sandboxControlUrl}/partners/${partner.id}/company-calls`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        path: '/partner/v1/webhooks/equipment-changes',
        body: { eventId, at: new Date().toISOString() },
        idempotencyKey: eventId,
      }),
    });
    expect(await answer.json()).toMatchObject({ status: 202 });
    await ended(h, equipmentSyncWorkflowId(partner.id));
  }

  const change = (devices: (all: House['devices']) => House['devices']) =>
    control('PUT', { houses: before.map((house) => ({ ...house, devices: devices(house.devices) })) });
  const openDoor = () => h.app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId: anna });
  const door = () => h.owner.accessPoint.findUniqueOrThrow({ where: { id: partner.doorId } });
  const outcomes = async (objectId: string) =>
    (await h.owner.journalEntry.findMany({ where: { kind: 'equipment', objectId }, orderBy: { seq: 'asc' } })).map(
      ({ outcome }) => outcome,
    );

  it('stops opening at once when the partner removed it, and opens again when it is back', async () => {
    await change((all) => all.filter(({ id }) => id !== partner.doorDeviceId));
    await report();
    expect((await door()).status).toBe('removed');
    const refused = await openDoor();
    expect(refused).toMatchObject({ status: 403, body: { reason: 'device-unavailable' } });
    expect(await h.sandbox.effects(partner.id, `open/${String(refused.body['openingId'])}`)).toBe(0);

    await control('PUT', { houses: before });
    await report();
    expect((await openDoor()).status).toBe(200);
    expect((await outcomes(partner.doorId)).slice(-2)).toEqual(['removed', 'restored']);
  });

  it('is opened without anybody typing it in when it is new', async () => {
    const id = `${partner.id}-door-new-${randomUUID()}`;
    await change((all) => [...all, { id, kind: 'door', name: 'New door', online: true }]);
    await report();
    const added = await h.owner.accessPoint.findFirstOrThrow({ where: { deviceId: id } });
    expect(added).toMatchObject({ houseId: partner.houseId, label: 'New door', status: 'active' });
    const opened = await h.app.post(`/app/v1/access-points/${added.id}/openings`, { residentId: anna });
    expect(opened.status).toBe(200);
  });

  it('shows what changed, in our rows, the journal and the app', async () => {
    await change((all) => all.map((device) => ({ ...device, name: `${device.name}!`, online: false })));
    await report();
    expect(await door()).toMatchObject({ online: false, label: expect.stringMatching(/!$/) });
    expect((await outcomes(partner.doorId)).at(-1)).toBe('changed');
    const { body } = await h.app.get(`/app/v1/residents/${anna}/access-points`);
    const listed = (body['accessPoints'] as { accessPointId: string }[]).find(
      ({ accessPointId }) => accessPointId === partner.doorId,
    );
    expect(listed).toMatchObject({ online: false, label: expect.stringMatching(/!$/) });
  });

  it('stays blocked when we blocked it, also when the partner takes it off the list and back', async () => {
    await h.owner.accessPoint.update({ where: { id: partner.doorId }, data: { status: 'blocked' } });
    await change((all) => all.filter(({ id }) => id !== partner.doorDeviceId));
    await report();
    await control('PUT', { houses: before });
    await report();
    expect((await door()).status).toBe('blocked');
    await h.owner.accessPoint.update({ where: { id: partner.doorId }, data: { status: 'active' } });
  });

  it('stays as it is while the partner fails or lists nonsense', async () => {
    for (const fault of ['error', 'garbage', 'wrong-type'] as const) {
      await breakPartner(h, partner.id, { endpoint: 'equipment', fault });
      await change((all) => all.filter(({ id }) => id !== partner.doorDeviceId));
      await report();
      expect((await door()).status).toBe('active');
      await mendEverything(h);
    }
  });

  it('is compared once more for a report that came twice, and changes once', async () => {
    const eventId = randomUUID();
    const known = (await outcomes(partner.doorId)).length;
    await change((all) => all.filter(({ id }) => id !== partner.doorDeviceId));
    await report(eventId);
    await report(eventId);
    expect((await outcomes(partner.doorId)).slice(known)).toEqual(['removed']);
  });

  it('is compared for every partner of the integration in a round', async () => {
    await change((all) => all.filter(({ id }) => id !== partner.doorDeviceId));
    await h.temporal.client.workflow.start('equipmentRoundWorkflow', {
      workflowId: `equipment-round/${partner.integration}`,
      taskQueue: partner.integration,
      args: [{ integration: partner.integration }],
    });
    await ended(h, `equipment-round/${partner.integration}`);
    expect((await door()).status).toBe('removed');
  });
});
