import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectPlain, type AddressInfo, type Socket } from 'node:net';
import { connect, createServer, type ConnectionOptions, type SecureVersion } from 'node:tls';
import { generateKeyPairSync } from 'node:crypto';
import { projectFile } from '../../config/project-root';
import { SCOPES } from '../../api/oauth/resources';
import { hashSecret } from '../../vault/secret-hash';
import { signRequest } from '../../partners/message-signature';
import {
  basic,
  FORM,
  newSecret,
  partnerRow,
  publicPem,
  seedClients,
  startAuthorizationApp,
  type AuthorizationApp,
} from './support-authorization';

/** Everything that is not of OpenSSL's own choice today: old versions, old ciphers, short keys. */
const ANYTHING = 'ALL:@SECLEVEL=0';
const ENDPOINTS = ['/app/v1/echo', '/partner/v1/echo', '/oauth/token', '/openapi.json', '/docs', '/problems/internal'];

describe('the API as a server', () => {
  let app: AuthorizationApp;
  let secrets: Awaited<ReturnType<typeof seedClients>>;
  let port = 0;
  const patience = { handshake: 400, headers: 400, request: 800, keepAlive: 5_000, checkEvery: 50 };

  beforeAll(async () => {
    app = await startAuthorizationApp({ patience });
    secrets = await seedClients(app.owner);
    port = Number(new URL(app.publicUrl).port);
  });
  afterAll(() => app.close());

  const tokenOf = async (client: 'app' | 'vizor'): Promise<string> => {
    const headers = { ...FORM, authorization: basic(client, secrets[client]) };
    const { body } = await app.call('/oauth/token', { headers, body: 'grant_type=client_credentials' });
    return `Bearer ${String(body['access_token'])}`;
  };

  /** @returns the version that was agreed on, or the code of the refusal */
  async function shakeHands(at: number, options: ConnectionOptions): Promise<string> {
    const socket = connect({ port: at, host: '127.0.0.1', servername: 'localhost', ca: app.caPem, ...options });
    try {
      await once(socket, 'secureConnect');
      return socket.getProtocol() ?? '';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? '';
    } finally {
      socket.destroy();
    }
  }

  /** Sends these bytes as they are, and then one more from time to time. @returns what came until the other side ended */
  async function drip(bytes: string, more?: string): Promise<string> {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: app.caPem });
    await once(socket, 'secureConnect');
    return untilClosed(socket, bytes, more);
  }

  async function untilClosed(socket: Socket, bytes: string, more?: string): Promise<string> {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.write(bytes);
    const dripping = setInterval(() => more !== undefined && socket.write(more), 50);
    // `once` would fail of the error that writing to an ended socket is.
    await new Promise((resolve) => socket.on('close', resolve));
    clearInterval(dripping);
    return Buffer.concat(chunks).toString('latin1');
  }

  /** A request that no client library would send. */
  async function raw(target: string, options: { method?: string; fields?: string[]; body?: string } = {}) {
    const { method = 'GET', fields = [], body = '' } = options;
    const length = body === '' ? [] : [`content-length: ${body.length.toString()}`];
    const head = [`${method} ${target} HTTP/1.1`, 'host: localhost', ...fields, ...length, 'connection: close', '', ''];
    const answer = await drip(head.join('\r\n') + body);
    return { status: Number(answer.split(' ')[1]), text: answer };
  }

  describe('speaks TLS 1.2 and newer (R1.1, R2.1)', () => {
    const only = (version: SecureVersion): ConnectionOptions => ({
      minVersion: version,
      maxVersion: version,
      ciphers: ANYTHING,
    });

    it.each(['TLSv1.2', 'TLSv1.3'] as const)('%s is taken', async (version) => {
      expect(await shakeHands(port, only(version))).toBe(version);
    });

    it.each(['TLSv1', 'TLSv1.1'] as const)('%s is refused by us, and not by the client', async (version) => {
      const { key, cert } = app.certificates.shlagbaum;
      const lax = createServer({ key, cert, minVersion: 'TLSv1', ciphers: ANYTHING }).listen(0, '127.0.0.1');
      await once(lax, 'listening');
      const laxPort = (lax.address() as AddressInfo).port;
      expect(await shakeHands(laxPort, { ...only(version), rejectUnauthorized: false })).toBe(version);
      lax.close();
      expect(await shakeHands(port, only(version))).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
    });

    it.each(['ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'AES128-GCM-SHA256', 'aNULL'])(
      'a cipher without forward secrecy or authentication is refused: %s',
      async (cipher) => {
        const options = { maxVersion: 'TLSv1.2', ciphers: `${cipher}:@SECLEVEL=0` } as const;
        expect(await shakeHands(port, options)).toMatch(/^ERR_SSL_(SSL\/TLS_ALERT|SSLV3_ALERT)_HANDSHAKE_FAILURE$/);
      },
    );

    it('plain HTTP gets no answer', async () => {
      const socket = connectPlain(port, '127.0.0.1');
      expect(await untilClosed(socket, 'GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n')).not.toContain('HTTP/');
    });
  });

  describe('does not wait for ever', () => {
    it('for a handshake that does not begin', async () => {
      expect(await untilClosed(connectPlain(port, '127.0.0.1'), '')).not.toContain('HTTP/');
    });

    it('for a header that comes byte by byte', async () => {
      expect(await drip('GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nx-slow: ', 'a')).toMatch(/^HTTP\/1\.1 408 /);
    });

    it.each(['/partner/v1/echo', '/oauth/token', '/oauth/introspect', '/oauth/revoke'])(
      'for a body that comes byte by byte at %s, where bodies are read before anybody is believed',
      async (path) => {
        const type = path.startsWith('/oauth') ? FORM['content-type'] : 'application/json';
        const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\ncontent-length: 9000\r\n\r\n`;
        expect(await drip(head, ' ')).toMatch(/^HTTP\/1\.1 408 /);
      },
    );

    it('for a body that nobody reads, since it was refused before', async () => {
      const head = 'POST /app/v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000\r\n\r\n';
      expect(await drip(head, ' ')).toMatch(/^HTTP\/1\.1 401 /);
    });

    it('and is there for others meanwhile', async () => {
      const slow = drip('GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nx-slow: ', 'a');
      expect((await app.call('/openapi.json', { method: 'GET' })).status).toBe(200);
      await slow;
    });
  });

  it.each(ENDPOINTS)('takes no header of more than 16 kB at %s', async (path) => {
    expect((await raw(path, { fields: [`x-large: ${'a'.repeat(20_000)}`] })).status).toBe(431);
  });

  it.each(ENDPOINTS)('answers thousands of headers at %s without failing', async (path) => {
    const fields = Array.from({ length: 2_500 }, () => 'a:b');
    expect((await raw(path, { fields })).status).toBeLessThan(500);
  });

  describe('believes no request that says two things', () => {
    it.each([
      ['a good token and a bad one', (good: string) => [good, 'Bearer a.b.c']],
      ['a bad token and a good one', (good: string) => ['Bearer a.b.c', good]],
      ['the same token twice', (good: string) => [good, good]],
      ['a token and Basic', (good: string) => [good, 'Basic dml6b3I6eA==']],
    ] as const)('about who asks: %s', async (_, values) => {
      for (const [path, client] of [
        ['/app/v1/echo', 'app'],
        ['/partner/v1/echo', 'vizor'],
      ] as const) {
        const good = await tokenOf(client);
        expect((await raw(path, { fields: [`authorization: ${good}`] })).status).toBe(200);
        const { status, text } = await raw(path, { fields: values(good).map((value) => `Authorization: ${value}`) });
        expect([status, text.includes('"field":"Authorization"')]).toEqual([400, true]);
      }
    });

    it('about who asks for a token', async () => {
      const [good, bad] = [basic('app', secrets.app), basic('app', newSecret())];
      const body = 'grant_type=client_credentials';
      for (const values of [
        [good, bad],
        [bad, good],
        [good, basic('vizor', secrets.vizor)],
      ]) {
        const fields = [...values.map((value) => `authorization: ${value}`), `content-type: ${FORM['content-type']}`];
        const { status, text } = await raw('/oauth/token', { method: 'POST', fields, body });
        expect([status, text.includes('access_token')]).toEqual([400, false]);
      }
    });

    it.each(['Content-Type', 'Content-Encoding', 'Host', 'Idempotency-Key', 'Signature', 'Signature-Input'])(
      'in its %s',
      async (name) => {
        const fields = [`authorization: ${await tokenOf('app')}`, `${name}: a`, `${name.toUpperCase()}: b`];
        expect((await raw('/app/v1/echo', { fields })).status).toBe(400);
      },
    );

    it.each([
      ['two lengths', ['content-length: 1', 'content-length: 2']],
      ['a length and chunks', ['content-length: 1', 'transfer-encoding: chunked']],
      ['chunks in disguise', ['transfer-encoding: xchunked']],
    ])('about its end: %s (RFC 9112, section 6.3)', async (_, fields) => {
      const { status } = await raw('/partner/v1/echo', { method: 'POST', fields: [...fields] });
      expect([400, 501]).toContain(status);
    });
  });

  describe('knows a path by its exact spelling', () => {
    it.each([
      '/APP/v1/echo',
      '/app/V1/echo',
      '/app/v1/Echo',
      '/app/v1/echo/',
      '/app//v1/echo',
      '//app/v1/echo',
      '/app/v1//echo',
      '/app/v1/./echo',
      '/app/v1/x/../echo',
      '/partner/v1/../../app/v1/echo',
      '/app%2fv1%2fecho',
      '/app%2Fv1/echo',
      '/app/v1/%65cho',
      '/app/v1/echo%00',
      '/app/v1/echo%20',
      '/app/v1/echo;a=b',
      '/app/v1/echo%3fa=b',
      '/app\\v1\\echo',
      '/app/v1/echo%',
    ])('%s is nothing', async (target) => {
      const fields = [`authorization: ${await tokenOf('app')}`];
      expect((await raw('/app/v1/echo', { fields })).status).toBe(200);
      const { status, text } = await raw(target, { fields });
      expect([400, 404]).toContain(status);
      expect(text).not.toContain('caller');
    });

    it.each(['/oauth/token/', '/OAUTH/token', '/oauth/Token', '/oauth//token', '/oauth/%74oken', '/oauth%2ftoken'])(
      '%s gives no token',
      async (target) => {
        const fields = [`authorization: ${basic('app', secrets.app)}`, `content-type: ${FORM['content-type']}`];
        const asked = { method: 'POST', fields, body: 'grant_type=client_credentials' };
        expect((await raw('/oauth/token', asked)).status).toBe(200);
        const { status, text } = await raw(target, asked);
        expect([status, text.includes('access_token')]).toEqual([404, false]);
      },
    );

    it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', '..%2f..%2fpackage.json', '%00', 'none'])(
      '/problems/%s is no problem',
      async (name) => {
        expect((await raw(`/problems/${name}`)).status).toBe(404);
      },
    );

    it.each(['/docs/../package.json', '/docs/..%2fpackage.json', '/docs/scalar.js/', '/docs/%2e%2e/package.json'])(
      '%s serves no file',
      async (target) => {
        const { status, text } = await raw(target);
        expect(status).toBe(404);
        expect(text).not.toContain(readFileSync(projectFile('package.json'), 'utf8').slice(0, 40));
      },
    );
  });

  it('takes the method of a request from its first line and from nowhere else', async () => {
    const authorization = `authorization: ${basic('app', secrets.app)}`;
    for (const name of ['x-http-method-override', 'x-http-method', 'x-method-override']) {
      const fields = [authorization, `${name}: POST`, `content-type: ${FORM['content-type']}`];
      for (const target of ['/oauth/token', '/oauth/token?_method=POST']) {
        const { status, text } = await raw(target, { fields, body: 'grant_type=client_credentials' });
        expect([status, text.includes('access_token')]).toEqual([404, false]);
      }
    }
  });

  it('refuses a signed message whose target names another server, and does not fail over it', async () => {
    const [password, { privateKey: key }] = [newSecret(), generateKeyPairSync('ed25519')];
    const profile = {
      ...{ profile: 'basic-signed', baseUrl: 'https://partner.example', apiVersion: 'v1', timeoutMs: 3_000 },
      ...{ caPem: app.certificates.shlagbaum.cert, maxConnections: 4, requestsPerSecond: 10, username: 'domovoy' },
      ...{ keyId: 'domovoy-1', partnerKeys: [{ keyId: 'kluch-1', publicKeyPem: publicPem(key) }] },
    };
    await app.owner.partner.create({ data: partnerRow('kluch', profile) });
    const row = { audience: 'partner', partnerId: 'kluch', integration: 'smart_home', authMethod: 'basic_signed' };
    const data = { id: 'kluch', ...row, scopes: [...SCOPES.partner], secretHashes: [hashSecret(password)] };
    await app.owner.oAuthClient.create({ data });
    const authorization = basic('kluch', password);
    const ask = async (signedFor: string, target: string) => {
      const message = { method: 'GET', url: signedFor, headers: { authorization }, body: Buffer.alloc(0) };
      const proof = await signRequest(message, { keyId: 'kluch-1', key }, Date.now());
      const fields = Object.entries({ authorization, ...proof }).map(([name, value]) => `${name}: ${value}`);
      return (await raw(target, { fields })).status;
    };
    const path = '/partner/v1/echo';
    expect(await ask(app.publicUrl + path, path)).toBe(200);
    for (const target of [`https://evil.example${path}`, `http://evil.example:99999${path}`, `https://a@b${path}`]) {
      expect([target, await ask(app.publicUrl + path, target)]).toEqual([target, 401]);
      expect([target, await ask(`https://evil.example${path}`, target)]).toEqual([target, 401]);
    }
  });

  it('has not failed at anything of this', () => {
    const failures = app
      .log()
      .split('\n')
      .filter((line) => line.includes('"level":"error"'));
    expect(failures).toEqual([]);
  });
});
