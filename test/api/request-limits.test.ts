import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { z } from 'zod';
import type { Caller } from '../../api/authentication/caller';
import { defineOperation, mountOperations } from '../../api/operation';
import { problemHandler } from '../../api/problem';
import { createRequestLimits, type AgreedLimits } from '../../api/request-limits';
import { createLogger } from '../../config/logger';
import { openDatabase, type Database } from '../../prisma/database';
import { createTestDatabase, type TestDatabase } from '../support/database';

const KEY = Buffer.alloc(32, 7);

describe('the limits of a contract hold over two API processes', () => {
  let db: TestDatabase;
  let database: Database;
  let urls: string[] = [];
  const closers: (() => Promise<unknown>)[] = [];
  let atWork = 0;
  let mostAtWork = 0;
  let release: () => void = () => undefined;
  let released = Promise.resolve();

  beforeAll(async () => {
    db = await createTestDatabase();
    database = openDatabase(db.urlFor('domovoy_api'), 4);
    urls = await Promise.all([startApi(), startApi()]);
  });
  afterAll(async () => {
    for (const close of closers) await close();
    await database.$disconnect();
    await db.drop();
  });
  beforeEach(() => {
    atWork = 0;
    mostAtWork = 0;
    released = new Promise((resolve) => (release = resolve));
  });

  /** What the API mounts: the caller comes from a header, everything behind it is the real thing. */
  async function startApi(): Promise<string> {
    const limits = createRequestLimits({ databaseUrl: db.urlFor('domovoy_api'), anyonePerSecond: 7, key: KEY });
    const app = express();
    // The network is where the request comes from; here the tests say it.
    app.set('trust proxy', true);
    app.get('/documents', limits.admitAnyone, (_req, res) => {
      res.json({});
    });
    const operation = defineOperation({
      id: 'work',
      method: 'post',
      path: '/work',
      summary: 'Works until it is let go',
      scope: 'work',
      params: z.object({}),
      responses: { 200: { description: 'Done' } },
      async handle() {
        mostAtWork = Math.max(mostAtWork, ++atWork);
        await released;
        atWork -= 1;
        return { status: 200, body: {} };
      },
    });
    app.use(
      mountOperations([operation], {
        database,
        exchanges: { note: () => undefined },
        authenticate: () => [
          (req, res, next) => {
            const agreed = JSON.parse(req.get('x-agreed') ?? '') as AgreedLimits;
            const partnerId = req.get('x-partner') ?? '';
            const caller: Caller = { clientId: randomUUID(), audience: 'partner', partnerId, limits: agreed };
            Object.assign(res.locals, { caller });
            next();
          },
        ],
        admit: limits.admit,
      }),
    );
    app.use(problemHandler({ log: createLogger('test', 'silent') }));
    const server: Server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => server.close(resolve).closeAllConnections()), limits.close);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port.toString()}`;
  }

  const ask = (process: number, partner: string, agreed: AgreedLimits, signal?: AbortSignal): Promise<Response> =>
    fetch(`${urls[process % 2] ?? ''}/work`, {
      method: 'POST',
      headers: { 'x-partner': partner, 'x-agreed': JSON.stringify(agreed) },
      ...(signal && { signal }),
    });

  test('of 40 requests in one second no more are served than were agreed, and the rest is told when to come back', async () => {
    release();
    const partner = randomUUID();
    const startedMs = Date.now();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => ask(n, partner, { requestsPerSecond: 5, concurrency: 100 })),
    );
    const windows = Math.floor((Date.now() - startedMs) / 1_000) + 1;
    const served = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect(served.length).toBeGreaterThanOrEqual(5);
    expect(served.length).toBeLessThanOrEqual(5 * windows);
    expect(served.length + refused.length).toBe(40);
    for (const { headers } of refused) {
      expect(headers.get('retry-after')).toBe('1');
      expect(headers.get('ratelimit')).toBe('"contract";r=0;t=1');
      expect(headers.get('ratelimit-policy')).toBe('"contract";q=5;w=1');
      expect(headers.get('content-type')).toContain('application/problem+json');
    }
  });

  test('one network is held to its limit at what anybody may ask, and another one is served meanwhile', async () => {
    const from = (network: string, n: number): Promise<Response> =>
      fetch(`${urls[n % 2] ?? ''}/documents`, { headers: { 'x-forwarded-for': network } });
    const startedMs = Date.now();
    // Two addresses of one network.
    const asked = Array.from({ length: 60 }, (_, n) => from(n % 3 === 0 ? '192.0.2.7' : '192.0.2.200', n));
    const answers = await Promise.all(asked);
    const neighbor = await from('198.51.100.1', 0);
    const windows = Math.floor((Date.now() - startedMs) / 1_000) + 1;
    const served = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect(served.length).toBeGreaterThanOrEqual(7);
    expect(served.length).toBeLessThanOrEqual(7 * windows);
    expect(served.length + refused.length).toBe(60);
    for (const { headers } of refused) {
      expect(headers.get('retry-after')).toBe('1');
      expect(headers.get('ratelimit-policy')).toBe('"network";q=7;w=1');
    }
    expect(neighbor.status).toBe(200);
    expect(neighbor.headers.get('ratelimit')).toBe('"network";r=6;t=1');
    const rows = await database.$queryRaw<{ key: string }[]>`SELECT key FROM rate_limits`;
    expect(rows.map(({ key }) => key).join()).not.toContain('192.0.2');
  });

  test('at most the agreed number of requests is at work at once', async () => {
    const partner = randomUUID();
    const agreed = { requestsPerSecond: 1_000, concurrency: 3 };
    const asked = Array.from({ length: 20 }, (_, n) => ask(n, partner, agreed));
    let refused = 0;
    for (const one of asked) void one.then(({ status }) => (refused += status === 429 ? 1 : 0));
    while (refused < 17) await new Promise(setImmediate);
    release();
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(mostAtWork).toBe(3);
    expect(statuses.filter((status) => status === 200)).toHaveLength(3);
    const later = await ask(0, partner, agreed);
    expect(later.status).toBe(200);
  });

  test('a caller that hangs up keeps its place until its request has ended', async () => {
    const partner = randomUUID();
    const agreed = { requestsPerSecond: 1_000, concurrency: 1 };
    const impatient = new AbortController();
    const hungUp = ask(0, partner, agreed, impatient.signal).catch(() => 'hung up');
    while (atWork < 1) await new Promise(setImmediate);
    impatient.abort();
    expect(await hungUp).toBe('hung up');
    expect((await ask(1, partner, agreed)).status).toBe(429);
    release();
    let after = await ask(1, partner, agreed);
    while (after.status === 429) after = await ask(1, partner, agreed);
    expect(after.status).toBe(200);
  });

  test("one partner's use costs another nothing", async () => {
    release();
    const agreed = { requestsPerSecond: 1, concurrency: 1 };
    const first = randomUUID();
    await ask(0, first, agreed);
    await ask(0, first, agreed);
    expect((await ask(0, randomUUID(), agreed)).status).toBe(200);
  });
});
