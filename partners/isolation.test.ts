import { PartnerError } from './failure';
import type { Attempt, HttpAnswer, HttpRequest, PartnerHttp } from './http';
import { isolated } from './isolation';

const request: HttpRequest = { method: 'GET', url: new URL('https://partner.example/'), headers: {} };
const attempt: Attempt = { signal: new AbortController().signal };
const ok: HttpAnswer = { status: 200, headers: {}, body: Buffer.alloc(0) };
const ample = { requestsPerSecond: 10_000, concurrency: 100 };

/** A partner's HTTP whose answers the test decides, and how often it was asked. */
function partnerThat(answer: () => Promise<HttpAnswer>) {
  let asked = 0;
  const http: PartnerHttp = {
    send: () => {
      asked += 1;
      return answer();
    },
    close: () => Promise.resolve(),
  };
  return { http, asked: () => asked };
}

const outcome = (call: Promise<HttpAnswer>): Promise<unknown> =>
  call.then(
    ({ status }) => status,
    (error: unknown) => (error instanceof PartnerError ? error.type : error),
  );

describe('isolation of one partner', () => {
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  async function failing(http: PartnerHttp, times = 20): Promise<void> {
    for (let call = 0; call < times; call += 1) {
      await outcome(http.send(request, attempt));
      jest.advanceTimersByTime(100);
    }
  }

  test.each([
    ['is unavailable', () => Promise.reject(new PartnerError('PartnerUnavailable', 'x'))],
    ['is unreachable', () => Promise.reject(new PartnerError('PartnerUnreachable', 'x'))],
    ['answers 503', () => Promise.resolve({ ...ok, status: 503 })],
  ])('a partner that %s again and again is left alone: nothing is sent', async (_what, answer) => {
    const { http, asked } = partnerThat(answer);
    const shielded = isolated(http, ample);
    await failing(shielded);
    const before = asked();
    expect(before).toBeLessThan(20);
    expect(await outcome(shielded.send(request, attempt))).toBe('PartnerUnreachable');
    expect(asked()).toBe(before);
  });

  test('a 5xx reaches the adapter as an answer', async () => {
    const { http } = partnerThat(() => Promise.resolve({ ...ok, status: 502 }));
    expect(await outcome(isolated(http, ample).send(request, attempt))).toBe(502);
  });

  test.each([
    ['refuses', () => Promise.resolve({ ...ok, status: 422 })],
    ['asks to slow down', () => Promise.resolve({ ...ok, status: 429 })],
    ['answers what is not agreed', () => Promise.reject(new PartnerError('PartnerMisanswered', 'x'))],
    ['is asked by callers who cancel', () => Promise.reject(new DOMException('cancelled', 'AbortError'))],
  ])('a partner that %s is not taken for failing', async (_what, answer) => {
    const { http, asked } = partnerThat(answer);
    await failing(isolated(http, ample), 30);
    expect(asked()).toBe(30);
  });

  test('a few failures among many answers change nothing', async () => {
    let call = 0;
    const { http, asked } = partnerThat(() => Promise.resolve({ ...ok, status: (call += 1) % 3 === 0 ? 503 : 200 }));
    await failing(isolated(http, ample), 60);
    expect(asked()).toBe(60);
  });

  test('after a while one call tries the partner out; the others are refused at once and not made to wait', async () => {
    let answer: () => Promise<HttpAnswer> = () => Promise.reject(new PartnerError('PartnerUnavailable', 'x'));
    const { http, asked } = partnerThat(() => answer());
    const shielded = isolated(http, ample);
    await failing(shielded);
    const before = asked();
    let recover: (answer: HttpAnswer) => void = () => undefined;
    answer = () => new Promise((resolve) => (recover = resolve));
    jest.advanceTimersByTime(2_500);
    const trial = outcome(shielded.send(request, attempt));
    expect(await outcome(shielded.send(request, attempt))).toBe('PartnerUnreachable');
    expect(asked()).toBe(before + 1);
    recover(ok);
    expect(await trial).toBe(200);
    answer = () => Promise.resolve(ok);
    expect(await outcome(shielded.send(request, attempt))).toBe(200);
  });

  test('as many calls as are allowed are under way at once; the next is refused and may come again', async () => {
    const release: (() => void)[] = [];
    const { http } = partnerThat(() => new Promise((resolve) => release.push(() => resolve(ok))));
    const shielded = isolated(http, { ...ample, concurrency: 3 });
    const underWay = [1, 2, 3].map(() => outcome(shielded.send(request, attempt)));
    expect(await outcome(shielded.send(request, attempt))).toBe('PartnerThrottled');
    release.forEach((end) => end());
    expect(await Promise.all(underWay)).toEqual([200, 200, 200]);
    const next = outcome(shielded.send(request, attempt));
    await Promise.resolve();
    release.forEach((end) => end());
    expect(await next).toBe(200);
  });

  test('a full bulkhead does not count as a failure of the partner', async () => {
    const release: (() => void)[] = [];
    const { http } = partnerThat(() => new Promise((resolve) => release.push(() => resolve(ok))));
    const shielded = isolated(http, { ...ample, concurrency: 1 });
    const first = outcome(shielded.send(request, attempt));
    for (let call = 0; call < 50; call += 1) await outcome(shielded.send(request, attempt));
    release.forEach((end) => end());
    expect(await first).toBe(200);
    const again = outcome(shielded.send(request, attempt));
    await Promise.resolve();
    release.forEach((end) => end());
    expect(await again).toBe(200);
  });

  test('the agreed rate is kept: what is over it is refused with the time after which there is room', async () => {
    const { http, asked } = partnerThat(() => Promise.resolve(ok));
    const shielded = isolated(http, { ...ample, requestsPerSecond: 5 });
    const results = await Promise.all(Array.from({ length: 8 }, () => outcome(shielded.send(request, attempt))));
    expect(results.filter((result) => result === 200)).toHaveLength(5);
    expect(asked()).toBe(5);
    await expect(shielded.send(request, attempt)).rejects.toMatchObject({
      type: 'PartnerThrottled',
      retryAfterMs: 200,
    });
    jest.advanceTimersByTime(200);
    expect(await outcome(shielded.send(request, attempt))).toBe(200);
    expect(await outcome(shielded.send(request, attempt))).toBe('PartnerThrottled');
  });

  test('a rate below one a second lets a call through now and then', async () => {
    const { http } = partnerThat(() => Promise.resolve(ok));
    const shielded = isolated(http, { ...ample, requestsPerSecond: 0.5 });
    expect(await outcome(shielded.send(request, attempt))).toBe(200);
    await expect(shielded.send(request, attempt)).rejects.toMatchObject({ retryAfterMs: 2_000 });
  });

  test('one partner that is left alone changes nothing for another', async () => {
    const bad = isolated(partnerThat(() => Promise.reject(new PartnerError('PartnerUnavailable', 'x'))).http, ample);
    const good = isolated(partnerThat(() => Promise.resolve(ok)).http, ample);
    await failing(bad);
    expect(await outcome(good.send(request, attempt))).toBe(200);
  });
});
