import { createHash, createPublicKey, randomUUID, verify } from 'node:crypto';
import { verifySignature } from 'http-message-sig';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { startSandbox, until, type Reply, type Sandbox } from '../test-support/running-sandbox';
import type { NewFault } from './faults';

const resident = readFileSync(path.join(__dirname, '..', 'media', 'resident.jpg'));

describe('faults', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterEach(() => sandbox.control('DELETE', '/partners/kluch/faults'));
  afterAll(() => sandbox.stop());

  const add = (fault: Partial<NewFault>) => sandbox.control('POST', '/partners/kluch/faults', fault);
  const command = () => ({
    command_id: randomUUID(),
    device_id: 'door-1',
    action: 'open',
    not_after: new Date(Date.now() + 60_000).toISOString(),
  });
  const open = (key: string, body: unknown = command()) => sandbox.kluch('POST', '/commands', body, { key });
  const effects = async (key: string) =>
    ((await sandbox.control('GET', `/ledger?key=${key}`)).body as { entries: unknown[] }).entries;
  const equipment = () => sandbox.kluch('GET', '/houses/house-1/devices');

  it.each<[string, Partial<NewFault>, number, Record<string, string>]>([
    ['throttle', { retryAfterS: 7 }, 429, { 'retry-after': '7' }],
    ['error', { status: 502 }, 502, {}],
    ['unauthorized', {}, 401, {}],
  ])('%s: is answered, signed, without an effect', async (fault, more, status, headers) => {
    await add({ endpoint: 'open', fault: fault as NewFault['fault'], times: 1, ...more });
    const struck = await open(`${fault}/1`);
    expect(struck.status).toBe(status);
    expect(struck.headers).toMatchObject(headers);
    expect(struck.headers['signature']).toBeDefined();
    expect(await effects(`${fault}/1`)).toEqual([]);
    expect((await open(`${fault}/1`)).status).toBe(200);
  });

  it('reset: the connection ends, without an effect', async () => {
    await add({ endpoint: 'open', fault: 'reset', times: 1 });
    await expect(open('reset/1')).rejects.toThrow();
    expect(await effects('reset/1')).toEqual([]);
  });

  it('lost-answer: the connection ends after the effect, and asking again makes no second one', async () => {
    await add({ endpoint: 'open', fault: 'lost-answer', times: 1 });
    const body = command();
    await expect(open('lost/1', body)).rejects.toThrow();
    expect(await effects('lost/1')).toMatchObject([{ kind: 'open', attempts: 1 }]);
    expect((await open('lost/1', body)).body).toMatchObject({ state: 'done' });
    expect(await effects('lost/1')).toMatchObject([{ kind: 'open', attempts: 2 }]);
  });

  it('rate: strikes one call in so many', async () => {
    await add({ endpoint: 'equipment', fault: 'rate', every: 3 });
    const statuses: number[] = [];
    for (let n = 0; n < 6; n += 1) statuses.push((await equipment()).status);
    expect(statuses).toEqual([200, 200, 503, 200, 200, 503]);
  });

  it('mixed: strikes one call of each three, now by this and now by that, and by the same seed the same again', async () => {
    const among: NewFault['among'] = ['error', 'reset', 'lost-answer'];
    const row = async (seed: number): Promise<(number | 'ended')[]> => {
      await sandbox.control('DELETE', '/partners/kluch/faults');
      await add({ endpoint: 'equipment', fault: 'mixed', among, seed, status: 500 });
      const met: (number | 'ended')[] = [];
      for (let n = 0; n < 30; n += 1) {
        met.push(
          await equipment().then(
            ({ status }) => status,
            () => 'ended' as const,
          ),
        );
      }
      return met;
    };
    const first = await row(1);
    const threes = Array.from({ length: 10 }, (_, n) => first.slice(3 * n, 3 * n + 3));
    expect(threes.map((three) => three.filter((met) => met !== 200).length)).toEqual(threes.map(() => 1));
    expect(new Set(threes.map((three) => three.findIndex((met) => met !== 200))).size).toBeGreaterThan(1);
    expect(new Set(first)).toEqual(new Set([200, 500, 'ended']));
    expect(await row(1)).toEqual(first);
    expect(await row(2)).not.toEqual(first);
    expect((await add({ endpoint: 'equipment', fault: 'mixed' })).status).toBe(400);
  });

  it('garbage and wrong-type: the body is not what the contract says, and the signature is right', async () => {
    await add({ endpoint: 'equipment', fault: 'garbage', times: 1 });
    const garbage = await equipment();
    expect([garbage.status, garbage.body, await signed(garbage)]).toEqual([200, null, true]);
    await add({ endpoint: 'equipment', fault: 'wrong-type', times: 1 });
    expect((await equipment()).headers['content-type']).toBe('text/html');
  });

  it('wrong-signature and unsigned: the body is right, and its signature is not', async () => {
    await add({ endpoint: 'equipment', fault: 'wrong-signature', times: 1 });
    const wrong = await equipment();
    expect([wrong.status, await signed(wrong)]).toEqual([200, false]);
    await add({ endpoint: 'equipment', fault: 'unsigned', times: 1 });
    expect((await equipment()).headers['signature']).toBeUndefined();
  });

  it('oversized: as many bytes come as were asked for', async () => {
    await add({ endpoint: 'equipment', fault: 'oversized', times: 1, bytes: 3_000_000 });
    expect((await equipment()).raw.length).toBeGreaterThanOrEqual(3_000_000);
  });

  it('slow-body: the answer comes byte by byte', async () => {
    await add({ endpoint: 'equipment', fault: 'slow-body', times: 1, delayMs: 1 });
    const began = performance.now();
    const slow = await equipment();
    expect(slow.status).toBe(200);
    expect(performance.now() - began).toBeGreaterThanOrEqual(slow.raw.length);
  });

  it('hang: no answer comes, and others are served meanwhile', async () => {
    await add({ endpoint: 'equipment', fault: 'hang', times: 1 });
    const hanging = equipment();
    const outcome = hanging.then(
      () => 'answered',
      () => 'ended',
    );
    await until(
      () => sandbox.control('GET', '/partners/kluch/faults'),
      ({ body }) => (body as { faults: { struck: number }[] }).faults[0]?.struck === 1,
    );
    expect((await equipment()).status).toBe(200);
    await sandbox.restart();
    expect(await outcome).toBe('ended');
  });

  it('expired-certificate: whoever checks does not get through, until it is taken away', async () => {
    await add({ endpoint: '*', fault: 'expired-certificate' });
    await expect(equipment()).rejects.toThrow(/expired/);
    await sandbox.control('DELETE', '/partners/kluch/faults');
    expect((await equipment()).status).toBe(200);
  });

  it('pending, confirm-but-keep and confirm-and-hold: a deletion ends later, or not at all', async () => {
    const subject = { client_id: 'client-7', house_id: 'house-1' };
    const face = { ...subject, photo: resident.toString('base64') };
    const state = async () => (await sandbox.kluch('POST', '/faces/state', subject)).body;
    await sandbox.kluch('POST', '/faces', face, { key: 'face/7' });
    await add({ endpoint: 'face-deletions', fault: 'pending', times: 1, delayMs: 50 });
    const pending = await sandbox.kluch('POST', '/faces/deletions', subject, { key: 'unface/7' });
    expect([pending.status, pending.body]).toEqual([202, { state: 'pending' }]);
    await until(state, (value) => (value as { state: string }).state === 'deleted');
    await until(
      () => Promise.resolve(sandbox.company.heard),
      (heard) => heard.some((each) => each.path === '/partner/v1/webhooks/deletions'),
    );

    await sandbox.kluch('POST', '/faces', face, { key: 'face/7b' });
    await until(state, (value) => (value as { state: string }).state === 'active');
    await add({ endpoint: 'face-deletions', fault: 'confirm-but-keep', times: 1 });
    expect((await sandbox.kluch('POST', '/faces/deletions', subject, { key: 'unface/7b' })).body).toMatchObject({
      state: 'deleted',
    });
    expect(await state()).toEqual({ state: 'deleted' });
    const { body } = await sandbox.control('GET', '/partners/kluch/holdings');
    expect(body).toMatchObject({ faces: [{ clientId: 'client-7', hasVector: true, keptSecretly: true }] });

    await sandbox.kluch('POST', '/faces', face, { key: 'face/7c' });
    await until(state, (value) => (value as { state: string }).state === 'active');
    await add({ endpoint: 'face-deletions', fault: 'confirm-and-hold', times: 1 });
    expect((await sandbox.kluch('POST', '/faces/deletions', subject, { key: 'unface/7c' })).body).toMatchObject({
      state: 'deleted',
    });
    expect(await state()).toEqual({ state: 'active' });
    await sandbox.kluch('POST', '/faces/deletions', subject, { key: 'unface/7d' });
    expect(await state()).toEqual({ state: 'deleted' });
  });

  it.each([
    [{ endpoint: 'open', fault: 'explode' }],
    [{ endpoint: 'window', fault: 'delay' }],
    [{ endpoint: 'open', fault: 'expired-certificate' }],
    [{ endpoint: 'open', fault: 'duplicate-webhook' }],
    [{ endpoint: 'open', fault: 'delay', times: 0 }],
    [{ endpoint: 'open', fault: 'delay', unheardOf: 1 }],
  ])('does not take %j', async (fault) => {
    expect((await sandbox.control('POST', '/partners/kluch/faults', fault)).status).toBe(400);
  });

  it('cannot present an expired certificate that was not configured', async () => {
    const answer = await sandbox.control('POST', '/partners/vizor/faults', {
      endpoint: '*',
      fault: 'expired-certificate',
    });
    expect(answer.status).toBe(409);
  });

  it('names the fields that came in, and their values by digest only', async () => {
    await sandbox.control('DELETE', '/partners/kluch/calls');
    const body = command();
    await open('call/1', body);
    const calls = (await sandbox.control('GET', '/partners/kluch/calls')).raw.toString();
    expect(JSON.parse(calls)).toMatchObject({
      calls: [
        {
          endpoint: 'open',
          status: 200,
          idempotencyKey: 'call/1',
          target: '/smart-home/v1/commands',
          fields: ['action', 'command_id', 'device_id', 'not_after'],
          digests: { 'body.command_id': createHash('sha256').update(body.command_id).digest('hex') },
        },
      ],
    });
    expect(calls).not.toContain(body.command_id);
    expect(calls).not.toContain('header.authorization');
  });

  /** Whether the answer's signature is the partner's; what binds it to its request is tested with `kluch`. */
  async function signed(answer: Reply): Promise<boolean> {
    const key = createPublicKey(sandbox.kluchKey);
    const input = String(answer.headers['signature-input']);
    let verified = false;
    await verifySignature(
      {
        kind: 'response',
        status: answer.status,
        fields: Object.entries(answer.headers).map(([name, value]) => ({ name, value: String(value) })),
        request: {
          kind: 'request',
          method: 'GET',
          targetUri: `${sandbox.url('kluch')}/smart-home/v1/houses/house-1/devices`,
          fields: [{ name: 'signature', value: sandbox.lastSignature() }],
        },
      },
      {
        label: 'sig1',
        policy: { algorithms: ['ed25519'], requiredComponents: ['@status'], requiredParameters: ['created'] },
        resolveVerifier: () => ({
          algorithm: 'ed25519',
          verify: (data, signature) => (verified = verify(null, data, key, signature)),
        }),
      },
    ).catch(() => undefined);
    expect(input).toContain('"signature";req;key="sig1"');
    return verified;
  }
});
