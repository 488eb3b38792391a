import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { Agent, fetch as send, type RequestInit } from 'undici';
import { FACE_VECTOR_LENGTH } from '../../contracts/access';
import { projectFile } from '../../config/project-root';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const anna = RESIDENTS.anna.id;
const nobody = '00000000-0000-4000-8000-00000000dead';
const photo = readFileSync(projectFile('sandbox/media/resident.jpg'));
const vector = Array.from({ length: FACE_VECTOR_LENGTH }, (_, index) => Math.sin(index));

type Sent = { status: number; type: string; body: { type?: string; errors?: { field: string }[] } };

describe('bad input gets a 4xx problem that names the field, and changes nothing', () => {
  let h: Harness;
  let dispatcher: Agent;
  let appToken = '';
  let vizorToken = '';
  let consentId = '';

  beforeAll(async () => {
    h = await createHarness({ server: 'real' });
    dispatcher = new Agent({ connect: { ca: h.caPem } });
    appToken = await tokenFor(APP_CLIENT_ID, h.secrets.appClient.value);
    vizorToken = await tokenFor('vizor', h.secrets.fromVizorSecret.value);
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId: 'vizor', formId: form.body['formId'], formSha256: form.body['sha256'] };
    consentId = String((await h.app.post(`/app/v1/residents/${anna}/consents`, request)).body['consentId']);
  }, 120_000);
  afterAll(async () => {
    await dispatcher.close();
    await h.close();
  });

  async function tokenFor(clientId: string, secret: string): Promise<string> {
    const basic = Buffer.from(`${clientId}:${secret}`).toString('base64');
    const answer = await send(`${h.apiUrl}/oauth/token`, {
      method: 'POST',
      dispatcher,
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials',
    });
    return ((await answer.json()) as { access_token: string }).access_token;
  }

  async function request(
    path: string,
    init: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> },
    token: string,
  ): Promise<Sent> {
    const headers = { authorization: `Bearer ${token}`, 'idempotency-key': randomUUID(), ...init.headers };
    const answer = await send(h.apiUrl + path, { method: 'POST', dispatcher, ...init, headers });
    const type = answer.headers.get('content-type') ?? '';
    return { status: answer.status, type, body: (await answer.json()) as Sent['body'] };
  }

  const json = (path: string, body: unknown, token: string, headers: Record<string, string> = {}) =>
    request(path, { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } }, token);

  /** Counts of everything that a request could have left behind. */
  async function traces(): Promise<Record<string, number>> {
    const { count } = await h.temporal.client.workflow.count();
    return {
      executions: count,
      openings: await h.owner.opening.count(),
      enrollments: await h.owner.enrollment.count(),
      photos: await h.owner.stagedPhoto.count(),
      consents: await h.owner.consent.count(),
      vehicles: await h.owner.vehicle.count(),
      failures: await h.owner.$executeRaw`SELECT 1 FROM rate_limits WHERE key LIKE 'identification%'`,
      // That the request came and was refused is written down; that anything happened is not.
      journal: await h.owner.journalEntry.count({ where: { kind: { notIn: ['exchange', 'refusal'] } } }),
    };
  }

  async function refused(field: string | null, statuses: number[], act: () => Promise<Sent>): Promise<void> {
    const before = await traces();
    const { status, type, body } = await act();
    expect(statuses).toContain(status);
    expect(type).toMatch(/^application\/problem\+json/);
    expect(body.type).toMatch(/^\/problems\//);
    if (field !== null) expect(body.errors?.map((error) => error.field)).toEqual([field]);
    expect(await traces()).toEqual(before);
  }

  describe('a photo', () => {
    const enroll = (bytes: Buffer, contentType = 'image/jpeg', query = `consentId=${consentId}`) =>
      request(
        `/app/v1/residents/${anna}/face-enrollments?${query}&houseId=${vizor.houseId}`,
        { body: bytes, headers: { 'content-type': contentType } },
        appToken,
      );

    it('that is empty', () => refused('photo', [400], () => enroll(Buffer.alloc(0))));
    it('that is not an image', () => refused('photo', [422], () => enroll(Buffer.from('not an image at all'))));
    it('that is a document in disguise', () => refused('photo', [422], () => enroll(Buffer.from('%PDF-1.7 …'))));
    it('that is cut off in the middle', () => refused('photo', [422], () => enroll(photo.subarray(0, 9_000))));
    it('that is over the size limit', () => refused('photo', [413], () => enroll(Buffer.alloc(1_100_000, 1))));
    it('that is of another type by its header', () => refused('Content-Type', [415], () => enroll(photo, 'image/gif')));
    it('that is a HEIC by its header, with advice', () => refused('photo', [415], () => enroll(photo, 'image/heic')));
    it('that is a HEIC by its content, with advice', () =>
      refused('photo', [422], () => enroll(Buffer.from('\0\0\0\u0018ftypheic\0\0\0\0mif1heic', 'latin1'))));
    it('of one pixel', async () => {
      const pixel = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
        .jpeg()
        .toBuffer();
      await refused('photo', [422], () => enroll(pixel));
    });
    it('that is a GIF by its content', async () => {
      const gif = await sharp({ create: { width: 50, height: 50, channels: 3, background: 'red' } })
        .gif()
        .toBuffer();
      await refused('photo', [422], () => enroll(gif));
    });
    it('of 40,000 × 40,000 pixels in a few bytes', async () => {
      await refused('photo', [422], () => enroll(hugePng(40_000, 40_000), 'image/png'));
    });
    it('for a consent that is not an id', () =>
      refused('consentId', [400], () => enroll(photo, 'image/jpeg', 'consentId=x')));
    it('for an unknown consent', () =>
      refused('consentId', [404], () => enroll(photo, 'image/jpeg', `consentId=${nobody}`)));
    it('for an unknown resident', () =>
      refused('residentId', [404], () =>
        request(
          `/app/v1/residents/${nobody}/face-enrollments?consentId=${consentId}&houseId=${vizor.houseId}`,
          { body: photo, headers: { 'content-type': 'image/jpeg' } },
          appToken,
        ),
      ));
    it('for a house where the resident has no right', () =>
      refused('houseId', [404], () =>
        request(
          `/app/v1/residents/${anna}/face-enrollments?consentId=${consentId}&houseId=${nobody}`,
          { body: photo, headers: { 'content-type': 'image/jpeg' } },
          appToken,
        ),
      ));
  });

  describe('a face vector', () => {
    const path = `/partner/v1/doors/${vizor.doorDeviceId}/openings`;
    const openWith = (faceVector: unknown) => json(path, { faceVector }, vizorToken);

    it('that is too short', () => refused('faceVector', [400], () => openWith(vector.slice(1))));
    it('that is too long', () => refused('faceVector', [400], () => openWith([...vector, 1])));
    it('that is empty', () => refused('faceVector', [400], () => openWith([])));
    it('of zero norm', () => refused('faceVector', [400], () => openWith(vector.map(() => 0))));
    it('whose norm overflows', () => refused('faceVector', [400], () => openWith(vector.map(() => 1e300))));
    it('with NaN in it, as JSON has it', () =>
      refused('faceVector.3', [400], () => openWith(vector.map((value, index) => (index === 3 ? NaN : value)))));
    it('with a word in it', () =>
      refused('faceVector.3', [400], () => openWith(vector.map((value, index) => (index === 3 ? 'NaN' : value)))));
    it('that is missing', () => refused('faceVector', [400], () => json(path, {}, vizorToken)));
    it('with a field beside it that nobody agreed on', () =>
      refused('', [400], () => json(path, { faceVector: vector, name: 'x' }, vizorToken)));
    it('at an unknown device', () =>
      refused('deviceId', [404], () =>
        json('/partner/v1/doors/no-such-door/openings', { faceVector: vector }, vizorToken),
      ));
    it("at another partner's device, which is answered like an unknown one", () =>
      refused('deviceId', [404], () =>
        json('/partner/v1/doors/kluch-door-1/openings', { faceVector: vector }, vizorToken),
      ));
    it('at a barrier', () =>
      refused('deviceId', [404], () =>
        json(`/partner/v1/doors/${vizor.barrierDeviceId}/openings`, { faceVector: vector }, vizorToken),
      ));
    it('in JSON that is broken', () =>
      refused(null, [400], () =>
        request(path, { body: '{"faceVector":[', headers: { 'content-type': 'application/json' } }, vizorToken),
      ));
    it('in a form', () =>
      refused('Content-Type', [415], () =>
        request(
          path,
          { body: 'faceVector=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
          vizorToken,
        ),
      ));
    it('in a body that is too large', () =>
      refused('body', [413], () => openWith(Array.from({ length: 40_000 }, () => 0.123456789))));
  });

  describe('a plate before a reader', () => {
    const path = `/partner/v1/barriers/${vizor.barrierDeviceId}/openings`;
    const openWith = (plate: unknown) => json(path, { plate }, vizorToken);

    it.each([
      ['that is empty', ''],
      ['that is blank', '   '],
      ['that is too short', 'А12'],
      ['that is too long', 'А123ВС7777'],
      ['that is much too long', 'А'.repeat(20_000)],
      ['with a letter that plates do not have', 'Я123ВС77'],
      ['with other characters', "А123ВС77' OR 1=1 --"],
      ['with a zero byte', 'А123\u0000ВС77'],
      ['with half of a character', 'А123\ud800ВС77'],
      ['of zeros', 'А000ВС77'],
      ['of no region', 'А123ВС00'],
      ['of a diplomat', '004CD177'],
      ['of transit', 'АВ123С77'],
      ['that is a number', 123],
      ['that is a list', ['А123ВС77']],
      ['that is nothing', null],
    ])('%s', (_what, plate) => refused('plate', [400], () => openWith(plate)));
    it('that is missing', () => refused('plate', [400], () => json(path, {}, vizorToken)));
    it('with a field beside it that nobody agreed on', () =>
      refused('', [400], () => json(path, { plate: 'А123ВС77', name: 'x' }, vizorToken)));
    it('at an unknown barrier', () =>
      refused('deviceId', [404], () => json('/partner/v1/barriers/none/openings', { plate: 'А123ВС77' }, vizorToken)));
    it("at another partner's barrier, which is answered like an unknown one", () =>
      refused('deviceId', [404], () =>
        json('/partner/v1/barriers/kluch-barrier-1/openings', { plate: 'А123ВС77' }, vizorToken),
      ));
    it('at a door', () =>
      refused('deviceId', [404], () =>
        json(`/partner/v1/barriers/${vizor.doorDeviceId}/openings`, { plate: 'А123ВС77' }, vizorToken),
      ));
    it('without an Idempotency-Key', () =>
      refused('Idempotency-Key', [400], () =>
        json(path, { plate: 'А123ВС77' }, vizorToken, { 'idempotency-key': '' }),
      ));
    it("with the app's token", () => refused(null, [401], () => json(path, { plate: 'А123ВС77' }, appToken)));
  });

  describe('a vehicle', () => {
    const path = `/app/v1/residents/${anna}/vehicles`;

    it('with a plate that cannot be used', async () => {
      await refused('plate', [400], () => json(path, { plate: 'Я123ВС77' }, appToken));
      await refused('plate', [400], () => json(path, { plate: 'А000ВС77' }, appToken));
    });
    it('whose refusal gives the reason and not the plate', async () => {
      const { body } = await json(path, { plate: 'Я123ВС77' }, appToken);
      expect(JSON.stringify(body)).toContain('letter-not-in-alphabet');
      expect(JSON.stringify(body)).not.toContain('123');
    });
    it('without a plate', () => refused('plate', [400], () => json(path, {}, appToken)));
    it('at something that is no house', () =>
      refused('houseId', [400], () => json(path, { plate: 'А123ВС77', houseId: 'x' }, appToken)));
    it('at a house where the resident has no right', () =>
      refused('houseId', [404], () => json(path, { plate: 'А123ВС77', houseId: nobody }, appToken)));
    it('of an unknown resident', () =>
      refused('residentId', [404], () =>
        json(`/app/v1/residents/${nobody}/vehicles`, { plate: 'А123ВС77' }, appToken),
      ));
    it('without an Idempotency-Key', () =>
      refused('Idempotency-Key', [400], () => json(path, { plate: 'А123ВС77' }, appToken, { 'idempotency-key': '' })));
    it("with a partner's token", () => refused(null, [401], () => json(path, { plate: 'А123ВС77' }, vizorToken)));
    it('that is to be removed and does not exist', () =>
      refused('vehicleId', [404], () => json(`/app/v1/vehicles/${nobody}/removal`, {}, appToken)));
    it('that is to be removed and has no id', () =>
      refused('vehicleId', [400], () => json('/app/v1/vehicles/x/removal', {}, appToken)));
    it('list of an unknown resident', () =>
      refused('residentId', [404], () => request(`/app/v1/residents/${nobody}/vehicles`, { method: 'GET' }, appToken)));
  });

  describe('an opening on demand', () => {
    const path = `/app/v1/access-points/${vizor.doorId}/openings`;

    it('for an unknown resident', () =>
      refused('residentId', [404], () => json(path, { residentId: nobody }, appToken)));
    it('for something that is no id', () =>
      refused('residentId', [400], () => json(path, { residentId: '1 OR 1=1' }, appToken)));
    it('at an unknown access point', () =>
      refused('accessPointId', [404], () =>
        json(`/app/v1/access-points/${nobody}/openings`, { residentId: anna }, appToken),
      ));
    it('at something that is no id', () =>
      refused('accessPointId', [400], () =>
        json('/app/v1/access-points/door/openings', { residentId: anna }, appToken),
      ));
    it('without an Idempotency-Key', () =>
      refused('Idempotency-Key', [400], () => json(path, { residentId: anna }, appToken, { 'idempotency-key': '' })));
    it('with a path that does not decode', () =>
      refused(null, [400], () => json('/app/v1/access-points/%E0%A4%A/openings', { residentId: anna }, appToken)));
    it("with a partner's token", () => refused(null, [401], () => json(path, { residentId: anna }, vizorToken)));
    it('without a token', () =>
      refused(null, [401], () => json(path, { residentId: anna }, 'x', { authorization: '' })));
  });

  describe('a consent', () => {
    const path = `/app/v1/residents/${anna}/consents`;
    const form = { formId: 'biometrics-1', formSha256: '0'.repeat(64) };

    it('for an unknown partner', () =>
      refused('partnerId', [404], () => json(path, { ...form, partnerId: 'nobody' }, appToken)));
    it('for an unknown form', () =>
      refused('formId', [404], () => json(path, { ...form, partnerId: 'vizor', formId: 'none' }, appToken)));
    it('with a hash that is none', () =>
      refused('formSha256', [400], () => json(path, { ...form, partnerId: 'vizor', formSha256: 'x' }, appToken)));
    it('of an unknown resident', () =>
      refused('residentId', [404], () =>
        json(`/app/v1/residents/${nobody}/consents`, { ...form, partnerId: 'vizor' }, appToken),
      ));
  });

  it('a path that does not exist is a 404 problem', () =>
    refused(null, [404], () => json('/nothing/here', {}, appToken)));
  it('a method that does not exist is a 404 problem', async () => {
    await refused(null, [404], () => request('/app/v1/consents/x/y', { method: 'DELETE' }, appToken));
  });
});

/** A PNG header that claims a size, with next to nothing behind it: what a decompression bomb begins with. */
function hugePng(width: number, height: number): Buffer {
  const small = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  const png = Buffer.from(small);
  png.writeUInt32BE(width, 16);
  png.writeUInt32BE(height, 20);
  png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
  return png;
}

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
