import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { connect, type ConnectionOptions } from 'node:tls';
import { z } from 'zod';
import { createAuthority, type Authority } from '../sandbox/test-support/running-sandbox';
import { failureOf, sendJson, startTlsPartner, type TlsPartner } from '../test/partners/tls-partner';
import { createPartnerHttp, answerCode, parseAnswer, refuse, retryAfterMs, type PartnerHttp } from './http';

/** A matcher for a thrown failure of this type; Jest types its own matchers as `any`. */
function failing(type: string): Error {
  return expect.objectContaining({ type }) as Error;
}

describe('one HTTP attempt at a partner', () => {
  let authority: Authority;
  let partner: TlsPartner;
  let http: PartnerHttp;
  const idle = new AbortController().signal;
  const get = (path = '/') => ({ method: 'GET' as const, url: new URL(path, partner.url), headers: {} });

  beforeAll(async () => {
    authority = await createAuthority('Partner authority');
  });
  beforeEach(async () => {
    partner = await startTlsPartner(authority, (_request, res) => sendJson(res, 200, { ok: true }));
    http = createPartnerHttp({ receiver: 'partner', caPem: authority.pem, timeoutMs: 500, maxConnections: 2 });
  });
  afterEach(async () => {
    await partner.close();
    await http.close();
  });

  test('gives status, headers and body as they came', async () => {
    const answer = await http.send(get(), { signal: idle });
    expect(answer.status).toBe(200);
    expect(parseAnswer(answer, z.object({ ok: z.boolean() }))).toEqual({ ok: true });
  });

  test('reuses its connections', async () => {
    for (let call = 0; call < 5; call += 1) await http.send(get(), { signal: idle });
    expect(partner.connections()).toBeLessThanOrEqual(2);
  });

  test('asks for JSON, uncompressed', async () => {
    await http.send(get(), { signal: idle });
    expect(partner.heard[0]?.headers).toMatchObject({ accept: 'application/json', 'accept-encoding': 'identity' });
  });

  test('a port where nobody listens is unreachable: nothing was sent', async () => {
    await partner.close();
    expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerUnreachable' });
  });

  test('a name that does not resolve is unreachable', async () => {
    const request = { ...get(), url: new URL('https://partner.invalid/') };
    expect(await failureOf(http.send(request, { signal: idle }))).toMatchObject({ type: 'PartnerUnreachable' });
  });

  test.each([
    ['of another authority', async () => (await createAuthority('Somebody else')).issue('partner')],
    ['that has run out', () => authority.issue('partner', { expired: true })],
    ['of another host', () => authority.issue('partner', { dns: ['elsewhere.example'] })],
  ])('a certificate %s is unreachable, and no request leaves', async (_what, leaf) => {
    const impostor = await startTlsPartner(authority, (_request, res) => sendJson(res, 200, {}), {
      leaf: await leaf(),
    });
    const request = { ...get(), url: new URL(impostor.url) };
    expect(await failureOf(http.send(request, { signal: idle }))).toMatchObject({ type: 'PartnerUnreachable' });
    expect(impostor.heard).toEqual([]);
    await impostor.close();
  });

  test('TLS 1.1 is not spoken', async () => {
    const old = await startTlsPartner(authority, (_request, res) => sendJson(res, 200, {}), {
      tls: { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    });
    await handshake(old.url, { minVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' });
    const request = { ...get(), url: new URL(old.url) };
    expect(await failureOf(http.send(request, { signal: idle }))).toMatchObject({ type: 'PartnerUnreachable' });
    await old.close();
  });

  test('a cipher without forward secrecy is not spoken', async () => {
    const weak = await startTlsPartner(authority, (_request, res) => sendJson(res, 200, {}), {
      tls: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:AES128-SHA' },
    });
    await handshake(weak.url, {});
    const request = { ...get(), url: new URL(weak.url) };
    expect(await failureOf(http.send(request, { signal: idle }))).toMatchObject({ type: 'PartnerUnreachable' });
    await weak.close();
  });

  test('a partner that hangs is unavailable when the time is over: it may have happened', async () => {
    partner.answers(() => undefined);
    expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerUnavailable' });
    expect(partner.heard).toHaveLength(1);
  });

  test('a call that never got one of the bounded sockets is unreachable: it was not sent', async () => {
    partner.answers(() => undefined);
    const hanging = [http.send(get('/1'), { signal: idle }), http.send(get('/2'), { signal: idle })];
    const third = failureOf(http.send(get('/3'), { signal: idle, timeoutMs: 200 }));
    expect(await third).toMatchObject({ type: 'PartnerUnreachable' });
    await Promise.allSettled(hanging);
    expect(partner.heard.map(({ path }) => path).sort()).toEqual(['/1', '/2']);
  });

  test('a call that waits for a socket ends with its own time, and is never sent', async () => {
    partner.answers(() => undefined);
    const patient = createPartnerHttp({
      receiver: 'partner',
      caPem: authority.pem,
      timeoutMs: 60_000,
      maxConnections: 2,
    });
    const giveUp = new AbortController();
    const hanging = ['/1', '/2'].map((path) => patient.send(get(path), { signal: giveUp.signal }));
    const startedMs = performance.now();
    await failureOf(patient.send(get('/3'), { signal: idle, timeoutMs: 50 }));
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    giveUp.abort();
    await Promise.allSettled(hanging);
    partner.answers((_request, res) => sendJson(res, 200, {}));
    await patient.send(get('/4'), { signal: idle });
    expect(partner.heard.map(({ path }) => path).sort()).toEqual(['/1', '/2', '/4']);
    await patient.close();
  });

  test('a call that waits for a socket can be cancelled', async () => {
    partner.answers(() => undefined);
    const hanging = [http.send(get('/1'), { signal: idle }), http.send(get('/2'), { signal: idle })];
    const cancelling = new AbortController();
    const waiting = http.send(get('/3'), { signal: cancelling.signal });
    const reason = new Error('the activity was cancelled');
    cancelling.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await Promise.allSettled(hanging);
  });

  test('the time of a call may be shorter than that of the profile', async () => {
    partner.answers(() => undefined);
    const patient = createPartnerHttp({
      receiver: 'partner',
      caPem: authority.pem,
      timeoutMs: 60_000,
      maxConnections: 2,
    });
    const startedMs = performance.now();
    await failureOf(patient.send(get(), { signal: idle, timeoutMs: 100 }));
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    await patient.close();
  });

  test('a body that comes a byte at a time ends with the time of the call', async () => {
    partner.answers((_request, res) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      const drip = setInterval(() => res.write(' '), 20);
      res.once('close', () => clearInterval(drip));
    });
    expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerUnavailable' });
  });

  test('a connection that breaks off after sending is unavailable', async () => {
    partner.answers((_request, res) => void res.destroy());
    expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerUnavailable' });
  });

  test('a body that is shorter than announced is unavailable', async () => {
    partner.answers((_request, res) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      res.write('{}');
      res.socket?.end();
    });
    expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerUnavailable' });
  });

  test.each(['announced', 'chunked'])(
    'an answer of more than a megabyte is cut off as misanswered (%s)',
    async (how) => {
      let written = 0;
      partner.answers(async (_request, res) => {
        res.writeHead(200, how === 'announced' ? { 'content-length': '100000000' } : {});
        const piece = Buffer.alloc(65_536, ' ');
        while (!res.destroyed && written < 100_000_000) {
          written += piece.length;
          if (!res.write(piece)) await Promise.race([once(res, 'drain'), once(res, 'close')]);
        }
      });
      expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerMisanswered' });
      expect(written).toBeLessThan(20_000_000);
    },
  );

  test('headers without end are misanswered', async () => {
    partner.answers((_request, res) => {
      res.socket?.write(`HTTP/1.1 200 OK\r\nx-much: ${'x'.repeat(50_000)}\r\n\r\n`);
    });
    expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerMisanswered' });
  });

  test('what is not HTTP is misanswered', async () => {
    partner.answers((_request, res) => void res.socket?.write('SSH-2.0-OpenSSH_9.9\r\n'));
    expect(await failureOf(http.send(get(), { signal: idle }))).toMatchObject({ type: 'PartnerMisanswered' });
  });

  test('a port that accepts and says nothing to the handshake is unreachable', async () => {
    const silent = createTcpServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const request = {
      ...get(),
      url: new URL(`https://localhost:${(silent.address() as AddressInfo).port.toString()}`),
    };
    expect(await failureOf(http.send(request, { signal: idle }))).toMatchObject({ type: 'PartnerUnreachable' });
    silent.close();
  });

  test('a redirect is not followed', async () => {
    partner.answers((_request, res) => void res.writeHead(307, { location: `${partner.url}/elsewhere` }).end());
    const answer = await http.send(get(), { signal: idle });
    expect(() => refuse(answer)).toThrow(failing('PartnerMisanswered'));
    expect(partner.heard.map(({ path }) => path)).toEqual(['/']);
  });

  test("a caller's cancellation comes back as its own reason, before, during and after sending", async () => {
    partner.answers(() => undefined);
    const reason = new Error('the activity was cancelled');
    await expect(http.send(get(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const cancelling = new AbortController();
    const call = http.send(get('/cancelled'), { signal: cancelling.signal });
    while (partner.heard.length === 0) await new Promise(setImmediate);
    cancelling.abort(reason);
    await expect(call).rejects.toBe(reason);
  });

  test('closing lets a call that is under way come to its end', async () => {
    let finish: () => void = () => undefined;
    partner.answers((_request, res) => {
      finish = () => sendJson(res, 200, { ok: true });
    });
    const call = http.send(get(), { signal: idle });
    while (partner.heard.length === 0) await new Promise(setImmediate);
    const closing = http.close();
    finish();
    expect((await call).status).toBe(200);
    await closing;
  });

  // TLS 1.2 has no alert for a missing certificate. In 1.3 it comes after our handshake and can be lost with the connection.
  test.each([
    ['TLSv1.2', ['PartnerUnreachable']],
    ['TLSv1.3', ['PartnerUnauthorized', 'PartnerUnavailable']],
  ] as const)('a partner that does not take our client certificate hears nothing (%s)', async (tls, types) => {
    const strict = await startTlsPartner(authority, (_request, res) => sendJson(res, 200, {}), {
      tls: { ca: authority.pem, requestCert: true, rejectUnauthorized: true, minVersion: tls, maxVersion: tls },
    });
    const request = { ...get(), url: new URL(strict.url) };
    const failure = (await failureOf(http.send(request, { signal: idle }))) as { type: string };
    await strict.close();
    expect(types).toContain(failure.type);
    expect(strict.heard).toEqual([]);
  });
});

/** Shows that the server would answer somebody who asks for less. */
async function handshake(url: string, options: ConnectionOptions): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), rejectUnauthorized: false, ...options });
  await once(socket, 'secureConnect');
  socket.destroy();
}

describe('what a status means', () => {
  const answer = (status: number, headers: Record<string, string> = {}) => ({ status, headers, body: Buffer.alloc(0) });

  test.each([
    [301, 'PartnerMisanswered'],
    [204, 'PartnerMisanswered'],
    [400, 'PartnerRejected'],
    [401, 'PartnerUnauthorized'],
    [403, 'PartnerUnauthorized'],
    [404, 'PartnerRejected'],
    [422, 'PartnerRejected'],
    [429, 'PartnerThrottled'],
    [500, 'PartnerUnavailable'],
    [503, 'PartnerUnavailable'],
  ])('%d is %s', (status, type) => {
    expect(() => refuse(answer(status))).toThrow(failing(type));
  });

  test('Retry-After is taken in seconds and as a date', () => {
    const nowMs = Date.parse('2026-11-21T00:00:00Z');
    expect(retryAfterMs('7', nowMs)).toBe(7_000);
    expect(retryAfterMs('Sat, 21 Nov 2026 00:01:30 GMT', nowMs)).toBe(90_000);
  });

  test('Retry-After is at most an hour, and a second when it cannot be used', () => {
    expect(retryAfterMs('86400')).toBe(3_600_000);
    expect(retryAfterMs('Fri, 31 Dec 2100 23:59:59 GMT')).toBe(3_600_000);
    for (const header of [undefined, '', 'soon', '-5', '0', 'Infinity', 'Thu, 01 Jan 1970 00:00:00 GMT']) {
      expect(retryAfterMs(header)).toBe(1_000);
    }
  });
});

describe('reading an answer', () => {
  const Shape = z.object({ state: z.string() });
  const answer = (body: string, type?: string) => ({
    status: 200,
    headers: type === undefined ? {} : { 'content-type': type },
    body: Buffer.from(body),
  });
  const misanswered = failing('PartnerMisanswered');

  test.each(['application/json', 'application/json; charset=utf-8', 'application/problem+json'])(
    '%s is JSON',
    (type) => {
      expect(parseAnswer(answer('{"state":"done"}', type), Shape)).toEqual({ state: 'done' });
    },
  );

  test.each([undefined, 'text/html', 'application/jsonp', 'text/plain; x=application/json'])(
    'the type %s is refused, whatever the body says',
    (type) => {
      expect(() => parseAnswer(answer('{"state":"done"}', type), Shape)).toThrow(misanswered);
      expect(answerCode(answer('{"state":"done"}', type), Shape)).toBeNull();
    },
  );

  test.each([
    ['empty', ''],
    ['broken', '{"state": [,'],
    ['of another shape', '{"state":1}'],
    ['a list', '[]'],
    ['null', 'null'],
    ['nested without end', '['.repeat(500_000)],
  ])('a body that is %s is refused', (_what, body) => {
    expect(() => parseAnswer(answer(body, 'application/json'), Shape)).toThrow(misanswered);
    expect(answerCode(answer(body, 'application/json'), Shape)).toBeNull();
  });

  test("the partner's text is in no error", () => {
    try {
      parseAnswer(answer('{"state":{"plate":"A123BC77"}}', 'application/json'), Shape);
    } catch (error) {
      expect(`${String(error)} ${JSON.stringify(error)}`).not.toContain('A123BC77');
    }
    expect.hasAssertions();
  });
});
