import { createHash, randomUUID } from 'node:crypto';
import sharp from 'sharp';
import type { PartnerGateway } from '../../partners/ports';
import { until } from '../support/until';
import { custodianOf, extractorOf, newCall, newValues, openDoor, platesOf } from './calls';
import { failureOf } from './tls-partner';
import { ADAPTERS, FACE, startTown, type Adapter, type Town } from './town';

/** A picture in which nothing can be seen. */
const darkness = (): Promise<Buffer> =>
  sharp({ create: { width: 640, height: 640, channels: 3, background: '#050505' } })
    .jpeg()
    .toBuffer();

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterEach(() => town.tidy());
afterAll(() => town.stop());

const withCustody = (custody: 'company' | 'partner') => ADAPTERS.filter(({ partner }) => partner.custody === custody);
const rejected = expect.objectContaining({ type: 'PartnerRejected' }) as unknown;

describe.each(ADAPTERS)('opening: $name', (adapter) => {
  let gateway: PartnerGateway;
  beforeAll(async () => {
    gateway = await town.gateway(adapter);
  });

  test.each([
    ['door', adapter.partner.doorDeviceId],
    ['barrier', adapter.partner.barrierDeviceId],
  ] as const)('a %s is opened once', async (kind, deviceId) => {
    const { commandId, notAfter } = newValues(adapter);
    const call = newCall();
    const receipt = await gateway.doors.open({ commandId, deviceId, kind, notAfter }, call);
    expect(receipt.result).toBe('opened');
    expect(Math.abs(Date.parse(receipt.at) - Date.now())).toBeLessThan(10_000);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([
      { kind: 'open', commandId, deviceId, attempts: 1 },
    ]);
  });

  test('the same command again is answered the same and has no second effect', async () => {
    const values = newValues(adapter);
    const call = newCall();
    const first = await openDoor(gateway, values, call);
    expect(await openDoor(gateway, values, call)).toEqual(first);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 2 }]);
  });

  test('the same command under another key is the same command', async () => {
    const values = newValues(adapter);
    const first = newCall();
    await openDoor(gateway, values, first);
    await openDoor(gateway, values, newCall());
    const ofCommand = (await town.effectsAt(adapter, values.deviceId)).filter(
      ({ commandId }) => commandId === values.commandId,
    );
    expect(ofCommand).toMatchObject([{ key: first.idempotencyKey, attempts: 2 }]);
  });

  test('ten of the same command at once open once', async () => {
    const values = newValues(adapter);
    const call = newCall();
    const receipts = await Promise.all(Array.from({ length: 10 }, () => openDoor(gateway, values, call)));
    expect(new Set(receipts.map((receipt) => JSON.stringify(receipt))).size).toBe(1);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 10 }]);
  });

  test('one key for two commands is refused, and the second opens nothing', async () => {
    const call = newCall();
    await openDoor(gateway, newValues(adapter), call);
    const second = newValues(adapter);
    expect(await failureOf(openDoor(gateway, second, call))).toEqual(rejected);
    const opened = await town.effectsAt(adapter, second.deviceId);
    expect(opened.filter(({ commandId }) => commandId === second.commandId)).toEqual([]);
  });

  test('a command that comes after its time is expired and opens nothing, also when it is repeated', async () => {
    const late = { ...newValues(adapter), notAfter: new Date(Date.now() - 1_000).toISOString() };
    const call = newCall();
    expect(await openDoor(gateway, late, call)).toMatchObject({ result: 'expired' });
    expect(await openDoor(gateway, late, call)).toMatchObject({ result: 'expired' });
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open-expired' }]);
  });

  test('a command that was sent in time and held up at the partner is not carried out late', async () => {
    await town.break(adapter, { endpoint: 'open', fault: 'delay', delayMs: 600 });
    const values = { ...newValues(adapter), notAfter: new Date(Date.now() + 300).toISOString() };
    const call = newCall();
    expect(await openDoor(gateway, values, call)).toMatchObject({ result: 'expired' });
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open-expired' }]);
  });

  test.each(['nowhere', '..', '../faces', 'a/b?c=d#e', 'дверь', '%2e%2e', ' '])(
    'a device that the partner does not know is rejected, whatever its name (%j)',
    async (deviceId) => {
      const call = newCall();
      expect(await failureOf(openDoor(gateway, { ...newValues(adapter), deviceId }, call))).toEqual(rejected);
      expect(await town.effects(adapter, call.idempotencyKey)).toEqual([]);
    },
  );
});

describe.each(withCustody('partner'))('faces in the partner’s custody: $name', (adapter) => {
  let gateway: PartnerGateway;
  beforeAll(async () => {
    gateway = await town.gateway(adapter);
    await settings({ enrollment: 'manual' });
  });
  afterAll(() => settings({ enrollment: 'automatic' }));

  const settings = (change: object) => town.control('PATCH', `/partners/${adapter.partner.id}/settings`, change);
  const end = (subjectToken: string, result: object) =>
    town.control('POST', `/partners/${adapter.partner.id}/enrollments/${subjectToken}/result`, result);
  const held = async (subjectToken: string) =>
    (await town.holdings(adapter)).faces.filter(({ clientId }) => clientId === subjectToken);

  test('an enrollment is taken, is processed, and becomes active with the photo that was sent', async () => {
    const { subjectToken, partnerHouseId, photo } = newValues(adapter);
    const subject = { subjectToken, partnerHouseId };
    const call = newCall();
    const custodian = custodianOf(gateway);
    expect(await custodian.enroll({ ...subject, photo }, call)).toEqual({ state: 'accepted' });
    expect(await custodian.enrollmentState(subject, newCall())).toEqual({ state: 'processing' });
    await end(subjectToken, { state: 'active' });
    expect(await custodian.enrollmentState(subject, newCall())).toEqual({ state: 'active' });
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([
      { kind: 'face-enroll', subject: subjectToken, houseId: partnerHouseId },
    ]);
    const photoSha256 = createHash('sha256').update(FACE).digest('hex');
    expect(await held(subjectToken)).toMatchObject([{ houseId: partnerHouseId, state: 'active', photoSha256 }]);
  });

  test('the same enrollment again has no second effect', async () => {
    const { subjectToken, partnerHouseId, photo } = newValues(adapter);
    const call = newCall();
    for (let time = 0; time < 2; time += 1) {
      const receipt = await custodianOf(gateway).enroll({ subjectToken, partnerHouseId, photo }, call);
      expect(receipt).toEqual({ state: 'accepted' });
    }
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'face-enroll', attempts: 2 }]);
  });

  test('an enrollment that the partner rejects later says why', async () => {
    const { subjectToken, partnerHouseId, photo } = newValues(adapter);
    await custodianOf(gateway).enroll({ subjectToken, partnerHouseId, photo }, newCall());
    await end(subjectToken, { state: 'rejected', reason: 'blurred' });
    expect(await custodianOf(gateway).enrollmentState({ subjectToken, partnerHouseId }, newCall())).toEqual({
      state: 'rejected',
      refusal: 'blurred',
    });
  });

  test('a photo in which nothing can be seen is rejected with the reason, and nothing is kept', async () => {
    const { subjectToken, partnerHouseId } = newValues(adapter);
    const call = newCall();
    const receipt = await custodianOf(gateway).enroll({ subjectToken, partnerHouseId, photo: await darkness() }, call);
    expect(receipt).toEqual({ state: 'rejected', refusal: 'too-dark' });
    expect(await town.effects(adapter, call.idempotencyKey)).toEqual([]);
    expect(await held(subjectToken)).toEqual([]);
  });

  test('a photo with several faces is rejected with the reason', async () => {
    await town.break(adapter, { endpoint: 'faces', fault: 'refuse-photo', reason: 'several-faces' });
    const { subjectToken, partnerHouseId, photo } = newValues(adapter);
    expect(await custodianOf(gateway).enroll({ subjectToken, partnerHouseId, photo }, newCall())).toEqual({
      state: 'rejected',
      refusal: 'several-faces',
    });
    expect(await held(subjectToken)).toEqual([]);
  });

  test('what is no picture, and a house that the partner does not serve, are rejected', async () => {
    const { subjectToken, partnerHouseId, photo } = newValues(adapter);
    const custodian = custodianOf(gateway);
    const noPicture = custodian.enroll({ subjectToken, partnerHouseId, photo: Buffer.from('no picture') }, newCall());
    expect(await failureOf(noPicture)).toEqual(rejected);
    const elsewhere = custodian.enroll({ subjectToken, partnerHouseId: 'elsewhere', photo }, newCall());
    expect(await failureOf(elsewhere)).toEqual(rejected);
    expect(await held(subjectToken)).toEqual([]);
  });

  test('a face is removed for good, and removing it again is as right', async () => {
    const { subjectToken, partnerHouseId, photo } = newValues(adapter);
    const subject = { subjectToken, partnerHouseId };
    const custodian = custodianOf(gateway);
    await custodian.enroll({ ...subject, photo }, newCall());
    await end(subjectToken, { state: 'active' });
    const call = newCall();
    expect(await custodian.remove(subject, call)).toEqual({ state: 'deleted' });
    expect(await custodian.remove(subject, call)).toEqual({ state: 'deleted' });
    expect(await custodian.remove(subject, newCall())).toEqual({ state: 'deleted' });
    expect(await custodian.enrollmentState(subject, newCall())).toEqual({ state: 'deleted' });
    expect(await held(subjectToken)).toMatchObject([{ state: 'deleted', hasVector: false, photoSha256: null }]);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'face-delete', attempts: 2 }]);
  });

  test('a removal that takes its time is pending until it is done', async () => {
    const { subjectToken, partnerHouseId, photo } = newValues(adapter);
    const subject = { subjectToken, partnerHouseId };
    const custodian = custodianOf(gateway);
    await custodian.enroll({ ...subject, photo }, newCall());
    await town.break(adapter, { endpoint: 'face-deletions', fault: 'pending', delayMs: 300 });
    expect(await custodian.remove(subject, newCall())).toEqual({ state: 'pending' });
    await until('the face is deleted', async () => {
      const { state } = await custodian.enrollmentState(subject, newCall());
      return state === 'deleted';
    });
    expect(await held(subjectToken)).toMatchObject([{ state: 'deleted', hasVector: false }]);
  });

  test('of a face that was never held nothing is known, and removing it is right', async () => {
    const { partnerHouseId } = newValues(adapter);
    const subject = { subjectToken: randomUUID(), partnerHouseId };
    expect(await custodianOf(gateway).enrollmentState(subject, newCall())).toEqual({ state: 'unknown' });
    expect(await custodianOf(gateway).remove(subject, newCall())).toEqual({ state: 'deleted' });
    expect(await held(subject.subjectToken)).toEqual([]);
  });
});

describe.each(withCustody('company'))('faces in the company’s custody: $name', (adapter) => {
  let gateway: PartnerGateway;
  beforeAll(async () => {
    gateway = await town.gateway(adapter);
  });

  test('a photo becomes a vector, the same each time, and the partner keeps nothing', async () => {
    const first = await extractorOf(gateway).extract(FACE, newCall());
    if (!first.ok) throw new Error(first.refusal);
    expect(first.vector).toHaveLength(512);
    expect(first.modelVersion).not.toBe('');
    expect(await extractorOf(gateway).extract(FACE, newCall())).toEqual(first);
    expect((await town.holdings(adapter)).faces).toEqual([]);
  });

  test('a photo in which nothing can be seen is refused with the reason', async () => {
    const refused = { ok: false, refusal: 'too-dark' };
    expect(await extractorOf(gateway).extract(await darkness(), newCall())).toEqual(refused);
  });

  test.each(['several-faces', 'blurred'] as const)('a refusal for %s says so', async (reason) => {
    await town.break(adapter, { endpoint: 'face-vectors', fault: 'refuse-photo', reason });
    expect(await extractorOf(gateway).extract(FACE, newCall())).toEqual({ ok: false, refusal: reason });
  });

  test('what is no picture is rejected', async () => {
    expect(await failureOf(extractorOf(gateway).extract(Buffer.from('no picture'), newCall()))).toEqual(rejected);
  });

  test('plates are not passed: the partner leaves them to us', () => {
    expect(gateway.plates).toBeNull();
  });
});

describe.each(withCustody('partner'))('plates: $name', (adapter) => {
  let gateway: PartnerGateway;
  beforeAll(async () => {
    gateway = await town.gateway(adapter);
  });
  const isHeld = async (plate: string) =>
    (await town.holdings(adapter)).plates.held.some((each) => each.plate === plate);

  test('a plate is allowed once and blocked once, and passes between', async () => {
    const { plate, partnerHouseId } = newValues(adapter);
    const [allow, block] = [newCall(), newCall()];
    for (let time = 0; time < 2; time += 1) await platesOf(gateway).allow({ plate, partnerHouseId }, allow);
    expect(await isHeld(plate)).toBe(true);
    expect(await platesOf(gateway).isAllowed({ plate, partnerHouseId }, newCall())).toBe(true);
    for (let time = 0; time < 2; time += 1) await platesOf(gateway).block({ plate, partnerHouseId }, block);
    expect(await isHeld(plate)).toBe(false);
    expect(await platesOf(gateway).isAllowed({ plate, partnerHouseId }, newCall())).toBe(false);
    const houseId = partnerHouseId;
    expect(await town.effects(adapter, allow.idempotencyKey)).toMatchObject([
      { kind: 'plate-allow', houseId, attempts: 2 },
    ]);
    expect(await town.effects(adapter, block.idempotencyKey)).toMatchObject([
      { kind: 'plate-block', houseId, attempts: 2 },
    ]);
  });

  test('blocking a plate that was never allowed is right', async () => {
    const { plate, partnerHouseId } = newValues(adapter);
    await platesOf(gateway).block({ plate, partnerHouseId }, newCall());
    expect(await isHeld(plate)).toBe(false);
  });

  test('blocking that is confirmed and not done is found by asking, and done when it is ordered anew', async () => {
    const { plate, partnerHouseId } = newValues(adapter);
    const [first, again] = [newCall(), newCall()];
    await platesOf(gateway).allow({ plate, partnerHouseId }, newCall());
    await town.break(adapter, { endpoint: 'plates', fault: 'confirm-and-hold', times: 1 });
    await platesOf(gateway).block({ plate, partnerHouseId }, first);
    // The same order is answered from the partner's record of it.
    await platesOf(gateway).block({ plate, partnerHouseId }, first);
    expect(await platesOf(gateway).isAllowed({ plate, partnerHouseId }, newCall())).toBe(true);
    await platesOf(gateway).block({ plate, partnerHouseId }, again);
    expect(await platesOf(gateway).isAllowed({ plate, partnerHouseId }, newCall())).toBe(false);
    expect(await isHeld(plate)).toBe(false);
  });

  test('a house that the partner does not serve is rejected', async () => {
    const { plate } = newValues(adapter);
    const elsewhere = platesOf(gateway).allow({ plate, partnerHouseId: 'elsewhere' }, newCall());
    expect(await failureOf(elsewhere)).toEqual(rejected);
    expect(await isHeld(plate)).toBe(false);
  });
});

describe.each(ADAPTERS)('equipment: $name', (adapter) => {
  const { id, partnerHouseId, doorDeviceId, barrierDeviceId } = adapter.partner;

  test('the house’s equipment is listed as the partner has it now', async () => {
    const gateway = await town.gateway(adapter);
    const door = { deviceId: doorDeviceId, kind: 'door', label: 'Entrance 1', online: true };
    const barrier = { deviceId: barrierDeviceId, kind: 'barrier', label: 'Yard', online: true };
    expect(await gateway.equipment.list(partnerHouseId, newCall())).toEqual([door, barrier]);
    const before = await town.control<{ houses: { devices: object[] }[] }>('GET', `/partners/${id}/equipment`);
    const houses = before.houses.map((house) => ({
      ...house,
      devices: house.devices.map((device) => ({ ...device, online: false })),
    }));
    await town.control('PUT', `/partners/${id}/equipment`, { houses });
    expect(await gateway.equipment.list(partnerHouseId, newCall())).toEqual([
      { ...door, online: false },
      { ...barrier, online: false },
    ]);
    await town.control('PUT', `/partners/${id}/equipment`, before);
  });

  test.each(['elsewhere', '..', 'a?b'])('a house that the partner does not serve is rejected (%j)', async (house) => {
    const gateway = await town.gateway(adapter);
    expect(await failureOf(gateway.equipment.list(house, newCall()))).toEqual(rejected);
  });
});

/** Without this a misnamed adapter would be a suite of nothing. */
test('every custody and every profile is held to the contract', () => {
  const profiles = (adapters: readonly Adapter[]) => [...new Set(adapters.map(({ partner }) => partner.profile))];
  expect(profiles(ADAPTERS).sort()).toEqual(['basic-signed', 'mtls-oidc', 'oauth-client']);
  expect(withCustody('company')).toHaveLength(1);
  expect(withCustody('partner')).toHaveLength(3);
});
