import { readFileSync } from 'node:fs';
import path from 'node:path';
import { startSandbox, until, type Sandbox } from '../test-support/running-sandbox';

const media = (name: string) => readFileSync(path.join(__dirname, '..', 'media', name));
const resident = media('resident.jpg');
const stranger = media('stranger.jpg');

describe('virtual devices', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  beforeEach(() => {
    sandbox.company.heard.length = 0;
    sandbox.company.answers((_req, res) => res.json({ outcome: 'opened' }));
  });
  afterAll(() => sandbox.stop());

  const show = (partner: string, photo: Buffer, query = '') =>
    sandbox.control('POST', `/partners/${partner}/cameras/door-1/faces${query}`, photo);
  const heard = (ending: string) => sandbox.company.heard.filter((each) => each.path.endsWith(ending));

  describe('a camera of vizor', () => {
    it('sends the vector and the device, and no picture (variant B)', async () => {
      const answer = await show('vizor', resident, '?jitter=3&idempotencyKey=sight-1');
      expect(answer.body).toEqual({
        seen: 'sent',
        company: { status: 200, body: { outcome: 'opened' }, attempts: 1 },
        durationMs: expect.any(Number),
      });
      const [opening] = heard('/partner/v1/doors/door-1/openings');
      const body = JSON.parse(opening?.body ?? '') as { faceVector: number[] };
      expect(Object.keys(body)).toEqual(['faceVector']);
      expect(body.faceVector).toHaveLength(512);
      expect(opening?.headers).toMatchObject({
        'idempotency-key': 'sight-1',
        authorization: expect.stringMatching(/^Bearer token-/),
      });
    });

    it('has the face identified at the token endpoint and then names only the device (variant A)', async () => {
      await show('vizor', resident, '?variant=a');
      const [token] = heard('/oauth/token').slice(-1);
      const form = new URLSearchParams(token?.body);
      expect([...form.keys()].sort()).toEqual(['device_id', 'face_vector', 'grant_type', 'resource']);
      expect(form.get('face_vector')?.split(',')).toHaveLength(512);
      expect(heard('/openings')).toMatchObject([{ path: '/partner/v1/doors/door-1/openings', body: '{}' }]);
    });

    it('asks for one token however many sightings there are', async () => {
      await sandbox.restart();
      await Promise.all(Array.from({ length: 5 }, () => show('vizor', resident)));
      expect(heard('/oauth/token')).toHaveLength(1);
      expect(heard('/openings')).toHaveLength(5);
    });

    it('sends any vector it is told to', async () => {
      await sandbox.control('POST', '/partners/vizor/cameras/door-1/vectors', { vector: [1, 'x', null] });
      expect(heard('/openings')).toMatchObject([{ body: '{"faceVector":[1,"x",null]}' }]);
    });

    it('reads plates, with their text only', async () => {
      await sandbox.control('POST', '/partners/vizor/readers/barrier-1/plates', { plate: 'А123ВС77' });
      expect(heard('/openings')).toMatchObject([
        { path: '/partner/v1/barriers/barrier-1/openings', body: '{"plate":"А123ВС77"}' },
      ]);
    });

    it('repeats with the same key on a 5xx and on a lost answer, and not on a 4xx', async () => {
      let calls = 0;
      sandbox.company.answers((req, res) => {
        calls += 1;
        if (calls === 1) res.status(503).end();
        else if (calls === 2) req.socket.destroy();
        else res.status(403).json({ outcome: 'denied' });
      });
      const answer = await show('vizor', resident);
      expect(answer.body).toMatchObject({ company: { status: 403, attempts: 3 } });
      expect(new Set(heard('/openings').map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    });

    it.each<[string, Buffer, number]>([
      ['no image', Buffer.from('no image'), 400],
      ['nothing', Buffer.alloc(0), 400],
    ])('cannot be shown %s', async (_name, photo, status) => {
      expect((await show('vizor', photo)).status).toBe(status);
    });
  });

  describe('a camera of kluch', () => {
    beforeAll(async () => {
      const photo = resident.toString('base64');
      await sandbox.kluch(
        'POST',
        '/faces',
        { client_id: 'client-1', house_id: 'house-1', photo },
        { key: 'face/camera' },
      );
      await until(
        () => sandbox.control('GET', '/partners/kluch/holdings'),
        ({ body }) => (body as { faces: { state: string }[] }).faces[0]?.state === 'active',
      );
    });

    it('knows the resident and relays a request, signed', async () => {
      const answer = await show('kluch', resident);
      expect(answer.body).toMatchObject({ seen: 'match', company: { status: 200 } });
      const [relayed] = heard('/resident-requests');
      expect(JSON.parse(relayed?.body ?? '')).toEqual({
        clientId: 'client-1',
        deviceId: 'door-1',
        action: 'open',
        recognizedBy: 'face',
      });
      expect(relayed?.headers).toMatchObject({
        authorization: expect.stringMatching(/^Basic /),
        'signature-input': expect.stringMatching(
          /^sig1=\("@method" "@path" "@authority" "content-digest" "content-type" "idempotency-key"\);created=\d+;expires=\d+;nonce="[\w-]{22}";keyid="kluch-1";alg="ed25519"$/,
        ),
      });
    });

    it('does not know a stranger, and keeps silent', async () => {
      expect((await show('kluch', stranger)).body).toMatchObject({ seen: 'no-match', company: null });
      expect(sandbox.company.heard).toEqual([]);
    });

    it('does not know the resident at another partner', async () => {
      expect((await show('shlagbaum', resident)).body).toMatchObject({ seen: 'no-match' });
    });
  });

  it('shlagbaum asks for a token with its certificate and names its client', async () => {
    await sandbox.control('POST', '/partners/shlagbaum/devices/barrier-1/requests', { clientId: 'client-1' });
    const [token] = heard('/oauth/token');
    expect(new URLSearchParams(token?.body).get('client_id')).toBe('shlagbaum');
    expect(token?.headers.authorization).toBeUndefined();
    expect(heard('/resident-requests')).toHaveLength(1);
  });

  it('a plate that the partner holds opens its barrier, in any spelling, until it is blocked', async () => {
    const read = (plate: string) => sandbox.control('POST', '/partners/kluch/readers/barrier-1/plates', { plate });
    expect((await read('А123ВС77')).body).toMatchObject({ seen: 'no-match' });
    await sandbox.kluch('POST', '/plates', { plate: 'А123ВС77', house_id: 'house-1' }, { key: 'plate/1' });
    expect((await read('a123bc 77')).body).toMatchObject({
      seen: 'match',
      company: null,
      opened: { at: expect.any(String) },
    });
    await sandbox.kluch('POST', '/plates/deletions', { plate: 'А123ВС77', house_id: 'house-1' }, { key: 'unplate/1' });
    expect((await read('А123ВС77')).body).toMatchObject({ seen: 'no-match' });
  });

  describe('a webhook', () => {
    const useKey = () =>
      sandbox.control('POST', '/partners/kluch/devices/door-1/keys', { keyId: 'key-1', at: '2026-01-01T00:00:00Z' });
    const outbox = async () =>
      (
        (await sandbox.control('GET', '/partners/kluch/outbox')).body as {
          events: { eventId: string; state: string; attempts: number }[];
        }
      ).events;

    it('tells of a key', async () => {
      const { eventId } = (await useKey()).body as { eventId: string };
      const [sent] = await until(
        () => Promise.resolve(heard('/webhooks/key-openings')),
        (each) => each.length > 0,
      );
      expect(JSON.parse(sent?.body ?? '')).toEqual({
        eventId,
        deviceId: 'door-1',
        keyId: 'key-1',
        at: '2026-01-01T00:00:00Z',
      });
      await until(outbox, (events) => events.some((each) => each.eventId === eventId && each.state === 'delivered'));
    });

    it('is repeated with its key until it is taken, also by the next process', async () => {
      sandbox.company.answers((_req, res) => res.status(500).end());
      const { eventId } = (await useKey()).body as { eventId: string };
      await until(
        () => Promise.resolve(heard('/key-openings')),
        (each) => each.length >= 1,
      );
      await sandbox.restart();
      sandbox.company.answers((_req, res) => res.status(204).end());
      await until(outbox, (events) => events.some((each) => each.eventId === eventId && each.state === 'delivered'));
      expect(new Set(heard('/key-openings').map(({ headers }) => headers['idempotency-key']))).toEqual(
        new Set([eventId]),
      );
    });

    it('is not repeated when it is refused', async () => {
      sandbox.company.answers((_req, res) => res.status(404).end());
      const { eventId } = (await useKey()).body as { eventId: string };
      const events = await until(outbox, (all) =>
        all.some((each) => each.eventId === eventId && each.state === 'refused'),
      );
      expect(events.find((each) => each.eventId === eventId)?.attempts).toBe(1);
    });

    it('comes twice when that fault is on', async () => {
      await sandbox.control('POST', '/partners/kluch/faults', {
        endpoint: 'webhooks',
        fault: 'duplicate-webhook',
        times: 1,
      });
      await useKey();
      const sent = await until(
        () => Promise.resolve(heard('/key-openings')),
        (each) => each.length >= 2,
      );
      expect(new Set(sent.map(({ body }) => body)).size).toBe(1);
      expect(new Set(sent.map(({ headers }) => headers['signature'])).size).toBe(2);
    });
  });

  it.each([
    ['/partners/nobody/holdings', 'GET', undefined, 404],
    ['/partners/kluch/cameras/door-9/vectors', 'POST', { vector: [] }, 404],
    ['/partners/kluch/devices/door-1/keys', 'POST', {}, 400],
    ['/nowhere', 'GET', undefined, 404],
    ['/ledger?kind=unheard-of', 'GET', undefined, 400],
  ] as const)('the control port answers %s with what is wrong', async (target, method, body, status) => {
    const answer = await sandbox.control(method, target, body);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ error: expect.any(String), detail: expect.any(String) });
  });

  it('equipment can be changed, and stays changed', async () => {
    const houses = [
      {
        id: 'house-1',
        devices: [{ id: 'door-2', kind: 'door', name: 'Entrance 2', online: false }],
        keys: [],
        fobs: [],
      },
    ];
    expect((await sandbox.control('PUT', '/partners/shlagbaum/equipment', { houses })).status).toBe(200);
    await sandbox.restart();
    expect((await sandbox.control('GET', '/partners/shlagbaum/equipment')).body).toEqual({ houses });
  });

  it('an enrollment can be held up and ended as one likes', async () => {
    await sandbox.control('PATCH', '/partners/kluch/settings', { enrollment: 'manual' });
    const subject = { client_id: 'client-9', house_id: 'house-1' };
    await sandbox.kluch('POST', '/faces', { ...subject, photo: resident.toString('base64') }, { key: 'face/9' });
    const ended = await sandbox.control('POST', '/partners/kluch/enrollments/client-9/result', {
      state: 'rejected',
      reason: 'no-face',
    });
    expect(ended.body).toMatchObject({ state: 'rejected', reason: 'no-face' });
    expect((await sandbox.kluch('POST', '/faces/state', subject)).body).toEqual({
      state: 'rejected',
      reason: 'no-face',
    });
    const sent = await until(
      () => Promise.resolve(heard('/webhooks/enrollments')),
      (each) => each.length > 0,
    );
    expect(JSON.parse(sent[0]?.body ?? '')).toMatchObject({
      clientId: 'client-9',
      state: 'rejected',
      reason: 'no-face',
    });
  });
});
