import { createTokenCache, usableUntil, type AccessToken } from './access-token';
import { PartnerError } from './failure';

const patient = { signal: new AbortController().signal };

/** An authorization server that answers when the test says so. */
function tokenServer(nowMs: () => number = () => 0) {
  const waiting: { resolve: (token: AccessToken) => void; reject: (error: Error) => void }[] = [];
  let fetched = 0;
  const cache = createTokenCache(() => {
    fetched += 1;
    return new Promise<AccessToken>((resolve, reject) => waiting.push({ resolve, reject }));
  }, nowMs);
  return {
    cache,
    fetched: () => fetched,
    give: (value: string, usableUntilMs = 1_000) => waiting.shift()?.resolve({ value, usableUntilMs }),
    fail: (error: Error) => waiting.shift()?.reject(error),
  };
}

describe('the token of one partner', () => {
  test('is fetched once however many callers wait', async () => {
    const server = tokenServer();
    const callers = Array.from({ length: 50 }, () => server.cache.get(patient));
    server.give('first');
    expect(new Set(await Promise.all(callers))).toEqual(new Set(['first']));
    expect(server.fetched()).toBe(1);
  });

  test('is kept until shortly before it ends', async () => {
    let nowMs = 0;
    const server = tokenServer(() => nowMs);
    const first = server.cache.get(patient);
    server.give('first', 1_000);
    await first;
    nowMs = 999;
    expect(await server.cache.get(patient)).toBe('first');
    nowMs = 1_000;
    const second = server.cache.get(patient);
    server.give('second', 2_000);
    expect(await second).toBe('second');
    expect(server.fetched()).toBe(2);
  });

  test('a failed fetch fails those who wait for it and is not remembered', async () => {
    const server = tokenServer();
    const callers = [server.cache.get(patient), server.cache.get(patient)];
    server.fail(new PartnerError('PartnerUnreachable', 'x'));
    const results = await Promise.allSettled(callers);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const next = server.cache.get(patient);
    server.give('later');
    expect(await next).toBe('later');
  });

  test('a caller who is cancelled stops waiting with the reason and takes nothing from the others', async () => {
    const server = tokenServer();
    const cancelling = new AbortController();
    const cancelled = server.cache.get({ signal: cancelling.signal });
    const other = server.cache.get(patient);
    const reason = new Error('the activity was cancelled');
    cancelling.abort(reason);
    await expect(cancelled).rejects.toBe(reason);
    server.give('first');
    expect(await other).toBe('first');
    expect(server.fetched()).toBe(1);
  });

  test('a token that comes after everybody gave up is there for the next caller', async () => {
    const server = tokenServer();
    const cancelling = new AbortController();
    const cancelled = server.cache.get({ signal: cancelling.signal });
    cancelling.abort(new Error('cancelled'));
    await expect(cancelled).rejects.toThrow('cancelled');
    server.give('first');
    expect(await server.cache.get(patient)).toBe('first');
    expect(server.fetched()).toBe(1);
  });

  test('a caller whose time is over was not sent: unreachable', async () => {
    const server = tokenServer();
    const late = server.cache.get({ ...patient, timeoutMs: 10 });
    await expect(late).rejects.toMatchObject({ type: 'PartnerUnreachable' });
    server.give('first');
  });

  test('a caller who was cancelled before gets no token, not even a kept one', async () => {
    const server = tokenServer();
    const first = server.cache.get(patient);
    server.give('first');
    await first;
    await expect(server.cache.get({ signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
  });

  test('a refused token is renewed once for all who had it', async () => {
    const server = tokenServer();
    const first = server.cache.get(patient);
    server.give('first');
    await first;
    const callers = Array.from({ length: 20 }, () => {
      server.cache.reject('first');
      return server.cache.get(patient);
    });
    server.give('second');
    expect(new Set(await Promise.all(callers))).toEqual(new Set(['second']));
    server.cache.reject('first');
    expect(await server.cache.get(patient)).toBe('second');
    expect(server.fetched()).toBe(2);
  });
});

describe('how long a token is used', () => {
  test('until 30 s before it ends', () => {
    expect(usableUntil(300, 1_000_000)).toBe(1_270_000);
    expect(usableUntil(3_600, 0)).toBe(3_570_000);
  });

  test('a short one for half of its life, and one without life not at all', () => {
    expect(usableUntil(40, 0)).toBe(20_000);
    expect(usableUntil(10, 0)).toBe(5_000);
    expect(usableUntil(0, 0)).toBe(0);
    expect(usableUntil(-5, 0)).toBeLessThan(0);
  });
});
