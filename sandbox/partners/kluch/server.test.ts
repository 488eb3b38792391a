import { generateKeyPairSync, createPublicKey, randomUUID, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { component, verifySignature } from 'http-message-sig';
import { startSandbox, until, type Reply, type Sandbox } from '../../test-support/running-sandbox';
import { contentDigest } from './signatures';

const resident = readFileSync(path.join(__dirname, '..', '..', 'media', 'resident.jpg'));
const inAMinute = () => new Date(Date.now() + 60_000).toISOString();
const command = (more: Record<string, unknown> = {}) => ({
  command_id: randomUUID(),
  device_id: 'door-1',
  action: 'open',
  not_after: inAMinute(),
  ...more,
});

describe('kluch', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(() => sandbox.stop());

  const ledger = async (key: string) => {
    const { body } = await sandbox.control('GET', `/ledger?partner=kluch&key=${encodeURIComponent(key)}`);
    return (body as { entries: { kind: string; attempts: number }[] }).entries;
  };
  const open = (key: string, body: unknown = command()) => sandbox.kluch('POST', '/commands', body, { key });

  describe('a command', () => {
    it('opens once, however often it is asked with its key, and answers the same', async () => {
      const body = command();
      const first = await open('open/once', body);
      const again = await open('open/once', body);
      expect(first.status).toBe(200);
      expect(first.body).toEqual({ command_id: body.command_id, state: 'done', at: expect.any(String) });
      expect(again.body).toEqual(first.body);
      expect(again.headers['idempotency-replayed']).toBe('true');
      expect(await ledger('open/once')).toMatchObject([{ kind: 'open', attempts: 2, deviceId: 'door-1' }]);
    });

    it('opens once when it is asked twenty times at the same moment', async () => {
      const body = command();
      const answers = await Promise.all(Array.from({ length: 20 }, () => open('open/at-once', body)));
      expect(new Set(answers.map(({ raw }) => raw.toString())).size).toBe(1);
      expect(await ledger('open/at-once')).toMatchObject([{ kind: 'open', attempts: 20 }]);
    });

    it('opens once when it is asked again under another key', async () => {
      const body = command();
      await open('open/key-1', body);
      expect((await open('open/key-2', body)).status).toBe(200);
      expect(await ledger('open/key-1')).toMatchObject([{ attempts: 2 }]);
      expect(await ledger('open/key-2')).toEqual([]);
    });

    it('is refused when its key was used for another', async () => {
      await open('open/taken');
      const other = await open('open/taken');
      expect([other.status, other.body]).toEqual([422, { error: 'idempotency_key_reused' }]);
    });

    it('does not open after its not-after time, and says so again when it is asked again', async () => {
      const body = command({ not_after: new Date(Date.now() - 1).toISOString() });
      expect((await open('open/late', body)).body).toMatchObject({ state: 'expired' });
      expect((await open('open/late', body)).body).toMatchObject({ state: 'expired' });
      expect(await ledger('open/late')).toMatchObject([{ kind: 'open-expired', attempts: 2 }]);
    });

    it('does not open when the time ran out while it was held up', async () => {
      await sandbox.control('POST', '/partners/kluch/faults', {
        endpoint: 'open',
        fault: 'delay',
        delayMs: 300,
        times: 1,
      });
      const late = await open('open/held-up', command({ not_after: new Date(Date.now() + 150).toISOString() }));
      expect(late.body).toMatchObject({ state: 'expired' });
      expect(await ledger('open/held-up')).toMatchObject([{ kind: 'open-expired' }]);
    });

    it('is known again after a restart', async () => {
      const body = command();
      const first = await open('open/restart', body);
      await sandbox.restart();
      expect((await open('open/restart', body)).body).toEqual(first.body);
      expect(await ledger('open/restart')).toMatchObject([{ attempts: 2 }]);
    });

    it.each<[string, unknown, number, string]>([
      ['an unknown device', command({ device_id: 'door-9' }), 404, 'unknown_device'],
      ['another action', command({ action: 'close' }), 400, 'invalid_body'],
      ['a time that is none', command({ not_after: 'soon' }), 400, 'invalid_body'],
      ['a field that was not agreed', command({ name: 'x' }), 400, 'invalid_body'],
      ['no object', [], 400, 'invalid_body'],
    ])('is refused for %s', async (_name, body, status, error) => {
      const key = `refused/${randomUUID()}`;
      const answer = await open(key, body);
      expect([answer.status, answer.body]).toEqual([status, { error }]);
      expect(await ledger(key)).toEqual([]);
    });

    it('is refused without an idempotency key', async () => {
      const answer = await sandbox.kluch('POST', '/commands', command());
      expect([answer.status, answer.body]).toEqual([400, { error: 'idempotency_key_required' }]);
    });
  });

  describe('a request', () => {
    const refused: [string, string, Parameters<Sandbox['kluch']>[3]][] = [
      ['a wrong password', 'credentials', { password: 'wrong' }],
      ['no password', 'credentials', { spoil: without('authorization') }],
      ['no signature', 'signature_missing', { spoil: without('signature', 'signature-input') }],
      ['half a signature', 'signature_missing', { spoil: without('signature') }],
      ['a signature that is no structured field', 'signature_malformed', { spoil: withHeader('signature', '((((') }],
      ['a wrong digest', 'digest_mismatch', { spoil: withHeader('content-digest', contentDigest(Buffer.from('x'))) }],
      ['no digest', 'digest_mismatch', { spoil: without('content-digest') }],
      [
        'a changed body',
        'digest_mismatch',
        { spoil: ({ headers, body }) => ({ headers, body: Buffer.concat([body, Buffer.from(' ')]) }) },
      ],
      ['a changed body with its digest', 'signature_invalid', { spoil: otherBodyWithDigest }],
      ['a changed idempotency key', 'signature_invalid', { spoil: withHeader('idempotency-key', 'another') }],
      [
        'an idempotency key that was not signed',
        'signature_policy',
        {
          spoil: ({ headers, body }) => ({
            headers: {
              ...headers,
              'signature-input': (headers['signature-input'] ?? '').replace(' "idempotency-key"', ''),
            },
            body,
          }),
        },
      ],
      ['a signature that has run out', 'signature_policy', { at: new Date(Date.now() - 70_000) }],
      ['a signature from the future', 'signature_policy', { at: new Date(Date.now() + 3_600_000) }],
      [
        'a longer life than agreed',
        'signature_invalid',
        { spoil: parameter(/;expires=(\d+)/, (n) => `;expires=${String(n + 60)}`) },
      ],
      ['a signature without a nonce', 'signature_policy', { spoil: parameter(/;nonce="[^"]+"/, () => '') }],
      ['another algorithm', 'signature_policy', { spoil: parameter(/;alg="ed25519"/, () => ';alg="hmac-sha256"') }],
      [
        'an unknown key',
        'signature_key',
        { signing: { keyid: 'nobody', key: generateKeyPairSync('ed25519').privateKey } },
      ],
      [
        'a wrong key under a known name',
        'signature_invalid',
        { signing: { keyid: 'company-1', key: generateKeyPairSync('ed25519').privateKey } },
      ],
      ['a request that came before', 'nonce_replayed', { twice: true }],
      ['another host', 'authority', { spoil: withHeader('host', 'localhost:1') }],
    ];
    it.each(refused)('is refused for %s, and nothing opens', async (_name, error, how) => {
      const key = `refused/${randomUUID()}`;
      const answer = await sandbox.kluch('POST', '/commands', command(), { ...how, key });
      expect([answer.status, answer.body]).toEqual([error === 'authority' ? 421 : 401, { error }]);
      expect(await ledger(key)).toHaveLength(how?.twice === true ? 1 : 0);
    });
  });

  it('signs its answers, bound to the request', async () => {
    let url = '';
    let requestHeaders: Record<string, string> = {};
    const answer = await sandbox.kluch('GET', '/houses/house-1/devices', undefined, {
      spoil: (request) => {
        requestHeaders = request.headers;
        return request;
      },
    });
    url = `${sandbox.url('kluch')}/smart-home/v1/houses/house-1/devices`;
    expect(await answerIsSigned(sandbox, answer, url, requestHeaders)).toBe(true);
    expect(await answerIsSigned(sandbox, answer, url.replace('house-1', 'house-2'), requestHeaders)).toBe(false);
    expect(await answerIsSigned(sandbox, { ...answer, status: 201 }, url, requestHeaders)).toBe(false);
  });

  it('lists the equipment of a house', async () => {
    const answer = await sandbox.kluch('GET', '/houses/house-1/devices');
    expect(answer.body).toEqual({
      devices: [
        { device_id: 'door-1', kind: 'door', title: 'Entrance 1', online: true },
        { device_id: 'barrier-1', kind: 'barrier', title: 'Yard', online: true },
      ],
    });
  });

  describe('a face', () => {
    const face = (photo: Buffer, client = 'client-1') => ({
      client_id: client,
      house_id: 'house-1',
      photo: photo.toString('base64'),
    });
    const state = async (client: string) =>
      (await sandbox.kluch('POST', '/faces/state', { client_id: client, house_id: 'house-1' })).body;

    it('is taken, becomes active, is announced, and is gone after its deletion', async () => {
      const subject = { client_id: 'client-1', house_id: 'house-1' };
      const taken = await sandbox.kluch('POST', '/faces', face(resident), { key: 'face/1' });
      expect([taken.status, taken.body]).toEqual([202, { client_id: 'client-1', state: 'processing' }]);
      await until(
        () => state('client-1'),
        (value) => (value as { state: string }).state === 'active',
      );
      const announced = await until(
        () => Promise.resolve(sandbox.company.heard.filter((each) => each.path === '/partner/v1/webhooks/enrollments')),
        (heard) => heard.length > 0,
      );
      expect(JSON.parse(announced[0]?.body ?? '')).toEqual({
        eventId: expect.any(String),
        clientId: 'client-1',
        houseId: 'house-1',
        state: 'active',
        at: expect.any(String),
      });
      const gone = await sandbox.kluch('POST', '/faces/deletions', subject, { key: 'unface/1' });
      expect([gone.status, gone.body]).toEqual([200, { state: 'deleted', at: expect.any(String) }]);
      const held = (await sandbox.control('GET', '/partners/kluch/holdings')).body;
      expect(held).toMatchObject({
        faces: [{ clientId: 'client-1', state: 'deleted', hasVector: false, photoSha256: null }],
      });
    });

    it('is refused with a reason, and nothing is kept', async () => {
      await sandbox.control('POST', '/partners/kluch/faults', {
        endpoint: 'faces',
        fault: 'refuse-photo',
        reason: 'several-faces',
        times: 1,
      });
      const refused = await sandbox.kluch('POST', '/faces', face(resident, 'client-2'), { key: 'face/2' });
      expect([refused.status, refused.body]).toEqual([422, { error: 'photo', reason: 'several-faces' }]);
      expect(await state('client-2')).toEqual({ state: 'unknown' });
    });

    it.each([
      ['is no image', Buffer.from('this is no image')],
      ['is cut off', resident.subarray(0, 3_000)],
    ])('that %s is bad input', async (_name, photo) => {
      const answer = await sandbox.kluch('POST', '/faces', face(photo), { key: `face/${randomUUID()}` });
      expect([answer.status, answer.body]).toEqual([400, { error: 'photo_unreadable' }]);
    });

    it('can be forgotten where none was', async () => {
      const answer = await sandbox.kluch(
        'POST',
        '/faces/deletions',
        { client_id: 'never', house_id: 'house-1' },
        { key: 'unface/never' },
      );
      expect(answer.body).toMatchObject({ state: 'deleted' });
    });
  });
});

function without(...names: string[]) {
  return ({ headers, body }: { headers: Record<string, string>; body: Buffer }) => ({
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name))),
    body,
  });
}
function withHeader(name: string, value: string) {
  return ({ headers, body }: { headers: Record<string, string>; body: Buffer }) => ({
    headers: { ...headers, [name]: value },
    body,
  });
}
function parameter(pattern: RegExp, change: (value: number) => string) {
  return ({ headers, body }: { headers: Record<string, string>; body: Buffer }) => ({
    headers: {
      ...headers,
      'signature-input': (headers['signature-input'] ?? '').replace(pattern, (_all, value: string) =>
        change(Number(value)),
      ),
    },
    body,
  });
}
function otherBodyWithDigest({ headers }: { headers: Record<string, string> }) {
  const body = Buffer.from(JSON.stringify(command()));
  return { headers: { ...headers, 'content-digest': contentDigest(body) }, body };
}

async function answerIsSigned(
  sandbox: Sandbox,
  answer: Reply,
  url: string,
  headers: Record<string, string>,
): Promise<boolean> {
  const fields = (from: Record<string, unknown>) =>
    Object.entries(from).map(([name, value]) => ({ name, value: String(value) }));
  const key = createPublicKey(sandbox.kluchKey);
  expect(answer.headers['content-digest']).toBe(contentDigest(answer.raw));
  return verifySignature(
    {
      kind: 'response',
      status: answer.status,
      fields: fields(answer.headers),
      request: { kind: 'request', method: 'GET', targetUri: url, fields: fields(headers) },
    },
    {
      label: 'sig1',
      policy: {
        algorithms: ['ed25519'],
        requiredComponents: [
          '@status',
          'content-digest',
          'content-type',
          component('@method', { req: true }),
          component('@path', { req: true }),
          component('signature', { req: true, key: 'sig1' }),
        ],
        requiredParameters: ['created', 'keyid', 'nonce', 'alg', 'tag'],
        maxAge: 60,
        clockSkew: 5,
      },
      resolveVerifier: () => ({
        algorithm: 'ed25519',
        verify: (data, signature) => verify(null, data, key, signature),
      }),
    },
  ).then(
    () => true,
    () => false,
  );
}
