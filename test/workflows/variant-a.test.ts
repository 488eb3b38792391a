import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { decodeJwt } from 'jose';
import { Agent, fetch as send } from 'undici';
import { projectFile } from '../../config/project-root';
import { FACE_VECTOR_LENGTH } from '../../contracts/access';
import { LOCKOUTS } from '../../contracts/lockout';
import { faceFeatures } from '../../sandbox/partners/face-features';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { requestFingerprint } from '../../api/idempotency';
import { entriesOfSubject } from '../../journal/subjects';
import { createHarness, type Harness } from '../support/harness';
import { ended, until } from '../support/until';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const anna = RESIDENTS.anna.id;
const face = readFileSync(projectFile('sandbox/media/resident.jpg'));
const stranger = readFileSync(projectFile('sandbox/media/stranger.jpg'));
const PLATE = 'А123ВС77';

type Answer = { status: number; body: Record<string, unknown> };

let h: Harness;
let dispatcher: Agent;
beforeAll(async () => {
  h = await createHarness();
  dispatcher = new Agent({ connect: { ca: h.caPem } });
  const form = await h.app.get('/app/v1/consent-forms/current');
  const request = { partnerId: 'vizor', formId: form.body['formId'], formSha256: form.body['sha256'] };
  const consent = await h.app.post(`/app/v1/residents/${anna}/consents`, request);
  const query = `consentId=${String(consent.body['consentId'])}&houseId=${vizor.houseId}`;
  const { body } = await h.app.post(`/app/v1/residents/${anna}/face-enrollments?${query}`, face);
  await ended(h, `enrollment/${String(body['enrollmentId'])}`);
  const vehicle = await h.app.post(`/app/v1/residents/${anna}/vehicles`, { plate: PLATE });
  expect(vehicle.status).toBe(201);
}, 120_000);
afterAll(async () => {
  await dispatcher.close();
  await h.close();
});
beforeEach(async () => {
  await h.owner.$executeRaw`DELETE FROM rate_limits`;
});

function askForToken(members: Record<string, string>) {
  const basic = Buffer.from(`vizor:${h.secrets.fromVizorSecret.value}`).toString('base64');
  return send(`${h.apiUrl}/oauth/token`, {
    method: 'POST',
    dispatcher,
    headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'client_credentials', ...members }).toString(),
  });
}

const ask = (token: string, path: string, body: object, key: string = randomUUID()) =>
  send(h.apiUrl + path, {
    method: 'POST',
    dispatcher,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });

async function parsed(asked: ReturnType<typeof ask>): Promise<Answer> {
  const answer = await asked;
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}
const tokenFor = (members: Record<string, string>) => parsed(askForToken(members));
const post = (token: string, path: string, body: object, key?: string) => parsed(ask(token, path, body, key));

const barrier = `/partner/v1/barriers/${vizor.barrierDeviceId}/openings`;
const byPlate = (plate: string) => tokenFor({ device_id: vizor.barrierDeviceId, plate });
const plateToken = async () => String((await byPlate(PLATE)).body['access_token']);
const opened = (answer: Answer) => h.sandbox.effects('vizor', `open/${String(answer.body['openingId'])}`);

describe('variant A: identified at our token endpoint, then the opening names the device only', () => {
  test.each(['a', 'b'] as const)('the camera of a partner opens for the resident by variant %s', async (variant) => {
    const url = `${h.sandboxControlUrl}/partners/vizor/cameras/${vizor.doorDeviceId}/faces?variant=${variant}`;
    const headers = { 'content-type': 'image/jpeg' };
    const seen = (await (await fetch(url, { method: 'POST', headers, body: new Uint8Array(face) })).json()) as {
      company: Answer;
    };
    expect(seen.company.status).toBe(200);
    expect(await opened(seen.company)).toBe(1);
    const other = (await (await fetch(url, { method: 'POST', headers, body: new Uint8Array(stranger) })).json()) as {
      company: Answer;
    };
    expect(other.company.status).toBe(variant === 'a' ? 400 : 403);
  });

  test('the token lives a minute, names the tokenised resident, the device and the client, and is for opening only', async () => {
    const { body } = await byPlate(PLATE);
    expect(body['expires_in']).toBe(60);
    expect(body['scope']).toBe('openings:request');
    const claims = decodeJwt(String(body['access_token']));
    const subject = await h.owner.partnerSubject.findFirstOrThrow({ where: { residentId: anna, partnerId: 'vizor' } });
    expect(claims).toMatchObject({
      sub: subject.token,
      act: { sub: 'vizor' },
      client_id: 'vizor',
      device_id: vizor.barrierDeviceId,
      aud: `${h.apiUrl}/partner/v1`,
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(60);
    expect(JSON.stringify(claims)).not.toContain(anna);
    const event = { eventId: randomUUID(), at: new Date().toISOString() };
    expect((await post(String(body['access_token']), '/partner/v1/webhooks/equipment-changes', event)).status).toBe(
      403,
    );
  });

  test('a token opens once; the same request repeated gets the same answer', async () => {
    const token = await plateToken();
    const key = randomUUID();
    const first = await post(token, barrier, {}, key);
    expect(first.status).toBe(200);
    expect(await opened(first)).toBe(1);
    const repeated = await post(token, barrier, {}, key);
    expect(repeated).toEqual(first);
    const again = await post(token, barrier, {});
    expect(again.status).toBe(401);
    expect(await h.owner.opening.count({ where: { clientId: 'vizor', method: 'plate' } })).toBe(1);
  });

  test('of two openings at once with one token one opens', async () => {
    const token = await plateToken();
    const answers = await Promise.all([post(token, barrier, {}), post(token, barrier, {})]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 401]);
  });

  test('a token opens the device that it names and no other', async () => {
    const token = await plateToken();
    const door = await post(token, `/partner/v1/doors/${vizor.doorDeviceId}/openings`, {});
    const unknown = await post(token, '/partner/v1/barriers/nothing/openings', {});
    expect([door.status, unknown.status]).toEqual([404, 404]);
    expect(door.body).toEqual(unknown.body);
  });

  test('a token that is over opens nothing', async () => {
    const token = await plateToken();
    await h.owner.identityToken.updateMany({ data: { expiresAt: new Date(Date.now() - 1) } });
    expect((await post(token, barrier, {})).status).toBe(401);
  });

  test('a token whose resident lost the right since opens nothing: the decision asks the facts again', async () => {
    const token = await plateToken();
    const right = { where: { id: vizor.flats.paid.rightId } };
    await h.owner.propertyRight.update({ ...right, data: { endsAt: new Date(Date.now() - 1) } });
    const denied = await post(token, barrier, {});
    await h.owner.propertyRight.update({ ...right, data: { endsAt: null } });
    expect(denied.status).toBe(403);
    expect(await opened(denied)).toBe(0);
  });

  test('nobody, somebody without a right, another device and an unknown device are answered alike', async () => {
    await h.app.post(`/app/v1/residents/${RESIDENTS.boris.id}/vehicles`, { plate: 'Е001КХ199' });
    const right = { where: { id: vizor.flats.unpaid.rightId } };
    await h.owner.propertyRight.update({ ...right, data: { endsAt: new Date(Date.now() - 1) } });
    const answers = [
      await byPlate('К777КК77'),
      await byPlate('Е001КХ199'),
      await tokenFor({ device_id: vizor.doorDeviceId, plate: PLATE }),
      await tokenFor({ device_id: 'nothing', plate: PLATE }),
      await tokenFor({ device_id: 'kluch-barrier-1', plate: PLATE }),
    ];
    await h.owner.propertyRight.update({ ...right, data: { endsAt: null } });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test('who is not let in there is an opening that was denied: with device, client, the whole reason, and about whom', async () => {
    const since = new Date();
    const unknownStatus = (await byPlate('К777КК77')).status;
    const barrierRow = { where: { id: vizor.barrierId } };
    await h.owner.accessPoint.update({ ...barrierRow, data: { status: 'blocked' } });
    const statuses = [unknownStatus, (await byPlate(PLATE)).status];
    await h.owner.accessPoint.update({ ...barrierRow, data: { status: 'active' } });
    expect(statuses).toEqual([400, 400]);
    const openings = await h.owner.opening.findMany({
      where: { requestedAt: { gte: since } },
      orderBy: { requestedAt: 'asc' },
    });
    const common = {
      clientId: 'vizor',
      accessPointId: vizor.barrierId,
      method: 'plate',
      status: 'denied',
      attempts: 0,
    };
    expect(openings).toMatchObject([
      { ...common, reason: 'identity-unknown', residentId: null },
      { ...common, reason: 'device-unavailable', residentId: anna },
    ]);
    const entryOf = (objectId: string) => h.owner.journalEntry.findMany({ where: { objectId } });
    const [unknown, known] = openings;
    const denied = { kind: 'opening', actor: 'vizor', integration: 'smart-home', outcome: 'denied' };
    expect(await entryOf(unknown?.id ?? '')).toMatchObject([{ ...denied, reason: 'identity-unknown', subject: null }]);
    expect(await entryOf(known?.id ?? '')).toMatchObject([{ ...denied, reason: 'device-unavailable' }]);
    const [about] = await entriesOfSubject(h.owner, h.subjects, anna, { from: since });
    expect(about).toMatchObject({
      objectId: known?.id,
      details: { accessPointId: vizor.barrierId, partnerId: 'vizor', method: 'plate' },
    });
    // What was presented stands nowhere in it, not even as a hash that could be tried.
    expect(openings.map(({ requestSha256 }) => requestSha256)).toEqual(
      openings.map(({ id }) => requestFingerprint('issueToken', id, '')),
    );
    await until('the exchanges are written', async () => {
      const where = { kind: 'exchange', reason: 'issueToken', actor: 'vizor', outcome: '400', at: { gte: since } };
      return (await h.owner.journalEntry.count({ where })) >= 2;
    });
  });

  test('guesses at the token endpoint are counted and lock as any other', async () => {
    const earlier = await plateToken();
    for (let guess = 0; guess <= LOCKOUTS.device.attempts; guess++) {
      await h.owner.$executeRaw`DELETE FROM rate_limits WHERE key LIKE 'identification-pause%'`;
      await byPlate('К777КК77');
    }
    expect((await byPlate(PLATE)).status).toBe(400);
    expect((await post(await clientToken(), barrier, { plate: PLATE })).status).toBe(403);
    // Identified before the lockout, and yet not let in: the decision knows of it as well.
    const denied = await post(earlier, barrier, {});
    const { reason } = await h.owner.opening.findUniqueOrThrow({ where: { id: String(denied.body['openingId']) } });
    expect([denied.status, reason, await opened(denied)]).toEqual([403, 'locked-out', 0]);
  });

  test("nobody's face and one without a right are refused with the same bytes at the same steps of time", async () => {
    const vectors = { unknown: await vectorOf(stranger), known: await vectorOf(face) };
    const token = await clientToken();
    const ways = {
      a: (vector: readonly number[]) => askForToken({ device_id: vizor.doorDeviceId, face_vector: vector.join() }),
      b: (faceVector: readonly number[]) =>
        ask(token, `/partner/v1/doors/${vizor.doorDeviceId}/openings`, { faceVector }),
    };
    const right = { where: { id: vizor.flats.paid.rightId } };
    await h.owner.propertyRight.update({ ...right, data: { endsAt: new Date(Date.now() - 1) } });
    const before = await h.owner.opening.count();
    try {
      for (const way of [ways.a, ways.b]) {
        const [nobody, withoutRight] = [await seenOf(way(vectors.unknown)), await seenOf(way(vectors.known))];
        expect(withoutRight.answer).toEqual(nobody.answer);
        // Timers of Node may fire a millisecond early.
        for (const { tookMs } of [nobody, withoutRight]) expect(tookMs).toBeGreaterThanOrEqual(249);
      }
    } finally {
      await h.owner.propertyRight.update({ ...right, data: { endsAt: null } });
    }
    const reasons = await h.owner.opening.findMany({ orderBy: { requestedAt: 'asc' }, skip: before });
    expect(reasons.map(({ reason }) => reason)).toEqual([
      'identity-unknown',
      'no-right',
      'identity-unknown',
      'no-right',
    ]);
  });

  async function vectorOf(picture: Buffer): Promise<readonly number[]> {
    const features = await faceFeatures(picture);
    if (!features.ok) throw new Error('the picture shows a face');
    return features.vector;
  }

  /** Everything that a caller sees but the ids of its own request and the time of day. */
  async function seenOf(asked: ReturnType<typeof ask>) {
    const startedMs = performance.now();
    const answer = await asked;
    const text = (await answer.text()).replaceAll(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, 'id');
    const tookMs = performance.now() - startedMs;
    const headers = [...answer.headers].filter(([name]) => !/^(date|etag|x-request-id|ratelimit.*)$/.test(name));
    return { tookMs, answer: { status: answer.status, headers, text } };
  }

  const numbers = (count: number, value = '0.1'): string => Array.from({ length: count }, () => value).join(',');
  test.each<[string, Record<string, string>]>([
    ['a vector of the wrong length', { face_vector: numbers(FACE_VECTOR_LENGTH - 1) }],
    ['a vector that is too long', { face_vector: numbers(FACE_VECTOR_LENGTH + 1) }],
    ['a vector of zero norm', { face_vector: numbers(FACE_VECTOR_LENGTH, '0') }],
    ['a vector with NaN', { face_vector: numbers(FACE_VECTOR_LENGTH, 'NaN') }],
    ['a vector with Infinity', { face_vector: numbers(FACE_VECTOR_LENGTH, '1e999') }],
    ['an empty vector', { face_vector: '' }],
    ['a vector and a plate', { face_vector: numbers(FACE_VECTOR_LENGTH), plate: PLATE }],
    ['a device and nothing else', {}],
    ['no plate', { plate: 'not a plate' }],
    ['a device with a NUL', { device_id: 'door\u0000', plate: PLATE }],
  ])('%s is an invalid request, and changes nothing', async (_what, members) => {
    const answer = await tokenFor({ device_id: vizor.doorDeviceId, ...members });
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect(await h.owner.$queryRaw`SELECT key FROM rate_limits WHERE key LIKE 'identification%'`).toEqual([]);
  });

  test("a client's own token does not open without naming whom, nor a token of variant A with another vector", async () => {
    expect((await post(await clientToken(), barrier, {})).body).toMatchObject({ errors: [{ field: 'plate' }] });
    expect((await post(await plateToken(), barrier, { plate: PLATE })).body).toMatchObject({
      errors: [{ field: 'plate' }],
    });
  });

  const clientToken = async () => String((await tokenFor({})).body['access_token']);
});

describe('openings by key and fob are written down (R1.10, R1.11)', () => {
  const key = () => ({
    eventId: randomUUID(),
    deviceId: vizor.doorDeviceId,
    keyId: 'key-7',
    at: new Date().toISOString(),
  });
  const report = async (path: string, body: object) =>
    post(String((await tokenFor({})).body['access_token']), `/partner/v1/webhooks/${path}`, body);

  test('from the lock through the partner to the journal, once for each event', async () => {
    const url = `${h.sandboxControlUrl}/partners/vizor/devices/${vizor.barrierDeviceId}/fobs`;
    const headers = { 'content-type': 'application/json' };
    const told = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ fobId: 'fob-7' }) });
    const { eventId } = (await told.json()) as { eventId: string };
    let row = await h.owner.partnerEvent.findFirst({ where: { eventId } });
    while (!row) row = await h.owner.partnerEvent.findFirst({ where: { eventId } });
    expect(row).toMatchObject({
      kind: 'fob-opening',
      subject: 'fob-7',
      accessPointId: vizor.barrierId,
      timing: 'in-time',
    });

    const event = key();
    const answers = [await report('key-openings', event), await report('key-openings', event)];
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    const evidence = await h.owner.journalEntry.findMany({ where: { objectId: event.eventId } });
    expect(evidence).toMatchObject([{ kind: 'partner-event', outcome: 'key-opening', actor: 'vizor' }]);
  });

  test('late and out of order they are taken in and marked', async () => {
    const late = { ...key(), at: new Date(Date.now() - 3_600_000).toISOString() };
    await report('key-openings', key());
    const disordered = { ...key(), at: new Date(Date.now() - 5_000).toISOString() };
    await report('key-openings', late);
    await report('key-openings', disordered);
    const timing = async (eventId: string) =>
      (await h.owner.partnerEvent.findFirstOrThrow({ where: { eventId } })).timing;
    expect([await timing(late.eventId), await timing(disordered.eventId)]).toEqual(['late', 'out-of-order']);
  });

  test.each<[string, object, number]>([
    ['of a device of another partner', { deviceId: 'kluch-door-1' }, 404],
    ['from the future', { at: new Date(Date.now() + 3_600_000).toISOString() }, 400],
    ['of a key that is no id', { keyId: 'key 7\n' }, 400],
    ['without a time', { at: undefined }, 400],
    ['with something more', { holder: 'x' }, 400],
  ])('one %s is refused, and nothing is written down', async (_what, change, status) => {
    const event = { ...key(), ...change };
    expect((await report('key-openings', event)).status).toBe(status);
    expect(await h.owner.partnerEvent.count({ where: { eventId: event.eventId } })).toBe(0);
  });
});
