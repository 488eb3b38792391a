import type { PartnerGateway } from '../../partners/ports';
import type { PartnerSecrets } from '../../partners/profile';
import { until } from '../support/until';
import { listEquipment, newCall, newValues, openDoor } from './calls';
import { failureOf } from './tls-partner';
import { ADAPTERS, MTLS_PASSWORD, startTown, type Adapter, type Town } from './town';

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterEach(() => town.tidy());
afterAll(() => town.stop());

const failing = (type: string): unknown => expect.objectContaining({ type });
const withTokens = ADAPTERS.filter(({ hasTokens }) => hasTokens);

const open = (gateway: PartnerGateway, adapter: Adapter, call = newCall()) =>
  openDoor(gateway, newValues(adapter), call);
const revokeTokens = ({ partner }: Adapter) =>
  town.control<{ revoked: number }>('DELETE', `/partners/${partner.id}/access-tokens`);
const endLogins = ({ partner }: Adapter) => town.control<{ ended: number }>('DELETE', `/partners/${partner.id}/logins`);
const statuses = (calls: readonly { status: number | null }[]) => calls.map(({ status }) => status);

/** Whose password or client secret is another one at its second reading: somebody has rotated it. */
const rotated = (stored: PartnerSecrets): PartnerSecrets => {
  let isRotated = false;
  return (name) => {
    if (name.endsWith('key') || isRotated) return stored(name);
    isRotated = true;
    return Promise.resolve('of yesterday');
  };
};

describe.each(withTokens)('the life of a token: $name', (adapter) => {
  test('one token carries many calls', async () => {
    const gateway = await town.gateway(adapter);
    for (let time = 0; time < 3; time += 1) await open(gateway, adapter);
    expect(statuses(await town.arrivalsAt(adapter, 'open', 3))).toEqual([200, 200, 200]);
    expect(statuses(await town.arrivalsAt(adapter, 'token', 1))).toEqual([200]);
  });

  test('many callers at once fetch one token, at first and when it was refused', async () => {
    const gateway = await town.gateway(adapter);
    const manyAtOnce = async () => {
      const receipts = await Promise.all(Array.from({ length: 25 }, () => open(gateway, adapter)));
      expect(receipts.map((receipt) => (receipt as { result: string }).result)).toEqual(Array(25).fill('opened'));
    };
    await manyAtOnce();
    await town.arrivalsAt(adapter, 'open', 25);
    expect(statuses(await town.arrivalsAt(adapter, 'token', 1))).toEqual([200]);
    expect((await revokeTokens(adapter)).revoked).toBeGreaterThan(0);
    await manyAtOnce();
    await town.arrivalsAt(adapter, 'open', 75);
    expect(statuses(await town.arrivalsAt(adapter, 'token', 2))).toEqual([200, 200]);
  });

  test('a token that the partner refuses is renewed once, and the call has one effect', async () => {
    const gateway = await town.gateway(adapter);
    await open(gateway, adapter);
    await revokeTokens(adapter);
    const call = newCall();
    expect(await open(gateway, adapter, call)).toMatchObject({ result: 'opened' });
    expect(statuses(await town.arrivalsAt(adapter, 'open', 3))).toEqual([200, 401, 200]);
    expect(statuses(await town.arrivalsAt(adapter, 'token', 2))).toEqual([200, 200]);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 1 }]);
  });

  test('each request of it is noted, with those that are sent once more, and none that an operation is noted for', async () => {
    const noted: string[] = [];
    const note = (operation: string, outcome: string) => void noted.push(`${operation} ${outcome}`);
    const gateway = await town.gateway(adapter, { note });
    await open(gateway, adapter);
    expect(noted.filter((each) => !each.startsWith('discover'))).toEqual(['token ok']);
    await revokeTokens(adapter);
    await open(gateway, adapter);
    expect(noted.filter((each) => !each.startsWith('discover'))).toEqual([
      ...['token ok', 'token-refused PartnerUnauthorized', 'token ok'],
    ]);
    expect(new Set(noted.filter((each) => each.startsWith('discover')))).toEqual(
      new Set(adapter.settings['tokenUrl'] === undefined ? ['discover ok'] : []),
    );
    await town.break(adapter, { endpoint: 'token', fault: 'error' });
    await revokeTokens(adapter);
    await failureOf(open(gateway, adapter));
    expect(noted.at(-1)).toMatch(/^token status-5\d\d$/);
  });

  test('a new token that is refused too is not fetched for ever', async () => {
    const gateway = await town.gateway(adapter);
    await town.break(adapter, { endpoint: 'open', fault: 'unauthorized' });
    expect(await failureOf(open(gateway, adapter))).toEqual(failing('PartnerUnauthorized'));
    expect(statuses(await town.arrivalsAt(adapter, 'open', 2))).toEqual([401, 401]);
    expect(statuses(await town.arrivalsAt(adapter, 'token', 2))).toEqual([200, 200]);
  });

  test.each([
    ['fails', { fault: 'error' }, 'PartnerUnreachable'],
    ['breaks off', { fault: 'reset' }, 'PartnerUnreachable'],
    ['loses its answer', { fault: 'lost-answer' }, 'PartnerUnreachable'],
    ['answers garbage', { fault: 'garbage' }, 'PartnerUnreachable'],
    ['answers with a page', { fault: 'wrong-type' }, 'PartnerUnreachable'],
    ['answers without end', { fault: 'oversized' }, 'PartnerUnreachable'],
    ['asks to slow down', { fault: 'throttle' }, 'PartnerThrottled'],
    ['refuses our credentials', { fault: 'unauthorized' }, 'PartnerUnauthorized'],
  ])('an authorization server that %s keeps the call from being made, until it is well', async (_what, fault, type) => {
    const gateway = await town.gateway(adapter);
    await town.break(adapter, { endpoint: 'token', ...fault });
    const call = newCall();
    expect(await failureOf(open(gateway, adapter, call))).toEqual(failing(type));
    await town.mend(adapter);
    expect(await open(gateway, adapter, call)).toMatchObject({ result: 'opened' });
    expect(statuses(await town.arrivalsAt(adapter, 'open', 1))).toEqual([200]);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 1 }]);
  });

  test('a caller waits for a token as long as it has time, or until it is cancelled; the others get theirs', async () => {
    const gateway = await town.gateway(adapter);
    await town.break(adapter, { endpoint: 'token', fault: 'delay', delayMs: 600 });
    const caller = new AbortController();
    const hurried = failureOf(open(gateway, adapter, newCall({ timeoutMs: 150 })));
    const cancelled = failureOf(open(gateway, adapter, newCall({ signal: caller.signal })));
    const patient = open(gateway, adapter);
    await until('the token is asked for', async () => (await town.struck(adapter)) === 1);
    const reason = new Error('The activity was cancelled.');
    caller.abort(reason);
    expect(await hurried).toEqual(failing('PartnerUnreachable'));
    expect(await cancelled).toBe(reason);
    expect(await patient).toMatchObject({ result: 'opened' });
    expect(statuses(await town.arrivalsAt(adapter, 'open', 1))).toEqual([200]);
    expect(statuses(await town.arrivalsAt(adapter, 'token', 1))).toEqual([200]);
  });
});

const withPasswords = withTokens.filter(({ settings }) => settings['grant'] === undefined);

describe.each(withPasswords)('the secret behind a token: $name', (adapter) => {
  test('one that is refused is presented once: partners lock accounts that guess', async () => {
    const gateway = await town.gateway(adapter, {
      secrets: (stored) => (name) => (name === 'tls-key' ? stored(name) : Promise.resolve('wrong')),
    });
    expect(await failureOf(open(gateway, adapter))).toEqual(failing('PartnerUnauthorized'));
    expect(await town.arrivalsAt(adapter, 'token', 1)).toHaveLength(1);
    expect((await town.arrivals(adapter)).filter(({ endpoint }) => endpoint === 'open')).toEqual([]);
  });

  test('one that was rotated meanwhile is presented anew, and the call succeeds', async () => {
    const gateway = await town.gateway(adapter, { secrets: rotated });
    expect(await open(gateway, adapter)).toMatchObject({ result: 'opened' });
    const [refused, given] = statuses(await town.arrivalsAt(adapter, 'token', 2));
    expect([400, 401]).toContain(refused);
    expect(given).toBe(200);
  });
});

describe('refresh tokens', () => {
  const adapter = MTLS_PASSWORD;
  /** What was presented for each token, in order. */
  const presented = async (count: number): Promise<string[]> =>
    (await town.arrivalsAt(adapter, 'token', count)).map(({ fields, status }) => {
      const what = ['password', 'refresh_token'].filter((field) => fields.includes(field)).join();
      return `${what} ${String(status)}`;
    });

  test('each renewal presents the newest refresh token, which no login has to replace', async () => {
    const gateway = await town.gateway(adapter);
    await open(gateway, adapter);
    for (let renewal = 0; renewal < 3; renewal += 1) {
      await revokeTokens(adapter);
      expect(await open(gateway, adapter)).toMatchObject({ result: 'opened' });
    }
    const renewals = ['refresh_token 200', 'refresh_token 200', 'refresh_token 200'];
    expect(await presented(4)).toEqual(['password 200', ...renewals]);
    const digests = (await town.arrivals(adapter)).flatMap(({ digests: each }) => each['body.refresh_token'] ?? []);
    expect(new Set(digests).size).toBe(3);
  });

  test('one that is refused is followed by a login, and the call succeeds', async () => {
    const gateway = await town.gateway(adapter);
    await open(gateway, adapter);
    expect((await endLogins(adapter)).ended).toBeGreaterThan(0);
    const call = newCall();
    expect(await open(gateway, adapter, call)).toMatchObject({ result: 'opened' });
    expect(await presented(3)).toEqual(['password 200', 'refresh_token 400', 'password 200']);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 1 }]);
  });

  test('one whose answer was lost is not presented again: that would end the login for a copy', async () => {
    const gateway = await town.gateway(adapter);
    await open(gateway, adapter);
    await revokeTokens(adapter);
    await town.break(adapter, { endpoint: 'token', fault: 'lost-answer', times: 1 });
    expect(await failureOf(open(gateway, adapter))).toEqual(failing('PartnerUnreachable'));
    expect(await open(gateway, adapter)).toMatchObject({ result: 'opened' });
    expect(await presented(3)).toEqual(['password 200', 'refresh_token null', 'password 200']);
  });
});

describe.each(ADAPTERS.filter(({ hasTokens }) => !hasTokens))('credentials without tokens: $name', (adapter) => {
  test('a password that was rotated meanwhile is presented anew, and the call has one effect', async () => {
    const noted: string[] = [];
    const note = (operation: string, outcome: string) => void noted.push(`${operation} ${outcome}`);
    const gateway = await town.gateway(adapter, { secrets: rotated, note });
    const call = newCall();
    expect(await open(gateway, adapter, call)).toMatchObject({ result: 'opened' });
    expect(statuses(await town.arrivalsAt(adapter, 'open', 2))).toEqual([401, 200]);
    expect(noted).toEqual(['password-refused PartnerUnauthorized']);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 1 }]);
  });

  test('a password that is refused is presented once', async () => {
    const gateway = await town.gateway(adapter, {
      secrets: (stored) => (name) => (name === 'basic-password' ? Promise.resolve('wrong') : stored(name)),
    });
    expect(await failureOf(listEquipment(gateway, newValues(adapter), newCall()))).toEqual(
      failing('PartnerUnauthorized'),
    );
    expect(statuses(await town.arrivalsAt(adapter, 'equipment', 1))).toEqual([401]);
  });
});
