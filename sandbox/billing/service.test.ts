import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Agent, request } from 'undici';
import { createAuthority, reply, type Authority } from '../test-support/running-sandbox';
import { BillingConfig } from './config';
import { startBilling } from './service';

const SECRET = 'a-secret-for-billing-tests';

describe('billing', () => {
  let authority: Authority;
  let dataDir: string;
  let config: BillingConfig;
  let billing: Awaited<ReturnType<typeof startBilling>>;
  let agent: Agent;
  beforeAll(async () => {
    authority = await createAuthority('Billing test authority');
    agent = new Agent({ connect: { ca: authority.pem } });
    dataDir = await mkdtemp(path.join(tmpdir(), 'billing-'));
    config = BillingConfig.parse({
      dataDir,
      port: 0,
      controlPort: 0,
      tls: await authority.issue('billing'),
      secrets: [SECRET],
      accounts: { 'account-1': { intercom: 'paid', barrier: 'unpaid' } },
    });
    billing = await startBilling(config);
  });
  afterEach(() => control('DELETE', '/control/fault'));
  afterAll(async () => {
    await agent.destroy();
    await billing.close();
    await rm(dataDir, { recursive: true });
  });

  const ask = async (target: string, secret = SECRET, signal?: AbortSignal) =>
    reply(
      await request(`https://localhost:${String(billing.port)}/billing/v1/accounts/${target}`, {
        dispatcher: agent,
        headers: { authorization: `Bearer ${secret}` },
        ...(signal === undefined ? {} : { signal }),
      }),
    );
  const control = async (method: 'GET' | 'PUT' | 'DELETE', target: string, body?: unknown) =>
    reply(
      await request(`http://127.0.0.1:${String(billing.controlPort)}${target}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      }),
    );

  it('says what was paid for', async () => {
    const answer = await ask('account-1/services/intercom');
    expect(answer.body).toEqual({
      accountId: 'account-1',
      service: 'intercom',
      standing: 'paid',
      asOf: expect.any(String),
    });
    expect((await ask('account-1/services/barrier')).body).toMatchObject({ standing: 'unpaid' });
  });

  it.each(['account-9/services/intercom', 'account-1/services/pool', 'constructor/services/name'])(
    'does not know %s',
    async (target) => {
      expect((await ask(target)).status).toBe(404);
    },
  );

  it('tells nothing to whoever has not the secret', async () => {
    expect((await ask('account-1/services/intercom', 'another-secret-of-some-length')).status).toBe(401);
  });

  it('calls a path that cannot be decoded bad input', async () => {
    expect((await ask('%E0%A4%A/services/intercom')).status).toBe(400);
  });

  it('remembers a change over a restart', async () => {
    expect((await control('PUT', '/control/accounts/account-1/services/intercom', { standing: 'unpaid' })).status).toBe(
      200,
    );
    await billing.close();
    billing = await startBilling(config);
    expect((await ask('account-1/services/intercom')).body).toMatchObject({ standing: 'unpaid' });
  });

  it('fails as it is told, as often as it is told', async () => {
    await control('PUT', '/control/fault', { fault: 'error', times: 1 });
    expect((await ask('account-1/services/barrier')).status).toBe(503);
    expect((await ask('account-1/services/barrier')).status).toBe(200);
    await control('PUT', '/control/fault', { fault: 'garbage', times: 1 });
    expect((await ask('account-1/services/barrier')).body).toBeNull();
    await control('PUT', '/control/fault', { fault: 'delay', times: 1, delayMs: 60 });
    const began = performance.now();
    await ask('account-1/services/barrier');
    expect(performance.now() - began).toBeGreaterThanOrEqual(55);
    await control('PUT', '/control/fault', { fault: 'hang', times: 1 });
    await expect(ask('account-1/services/barrier', SECRET, AbortSignal.timeout(200))).rejects.toThrow();
    expect((await control('PUT', '/control/fault', { fault: 'explode' })).status).toBe(400);
  });

  it('counts its calls', async () => {
    const before = (await control('GET', '/control/calls')).body as Record<string, number>;
    await ask('account-1/services/barrier');
    expect((await control('GET', '/control/calls')).body).toEqual({
      ...before,
      total: (before['total'] ?? 0) + 1,
      unpaid: (before['unpaid'] ?? 0) + 1,
    });
  });
});
