import { createHash, randomUUID } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { parseKeyRing } from '../../config/environment';
import { vehicleAccessWorkflowId } from '../../contracts/ids';
import { LOCKOUTS, lockoutKey } from '../../contracts/lockout';
import { ordersWithin } from '../../governance/own-orders';
import { readPartnerCall } from '../../journal/partner-calls';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createPayloadCodec } from '../../vault/payload-codec';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { ended, until } from '../support/until';

const partnerOf = (id: string) => PARTNERS.find((partner) => partner.id === id) as TownPartner;
const vizor = partnerOf('vizor');
const kluch = partnerOf('kluch');
const shlagbaum = partnerOf('shlagbaum');
const anna = RESIDENTS.anna.id;
const boris = RESIDENTS.boris.id;

let h: Harness;
beforeAll(async () => {
  h = await createHarness({ server: 'real' });
}, 120_000);
afterAll(() => h.close());
afterEach(async () => {
  await mendEverything(h);
  await h.owner.$executeRaw`DELETE FROM rate_limits`;
});

const register = (residentId: string, plate: string, houseId?: string, key: string = randomUUID()) =>
  h.app.post(`/app/v1/residents/${residentId}/vehicles`, { plate, ...(houseId !== undefined && { houseId }) }, key);

async function registered(residentId: string, plate: string, houseId?: string): Promise<string> {
  const { status, body } = await register(residentId, plate, houseId);
  expect(status).toBe(201);
  return String(body['vehicleId']);
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What the journal says of our calls for a vehicle at a partner. */
async function calledFor(vehicleId: string, partner: TownPartner) {
  const where = { kind: 'partner-call', actor: vehicleAccessWorkflowId(vehicleId, partner.id) };
  const entries = await h.owner.journalEntry.findMany({ where });
  return entries.map((entry) => ({ objectId: entry.objectId, ...readPartnerCall(entry) }));
}

/** Digests of the request ids that came to a partner. */
async function requestIdsAt(partner: TownPartner): Promise<string[]> {
  const answer = await fetch(`${h.sandboxControlUrl}/partners/${partner.id}/calls`);
  const { calls } = (await answer.json()) as { calls: { digests: Record<string, string> }[] };
  return calls.flatMap(({ digests }) => digests['header.x-request-id'] ?? []);
}

const remove = (vehicleId: string) => h.app.post(`/app/v1/vehicles/${vehicleId}/removal`, {});

async function statusOf(residentId: string, vehicleId: string): Promise<unknown> {
  const { body } = await h.app.get(`/app/v1/residents/${residentId}/vehicles`);
  const found = (body['vehicles'] as { vehicleId: string; status: string }[]).find(
    (one) => one.vehicleId === vehicleId,
  );
  return found?.status ?? 'gone';
}

const held = async (partner: TownPartner, plate: string): Promise<string[]> =>
  (await h.sandbox.platesHeld(partner.id)).filter((each) => each.plate === plate).map(({ houseId }) => houseId);

const isHeld = (partner: TownPartner, plate: string) =>
  until(`${partner.id} holds the plate`, async () => (await held(partner, plate)).length > 0);
const isBlocked = (partner: TownPartner, plate: string) =>
  until(`${partner.id} holds the plate no more`, async () => (await held(partner, plate)).length === 0);

const failures = async (): Promise<number> => {
  const rows = await h.owner.$queryRaw<{ points: number }[]>`
    SELECT points FROM rate_limits WHERE key = ${lockoutKey('device', vizor.barrierId)}`;
  return rows[0]?.points ?? 0;
};

describe('a plate before the barrier of a partner that leaves plates to us', () => {
  const show = (plate: string, key?: string) =>
    h.sandbox.showPlate('vizor', vizor.barrierDeviceId, plate, { idempotencyKey: key });
  const effects = (body: Record<string, unknown> | undefined) =>
    h.sandbox.effects('vizor', `open/${String(body?.['openingId'])}`);
  const rowOf = (body: Record<string, unknown> | undefined) =>
    h.owner.opening.findUniqueOrThrow({ where: { id: String(body?.['openingId']) } });
  const shape = (body: Record<string, unknown> | undefined) => ({ ...body, openingId: '' });

  it('opens it once for its resident, without a consent to biometrics', async () => {
    await registered(anna, 'А123ВС77', vizor.houseId);
    expect(await h.owner.consent.count()).toBe(0);
    const { company } = await show('А123ВС77');
    expect(company?.status).toBe(200);
    expect(await effects(company?.body)).toBe(1);
    expect(await rowOf(company?.body)).toMatchObject({ method: 'plate', residentId: anna, status: 'opened' });
    expect(await failures()).toBe(0);
  });

  it.each(['A123BC77', 'а123вс77', 'a 123 bc 77 rus', 'А-123-ВС-77'])(
    'opens as the reader wrote it: %s',
    async (text) => {
      const { company } = await show(text);
      expect(company?.status).toBe(200);
      expect(await effects(company?.body)).toBe(1);
    },
  );

  it('opens once, however often the partner asks with one key', async () => {
    const key = randomUUID();
    const [first, second] = await Promise.all([show('А123ВС77', key), show('А123ВС77', key)]);
    expect([first.company?.status, second.company?.status]).toEqual([200, 200]);
    expect(first.company?.body).toEqual(second.company?.body);
    expect(await effects(first.company?.body)).toBe(1);
    const other = await show('К777КК77', key);
    expect(other.company?.status).toBe(422);
  });

  it('is denied and counted when it is a stranger’s', async () => {
    const { company } = await show('К777КК77');
    expect(company?.status).toBe(403);
    expect((await rowOf(company?.body)).reason).toBe('identity-unknown');
    expect(await effects(company?.body)).toBe(0);
    expect(await failures()).toBe(1);
  });

  it('of somebody without a right at this house is answered and counted like a stranger’s', async () => {
    await registered(boris, 'Е500КХ199', kluch.houseId);
    const elsewhere = await show('Е500КХ199');
    const stranger = await show('К777КК77');
    expect(elsewhere.company?.status).toBe(403);
    expect(shape(elsewhere.company?.body)).toEqual(shape(stranger.company?.body));
    expect(await failures()).toBe(2);
  });

  it('of a resident who has not paid is denied, and the partner does not learn why', async () => {
    await registered(boris, 'Е501КХ199', vizor.houseId);
    const unpaid = await show('Е501КХ199');
    expect((await rowOf(unpaid.company?.body)).reason).toBe('service-unpaid');
    expect(await effects(unpaid.company?.body)).toBe(0);
    expect(shape(unpaid.company?.body)).toEqual(shape((await show('К777КК77')).company?.body));
  });

  it('of a family opens when one of them has paid, whoever registered it first', async () => {
    await registered(boris, 'О900ОО77', vizor.houseId);
    await registered(anna, 'О900ОО77', vizor.houseId);
    expect((await show('О900ОО77')).company?.status).toBe(200);
  });

  it('is denied as soon as the right at the house has ended', async () => {
    const right = { where: { id: vizor.flats.paid.rightId } };
    await h.owner.propertyRight.update({ ...right, data: { endsAt: new Date(Date.now() - 1) } });
    try {
      expect((await show('А123ВС77')).company?.status).toBe(403);
    } finally {
      await h.owner.propertyRight.update({ ...right, data: { endsAt: null } });
    }
    expect((await show('А123ВС77')).company?.status).toBe(200);
  });

  it('is denied at the configured number of strangers, also when it is known, while the app still opens', async () => {
    for (let attempt = 0; attempt <= LOCKOUTS.device.attempts; attempt++) {
      await h.owner.$executeRaw`DELETE FROM rate_limits WHERE key = ${lockoutKey('pause', vizor.barrierId)}`;
      await show('К777КК77');
    }
    const { company } = await show('А123ВС77');
    expect((await rowOf(company?.body)).reason).toBe('locked-out');
    expect(await effects(company?.body)).toBe(0);
    const app = await h.app.post(`/app/v1/access-points/${vizor.barrierId}/openings`, { residentId: anna });
    expect(app.status).toBe(200);
  });

  it('is taken for a walk when it comes one character at a time, before the usual lockout', async () => {
    await h.owner.$executeRaw`DELETE FROM rate_limits`;
    for (const plate of ['К770КК77', 'К771КК77', 'К772КК77', 'К773КК77']) await show(plate);
    const alerts = await h.owner.securityAlert.findMany({ where: { kind: 'guessing-series' } });
    expect(alerts).toMatchObject([{ scope: 'plate-walk', objectId: vizor.houseId }]);
    const { company } = await show('А123ВС77');
    expect((await rowOf(company?.body)).reason).toBe('locked-out');
    await h.owner.$executeRaw`DELETE FROM rate_limits`;
  });

  it('is not taken for a walk when the same car waits and is read again and again', async () => {
    for (let reading = 0; reading < 5; reading++) await show('К774КК77');
    expect(await h.owner.securityAlert.count({ where: { kind: 'guessing-series' } })).toBe(1);
    expect((await show('А123ВС77')).company?.status).toBe(200);
  });

  it('is denied at once when its vehicle was removed, and nothing of the plate is kept', async () => {
    const vehicleId = await registered(anna, 'М321ТТ50', vizor.houseId);
    expect((await show('М321ТТ50')).company?.status).toBe(200);
    const { status, body } = await remove(vehicleId);
    expect([status, body['status'], body['plate']]).toEqual([200, 'removed', null]);
    expect((await show('М321ТТ50')).company?.status).toBe(403);
    const row = await h.owner.vehicle.findUniqueOrThrow({ where: { id: vehicleId } });
    expect([row.sealed, row.plateIndex]).toEqual([null, null]);
  });
});

describe('registering a vehicle', () => {
  it('gives the same vehicle for the same key, and another plate under it is refused', async () => {
    const key = randomUUID();
    const first = await register(anna, 'А001АА01', vizor.houseId, key);
    const again = await register(anna, 'a001aa 01', vizor.houseId, key);
    expect(again.body).toEqual(first.body);
    expect(first.body).toMatchObject({
      plate: 'А001АА01',
      kind: 'passenger',
      status: 'active',
      houseId: vizor.houseId,
    });
    expect((await register(anna, 'А002АА01', vizor.houseId, key)).status).toBe(422);
  });

  it('twice with one plate is a conflict for one resident, also when both come at once', async () => {
    const answers = await Promise.all([1, 2].map(() => register(anna, 'А003АА01', vizor.houseId)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409]);
  });

  it('is refused for a resident without a right, at that house or anywhere', async () => {
    const resident = randomUUID();
    await h.owner.resident.create({ data: { id: resident } });
    expect((await register(resident, 'А004АА01', vizor.houseId)).status).toBe(404);
    expect((await register(resident, 'А004АА01')).status).toBe(403);
    expect(await h.owner.vehicle.count({ where: { residentId: resident } })).toBe(0);
  });

  it('shows residents their own vehicles and no other', async () => {
    const vehicleId = await registered(boris, 'А005АА01', vizor.houseId);
    expect(await statusOf(boris, vehicleId)).toBe('active');
    expect(await statusOf(anna, vehicleId)).toBe('gone');
  });
});

describe('a plate at a partner that reads plates itself', () => {
  const show = (partner: TownPartner, plate: string) => h.sandbox.showPlate(partner.id, partner.barrierDeviceId, plate);
  const orders = async (partner: TownPartner, kind: string) => {
    const query = `partner=${partner.id}&kind=${kind}`;
    const answer = await fetch(`${h.sandboxControlUrl}/ledger?${query}`);
    return ((await answer.json()) as { entries: { attempts: number; houseId: string }[] }).entries;
  };
  const over = (vehicleId: string, partner: TownPartner) => ended(h, vehicleAccessWorkflowId(vehicleId, partner.id));

  it('is allowed at the houses of the resident; only the plate and the partner’s house id leave', async () => {
    await fetch(`${h.sandboxControlUrl}/partners/shlagbaum/calls`, { method: 'DELETE' });
    const vehicleId = await registered(anna, 'C 789 TY 199');
    for (const partner of [shlagbaum, kluch]) {
      await isHeld(partner, 'С789ТУ199');
      expect(await held(partner, 'С789ТУ199')).toEqual([partner.partnerHouseId]);
      expect(await show(partner, 'C789TY199')).toMatchObject({ seen: 'match', opened: { at: expect.any(String) } });
    }
    expect(await h.sandbox.platesHeld('vizor')).toEqual([]);
    const { calls } = (await (await fetch(`${h.sandboxControlUrl}/partners/shlagbaum/calls`)).json()) as {
      calls: { endpoint: string; fields: string[] }[];
    };
    const sent = calls.filter(({ endpoint }) => endpoint === 'plates');
    expect(sent.map(({ fields }) => fields)).toEqual([['plate']]); // the house is in the path
    // Each is told of the one request under an id of its own; the journal alone has them together.
    await until('both calls are in the journal', async () =>
      (await Promise.all([shlagbaum, kluch].map((partner) => calledFor(vehicleId, partner)))).every(
        (entries) => entries.length > 0,
      ),
    );
    const journaled = await Promise.all([shlagbaum, kluch].map((partner) => calledFor(vehicleId, partner)));
    const ours = new Set(journaled.flat().map(({ objectId }) => objectId));
    expect(ours.size).toBe(1);
    const arrived = await Promise.all([shlagbaum, kluch].map(requestIdsAt));
    journaled.forEach((entries, index) => {
      for (const { toldAs } of entries) expect(arrived[index]).toContain(digestOf(toldAs ?? ''));
      expect(arrived[index]).not.toContain(digestOf([...ours].join()));
    });
    expect(arrived[0]?.filter((digest) => arrived[1]?.includes(digest))).toEqual([]);
    await remove(vehicleId);
    await Promise.all([over(vehicleId, shlagbaum), over(vehicleId, kluch)]);
  });

  it('is blocked when the vehicle is removed; then the plate is gone with us, too', async () => {
    const vehicleId = await registered(anna, 'В222ВВ78');
    await isHeld(shlagbaum, 'В222ВВ78');
    await isHeld(kluch, 'В222ВВ78');
    const { body } = await remove(vehicleId);
    expect(body['status']).toMatch(/^remov(ing|ed)$/);
    await Promise.all([over(vehicleId, shlagbaum), over(vehicleId, kluch)]);
    for (const partner of [shlagbaum, kluch]) {
      expect(await held(partner, 'В222ВВ78')).toEqual([]);
      expect(await show(partner, 'В222ВВ78')).toMatchObject({ seen: 'no-match' });
    }
    // Each order is among those that the partner's log is held to (R3.6), under the key that the log has.
    const scope = { partnerId: shlagbaum.id, scopeFrom: new Date(Date.now() - 3_600_000) };
    const answer = await fetch(`${h.sandboxControlUrl}/ledger?partner=shlagbaum`);
    const { entries } = (await answer.json()) as { entries: { kind: string; key: string }[] };
    const log = entries.filter(({ kind }) => ['plate-allow', 'plate-block'].includes(kind)).map(({ key }) => key);
    expect(log.map((key) => key.split('/')[0])).toEqual(expect.arrayContaining(['allow-plate', 'block-plate']));
    await until('our own records have them', async () => {
      const ours = await ordersWithin(h.owner, { ...scope, scopeTo: new Date() });
      return log.every((key) => ours.some((order) => order.key === key));
    });
    const row = await h.owner.vehicle.findUniqueOrThrow({ where: { id: vehicleId } });
    expect([row.sealed, row.plateIndex]).toEqual([null, null]);
    expect(await statusOf(anna, vehicleId)).toBe('gone');
    const evidence = await h.owner.journalEntry.findMany({ where: { objectId: vehicleId }, orderBy: { seq: 'asc' } });
    expect(evidence.map(({ outcome }) => outcome)).toEqual(
      expect.arrayContaining([
        'registered',
        'allowed-at-partner',
        'removed',
        'blocked-at-partner',
        'removed-at-partner',
      ]),
    );
  });

  it('that cannot be blocked yet is tried again until it is; until then it is "removing", and opens nothing of ours', async () => {
    const vehicleId = await registered(anna, 'Е333ЕЕ78');
    await isHeld(shlagbaum, 'Е333ЕЕ78');
    await breakPartner(h, 'shlagbaum', { endpoint: 'plates', fault: 'error', times: 2 });
    await remove(vehicleId);
    expect((await h.sandbox.showPlate('vizor', vizor.barrierDeviceId, 'Е333ЕЕ78')).company?.status).toBe(403);
    await over(vehicleId, kluch);
    expect(await statusOf(anna, vehicleId)).toBe('removing');
    await over(vehicleId, shlagbaum);
    expect(await held(shlagbaum, 'Е333ЕЕ78')).toEqual([]);
    expect(await statusOf(anna, vehicleId)).toBe('gone');
  });

  it('is allowed once although the answer was lost', async () => {
    const before = (await orders(shlagbaum, 'plate-allow')).length;
    await breakPartner(h, 'shlagbaum', { endpoint: 'plates', fault: 'lost-answer', times: 1 });
    const vehicleId = await registered(anna, 'К444КК78', shlagbaum.houseId);
    await until(
      'the order is confirmed',
      async () => (await h.owner.plateHolding.count({ where: { partnerId: 'shlagbaum', state: 'allowed' } })) > 0,
    );
    const entries = (await orders(shlagbaum, 'plate-allow')).slice(before);
    expect(entries).toMatchObject([{ houseId: shlagbaum.partnerHouseId, attempts: 2 }]);
    await remove(vehicleId);
    await over(vehicleId, shlagbaum);
  });

  it('that was removed while the order to allow it was late on its way stays blocked', async () => {
    await breakPartner(h, 'shlagbaum', { endpoint: 'plates', fault: 'delay', delayMs: 3_600, times: 1 });
    const vehicleId = await registered(anna, 'М555ММ78', shlagbaum.houseId);
    await until(
      'the order is on its way',
      async () => (await h.owner.plateHolding.count({ where: { partnerId: 'shlagbaum', state: 'allowing' } })) > 0,
    );
    await remove(vehicleId);
    await over(vehicleId, shlagbaum);
    // The late order has arrived by now: its key was used, it changed nothing.
    const kinds = (await orders(shlagbaum, 'plate-allow')).length - (await orders(shlagbaum, 'plate-block')).length;
    expect(kinds).toBe(0);
    expect(await held(shlagbaum, 'М555ММ78')).toEqual([]);
  });

  it('of a family stays until the last of them has removed it', async () => {
    const mine = await registered(anna, 'Н666НН78', shlagbaum.houseId);
    const yours = await registered(boris, 'Н666НН78', shlagbaum.houseId);
    await isHeld(shlagbaum, 'Н666НН78');
    await remove(mine);
    await over(mine, shlagbaum);
    expect(await held(shlagbaum, 'Н666НН78')).toEqual([shlagbaum.partnerHouseId]);
    await remove(yours);
    await over(yours, shlagbaum);
    expect(await held(shlagbaum, 'Н666НН78')).toEqual([]);
  });

  it('is allowed again when it is registered again', async () => {
    for (let round = 0; round < 2; round++) {
      const vehicleId = await registered(anna, 'О707ОО78', shlagbaum.houseId);
      await isHeld(shlagbaum, 'О707ОО78');
      await remove(vehicleId);
      await over(vehicleId, shlagbaum);
      await isBlocked(shlagbaum, 'О707ОО78');
    }
  });

  it('is blocked when the right ends, without anybody saying so, and allowed again with a new right', async () => {
    const right = { where: { id: shlagbaum.flats.paid.rightId } };
    // Long enough that the partner is told before it ends, also on a busy machine.
    await h.owner.propertyRight.update({ ...right, data: { endsAt: new Date(Date.now() + 10_000) } });
    const vehicleId = await registered(anna, 'Р808РР78', shlagbaum.houseId);
    await isHeld(shlagbaum, 'Р808РР78');
    await isBlocked(shlagbaum, 'Р808РР78');
    expect(await statusOf(anna, vehicleId)).toBe('active');
    await h.owner.propertyRight.update({ ...right, data: { endsAt: null } });
    await h.temporal.client.workflow
      .getHandle(vehicleAccessWorkflowId(vehicleId, 'shlagbaum'))
      .signal('vehicleChanged');
    await isHeld(shlagbaum, 'Р808РР78');
    await remove(vehicleId);
    await over(vehicleId, shlagbaum);
  });

  it('is not sent when the data-set agreement does not list it, and is once it does', async () => {
    const { agreedFields } = await h.owner.partner.findUniqueOrThrow({ where: { id: 'shlagbaum' } });
    const agree = (fields: string[]) =>
      h.owner.partner.update({ where: { id: 'shlagbaum' }, data: { agreedFields: fields } });
    await agree(agreedFields.filter((field) => field !== 'plate'));
    const before = (await orders(shlagbaum, 'plate-allow')).length;
    const vehicleId = await registered(anna, 'Т909ТТ78', shlagbaum.houseId);
    const handle = h.temporal.client.workflow.getHandle(vehicleAccessWorkflowId(vehicleId, 'shlagbaum'));
    await until('the execution shows the refusal', async () => {
      const { typedSearchAttributes } = await handle.describe();
      return JSON.stringify(typedSearchAttributes.getAll()).includes('refused');
    });
    expect((await orders(shlagbaum, 'plate-allow')).length).toBe(before);
    await agree(agreedFields);
    await handle.signal('vehicleChanged');
    await isHeld(shlagbaum, 'Т909ТТ78');
    await remove(vehicleId);
    await over(vehicleId, shlagbaum);
  });

  it('of an execution whose vehicle never came leaves nothing', async () => {
    const before = await h.owner.plateHolding.count();
    const vehicleId = randomUUID();
    const workflowId = vehicleAccessWorkflowId(vehicleId, 'shlagbaum');
    const handle = await h.temporal.client.workflow.start('vehicleAccessWorkflow', {
      workflowId,
      taskQueue: 'communal',
      args: [{ vehicleId, partnerId: 'shlagbaum' }],
    });
    await until('it waits', async () => {
      const { typedSearchAttributes } = await handle.describe();
      return JSON.stringify(typedSearchAttributes.getAll()).includes('absent');
    });
    expect(await h.owner.plateHolding.count()).toBe(before);
    await handle.terminate();
  });
});

describe('afterwards', () => {
  const PLATES = ['А123ВС77', 'A123BC77', 'С789ТУ199', 'C 789 TY 199', 'К777КК77', 'М555ММ78'];

  it('no history holds a plate, nor a hash that a plate could be guessed from', async () => {
    const ring = parseKeyRing(h.secrets.payloadKeys.value);
    const codec = createPayloadCodec(ring.keys, ring.currentId);
    const payloads: Payload[] = [];
    const stored: string[] = [];
    for await (const { workflowId } of h.temporal.client.workflow.list()) {
      const history = await h.temporal.client.workflow.getHandle(workflowId).fetchHistory();
      stored.push(workflowId, JSON.stringify(history, collect(payloads)));
    }
    const decoded = await codec.decode(payloads);
    const opened = decoded.map((payload) => JSON.stringify(defaultPayloadConverter.fromPayload(payload))).join('\n');
    expect(opened).toContain(anna);
    const bare = (text: string) =>
      createHash('sha256')
        .update(`openBarrierByPlate\n${JSON.stringify([{ deviceId: vizor.barrierDeviceId }, {}])}\n`)
        .update(JSON.stringify({ plate: text }))
        .digest('hex');
    for (const text of [stored.join('\n'), opened]) {
      for (const plate of PLATES) {
        expect(text.includes(plate)).toBe(false);
        expect(text.includes(bare(plate))).toBe(false);
      }
    }
  });

  it('no log line and no row of any table holds a plate that can be read', async () => {
    const tables = await h.owner.$queryRaw<{ name: string }[]>`
      SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`;
    const rows: string[] = [];
    for (const { name } of tables) {
      const found = await h.owner.$queryRawUnsafe<{ row: string }[]>(`SELECT t::text AS row FROM "${name}" t`);
      rows.push(...found.map(({ row }) => row));
    }
    const everything = [...rows, ...h.logLines].join('\n');
    expect(everything).toContain(vizor.barrierId);
    for (const plate of PLATES) {
      expect(everything.includes(plate)).toBe(false);
      expect(everything.includes(Buffer.from(plate).toString('hex'))).toBe(false);
    }
  });
});

/** Collects payloads on the way. Messages show their bytes as base64 here. */
function collect(payloads: Payload[]) {
  return (_key: string, value: unknown): unknown => {
    if (value !== null && typeof value === 'object' && 'metadata' in value && 'data' in value) {
      const { metadata, data } = value as { metadata: Record<string, string>; data: string };
      const entries = Object.entries(metadata).map(([name, text]) => [name, Buffer.from(text, 'base64')]);
      payloads.push({
        metadata: Object.fromEntries(entries) as Record<string, Uint8Array>,
        data: Buffer.from(data, 'base64'),
      });
    }
    return value;
  };
}
