import { createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { JWK } from 'jose';
import { hiddenId } from '../../api/oauth/hidden-id';
import {
  basic,
  FORM,
  newSigningKey,
  seedClients,
  startAuthorizationApp,
  thumbprint,
  type Answer,
  type AuthorizationApp,
  type Call,
} from './support-authorization';
import { eddsa, jws, privateKey } from './support-jws';

type Claims = Record<string, unknown>;

describe('who brings a token', () => {
  let app: AuthorizationApp;
  let secrets: Awaited<ReturnType<typeof seedClients>>;
  let ourKey: JWK;

  beforeAll(async () => {
    app = await startAuthorizationApp();
    secrets = await seedClients(app.owner);
    ourKey = app.signingKeys[0] as JWK;
  });
  afterAll(() => app.close());

  const nowS = (): number => Math.floor(Date.now() / 1_000);
  const HEADER = { alg: 'EdDSA', typ: 'at+jwt', kid: 'first' };
  const APP = '/app/v1/echo';
  const PARTNER = '/partner/v1/echo';

  const appClaims = (): Claims => ({
    iss: `${app.publicUrl}/oauth`,
    aud: `${app.publicUrl}/app/v1`,
    client_id: 'app',
    sub: 'app',
    scope: 'app',
    jti: randomUUID(),
    iat: nowS(),
    exp: nowS() + 300,
  });
  const partnerClaims = (client: string): Claims => ({
    ...appClaims(),
    aud: `${app.publicUrl}/partner/v1`,
    client_id: client,
    scope: 'openings:request',
  });
  const bound = (): Claims => ({
    ...partnerClaims('shlagbaum'),
    cnf: { 'x5t#S256': thumbprint(app.certificates.shlagbaum) },
  });

  /** Puts the record there that an issued token would have, so that a test is about one difference alone. */
  async function remembered(claims: Claims): Promise<Claims> {
    const id = hiddenId(app.hiddenIdKey, String(claims['jti']));
    await app.owner.oidcPayload.create({ data: { model: 'ClientCredentials', id, payload: {} } });
    return claims;
  }
  const ours = (claims: Claims, header: object = HEADER): string => jws(header, claims, eddsa(privateKey(ourKey)));
  const ask = (path: string, jwt: string, call: Call = {}): Promise<Answer> =>
    app.call(path, { method: 'GET', ...call, headers: { authorization: `Bearer ${jwt}` } });

  /** Asks once on a connection of its own for each token, all of one TLS session. */
  async function resumed(path: string, jwts: readonly string[]): Promise<{ status: number; resumed: boolean }[]> {
    const agent = new HttpsAgent({ ca: app.caPem, ...app.certificates.shlagbaum, keepAlive: false });
    const answers = [];
    for (const jwt of jwts) {
      const headers = { authorization: `Bearer ${jwt}` };
      const asked = get(app.publicUrl + path, { agent, headers });
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      const reused = answer.socket instanceof TLSSocket && answer.socket.isSessionReused();
      await once(answer.resume(), 'end');
      answers.push({ status: answer.statusCode ?? 0, resumed: reused });
    }
    return answers;
  }

  const REFUSAL = {
    type: '/problems/unauthorized',
    status: 401,
    title: 'The credentials are missing or not good for this',
  };
  /** One answer for every cause: whoever tries learns nothing from it. */
  function refused({ status, headers, text }: Answer): void {
    expect([status, text]).toEqual([401, JSON.stringify(REFUSAL)]);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(headers['www-authenticate']).toBe('Bearer');
  }

  describe('is let in', () => {
    it('with a token as the authorization server gives it', async () => {
      const { body } = await app.call('/oauth/token', {
        headers: { ...FORM, authorization: basic('vizor', secrets.vizor) },
        body: 'grant_type=client_credentials',
      });
      const answer = await ask(PARTNER, String(body['access_token']));
      expect([answer.status, answer.body['caller']]).toEqual([
        200,
        {
          clientId: 'vizor',
          audience: 'partner',
          partnerId: 'vizor',
          integration: 'smart_home',
          profile: 'oauth-client',
        },
      ]);
    });

    it('with one that was made here, which is what the refusals below differ from', async () => {
      expect((await ask(APP, ours(await remembered(appClaims())))).status).toBe(200);
      expect((await ask(PARTNER, ours(await remembered(partnerClaims('vizor'))))).status).toBe(200);
      const { certificates } = app;
      const jwt = ours(await remembered(bound()));
      expect((await ask(PARTNER, jwt, { certificate: certificates.shlagbaum })).status).toBe(200);
    });

    it('whatever the case of the scheme', async () => {
      const jwt = ours(await remembered(appClaims()));
      const { status } = await app.call(APP, { method: 'GET', headers: { authorization: `bearer ${jwt}` } });
      expect(status).toBe(200);
    });

    it('for an hour at most, with clocks that differ by seconds', async () => {
      const claims = await remembered({ ...appClaims(), iat: nowS() + 3, nbf: nowS() + 3, exp: nowS() + 3 + 3_600 });
      expect((await ask(APP, ours(claims))).status).toBe(200);
    });
  });

  describe('is refused when the header', () => {
    it.each<[string, (jwt: string) => Record<string, string>]>([
      ['is not there', () => ({})],
      ['is empty', () => ({ authorization: '' })],
      ['has the scheme alone', () => ({ authorization: 'Bearer' })],
      ['has another scheme', (jwt) => ({ authorization: `Token ${jwt}` })],
      ['has no scheme', (jwt) => ({ authorization: jwt })],
      ['has two tokens', (jwt) => ({ authorization: `Bearer ${jwt} ${jwt}` })],
      ['has two tokens with a comma', (jwt) => ({ authorization: `Bearer ${jwt}, Bearer ${jwt}` })],
      ['is another header', (jwt) => ({ 'x-authorization': `Bearer ${jwt}`, cookie: `access_token=${jwt}` })],
      ['has a token that is none', () => ({ authorization: 'Bearer a.b.c' })],
      ['has dots alone', () => ({ authorization: 'Bearer ..' })],
      ['has an encrypted token', () => ({ authorization: 'Bearer a.b.c.d.e' })],
      ['has a token with white space in it', (jwt) => ({ authorization: `Bearer ${jwt.replace('.', ' .')}` })],
    ])('%s', async (_, headers) => {
      refused(await app.call(APP, { method: 'GET', headers: headers(ours(await remembered(appClaims()))) }));
    });

    it('is missing and the token is in the address or the body (RFC 9700, section 4.3.2)', async () => {
      const jwt = ours(await remembered(appClaims()));
      refused(await app.call(`${APP}?access_token=${jwt}`, { method: 'GET' }));
      refused(await app.call(APP, { headers: FORM, body: `access_token=${jwt}` }));
    });

    it('has Basic, at the API that takes tokens only', async () => {
      const authorization = basic('app', secrets.app);
      refused(await app.call(APP, { method: 'GET', headers: { authorization } }));
    });
  });

  describe('is refused when the claims say', () => {
    const now = nowS();
    it.each<[string, () => Claims]>([
      ['expired', () => ({ iat: now - 400, exp: now - 100 })],
      ['no end', () => ({ exp: undefined })],
      ['an end that is no number', () => ({ exp: String(now + 300) })],
      ['not valid yet', () => ({ nbf: now + 120 })],
      ['made in the future', () => ({ iat: now + 120, exp: now + 240 })],
      ['no time of making', () => ({ iat: undefined })],
      ['a life of over an hour', () => ({ exp: now + 3_700 })],
      ['a life of over an hour that is nearly over', () => ({ iat: now - 3_700, exp: now + 60 })],
      ['another issuer', () => ({ iss: 'https://elsewhere.example/oauth' })],
      ['an issuer like ours', () => ({ iss: `${app.publicUrl}/oauth/` })],
      ['no issuer', () => ({ iss: undefined })],
      ['another audience', () => ({ aud: `${app.publicUrl}/registry/v1` })],
      ['an audience like ours', () => ({ aud: `${app.publicUrl}/app/v1/` })],
      ['no audience', () => ({ aud: undefined })],
      ['no client', () => ({ client_id: undefined })],
      ['a client that nobody is', () => ({ client_id: 'nobody' })],
      ['a client that is no text', () => ({ client_id: ['app'] })],
      ['a client with a NUL', () => ({ client_id: 'app\0' })],
      ['no id', () => ({ jti: undefined })],
    ])('%s', async (_, change) => {
      const claims = { ...appClaims(), ...change() };
      refused(await ask(APP, ours(await remembered(claims))));
    });
  });

  describe('is refused when the signature', () => {
    const stranger = newSigningKey('first');
    const publicKey = () => createPublicKey(privateKey(ourKey));
    const hmac = (secret: string | Buffer) => (input: Buffer) => createHmac('sha256', secret).update(input).digest();
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

    it.each<[string, (claims: Claims) => string]>([
      ['is none, and the header says so', (claims) => jws({ ...HEADER, alg: 'none' }, claims, () => Buffer.alloc(0))],
      ['is none, in another case', (claims) => jws({ ...HEADER, alg: 'nOnE' }, claims, () => Buffer.alloc(0))],
      ['is empty', (claims) => jws(HEADER, claims, () => Buffer.alloc(0))],
      ['is all zeros', (claims) => jws(HEADER, claims, () => Buffer.alloc(64))],
      [
        'is HS256 with our public key as PEM',
        (claims) =>
          jws(
            { ...HEADER, alg: 'HS256' },
            claims,
            hmac(publicKey().export({ type: 'spki', format: 'pem' }).toString()),
          ),
      ],
      [
        'is HS256 with our public key as DER',
        (claims) => jws({ ...HEADER, alg: 'HS256' }, claims, hmac(publicKey().export({ type: 'spki', format: 'der' }))),
      ],
      [
        'is HS256 with our public key as JWK',
        (claims) =>
          jws({ ...HEADER, alg: 'HS256' }, claims, hmac(JSON.stringify(app.instance.server.publicKeys().keys[0]))),
      ],
      [
        'is HS256 with the bytes of our public key',
        (claims) => jws({ ...HEADER, alg: 'HS256' }, claims, hmac(Buffer.from(String(ourKey.x), 'base64url'))),
      ],
      ['is RS256', (claims) => jws({ ...HEADER, alg: 'RS256' }, claims, (input) => sign('sha256', input, rsa))],
      [
        'is ES256',
        (claims) =>
          jws({ ...HEADER, alg: 'ES256' }, claims, (input) =>
            sign('sha256', input, { key: ec, dsaEncoding: 'ieee-p1363' }),
          ),
      ],
      ['is of a stranger’s key under our key id', (claims) => jws(HEADER, claims, eddsa(privateKey(stranger)))],
      ['is ours under a key id that nobody has', (claims) => ours(claims, { ...HEADER, kid: 'second' })],
      [
        'is of the key that comes with it',
        (claims) => {
          const { kty, crv, x } = stranger;
          return jws({ alg: 'EdDSA', typ: 'at+jwt', jwk: { kty, crv, x } }, claims, eddsa(privateKey(stranger)));
        },
      ],
      [
        'is of the certificate that comes with it',
        (claims) => {
          const x5c = [app.certificates.shlagbaum.cert.replaceAll(/-----[^-]+-----|\s/g, '')];
          return jws({ ...HEADER, x5c }, claims, eddsa(privateKey(stranger)));
        },
      ],
      ['wants an extension that we do not know', (claims) => ours(claims, { ...HEADER, crit: ['x'], x: 1 })],
      ['says nothing of its algorithm', (claims) => ours(claims, { typ: 'at+jwt', kid: 'first' })],
      ['is for a JWT of another type', (claims) => ours(claims, { ...HEADER, typ: 'JWT' })],
      ['is for a JWT of no type', (claims) => ours(claims, { alg: 'EdDSA', kid: 'first' })],
      ['is for an ID token', (claims) => ours(claims, { ...HEADER, typ: 'id_token+jwt' })],
      [
        'is of other claims',
        (claims) => {
          const [header = '', , signature = ''] = ours(claims).split('.');
          const payload = Buffer.from(JSON.stringify({ ...claims, scope: 'app everything' })).toString('base64url');
          return `${header}.${payload}.${signature}`;
        },
      ],
      [
        'is of another header',
        (claims) => {
          const [, payload = '', signature = ''] = ours(claims, { ...HEADER, typ: 'JWT' }).split('.');
          return `${Buffer.from(JSON.stringify(HEADER)).toString('base64url')}.${payload}.${signature}`;
        },
      ],
    ])('%s', async (_, make) => {
      refused(await ask(APP, make(await remembered(appClaims()))));
    });

    it('is by one of our keys under the id of another', async () => {
      const second = newSigningKey('second');
      try {
        app.instance.server.useKeys([...app.signingKeys, second]);
        const claims = await remembered(appClaims());
        refused(await ask(APP, jws({ ...HEADER, kid: 'second' }, claims, eddsa(privateKey(ourKey)))));
        refused(await ask(APP, jws(HEADER, claims, eddsa(privateKey(second)))));
        expect((await ask(APP, jws({ ...HEADER, kid: 'second' }, claims, eddsa(privateKey(second))))).status).toBe(200);
      } finally {
        app.instance.server.useKeys(app.signingKeys);
      }
    });

    it.each(['jku', 'x5u'])('is of a key at an address that comes with it (%s), which nobody asks', async (name) => {
      let asked = 0;
      const { kty, crv, x } = stranger;
      const server = createServer((_req, res) => {
        asked++;
        res.setHeader('content-type', 'application/json');
        res.end(JSON.stringify({ keys: [{ kty, crv, x, kid: 'first', alg: 'EdDSA', use: 'sig' }] }));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port.toString()}/keys`;
      try {
        const claims = await remembered(appClaims());
        refused(await ask(APP, jws({ ...HEADER, [name]: url }, claims, eddsa(privateKey(stranger)))));
        expect(asked).toBe(0);
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
    });
  });

  describe('is refused when the token', () => {
    it('was revoked', async () => {
      const authorization = basic('app', secrets.app);
      const { body } = await app.call('/oauth/token', {
        headers: { ...FORM, authorization },
        body: 'grant_type=client_credentials',
      });
      const jwt = String(body['access_token']);
      expect((await ask(APP, jwt)).status).toBe(200);
      await app.call('/oauth/revoke', { headers: { ...FORM, authorization }, body: `token=${jwt}` });
      refused(await ask(APP, jwt));
    });

    it('has no record, or one no longer', async () => {
      const claims = appClaims();
      refused(await ask(APP, ours(claims)));
      await remembered(claims);
      expect((await ask(APP, ours(claims))).status).toBe(200);
      const id = hiddenId(app.hiddenIdKey, String(claims['jti']));
      await app.owner.oidcPayload.deleteMany({ where: { id } });
      refused(await ask(APP, ours(claims)));
    });

    it('has a record that is of another kind, or that is kept under the bare id', async () => {
      const claims = appClaims();
      const id = hiddenId(app.hiddenIdKey, String(claims['jti']));
      await app.owner.oidcPayload.create({ data: { model: 'AccessToken', id, payload: {} } });
      await app.owner.oidcPayload.create({
        data: { model: 'ClientCredentials', id: String(claims['jti']), payload: {} },
      });
      refused(await ask(APP, ours(claims)));
    });

    it('is of a client that was switched off since, or that is no more', async () => {
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: ['app'] };
      await app.owner.oAuthClient.create({ data: { id: 'leaving', ...row } });
      const jwt = ours(await remembered({ ...appClaims(), client_id: 'leaving' }));
      expect((await ask(APP, jwt)).status).toBe(200);
      await app.owner.oAuthClient.update({ where: { id: 'leaving' }, data: { active: false } });
      refused(await ask(APP, jwt));
      await app.owner.oAuthClient.delete({ where: { id: 'leaving' } });
      refused(await ask(APP, jwt));
    });

    it('is of a client that moved to another audience', async () => {
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: ['app'] };
      await app.owner.oAuthClient.create({ data: { id: 'moving', ...row } });
      const jwt = ours(await remembered({ ...appClaims(), client_id: 'moving' }));
      expect((await ask(APP, jwt)).status).toBe(200);
      await app.owner.oAuthClient.update({ where: { id: 'moving' }, data: { audience: 'registry' } });
      refused(await ask(APP, jwt));
    });

    it('is of a partner that was switched off, or of none', async () => {
      const jwt = ours(await remembered(partnerClaims('vizor')));
      const where = { id: 'vizor' };
      expect((await ask(PARTNER, jwt)).status).toBe(200);
      try {
        await app.owner.partner.update({ where, data: { active: false } });
        refused(await ask(PARTNER, jwt));
        await app.owner.oAuthClient.update({ where, data: { partnerId: null } });
        refused(await ask(PARTNER, jwt));
      } finally {
        await app.owner.partner.update({ where, data: { active: true } });
        await app.owner.oAuthClient.update({ where, data: { partnerId: 'vizor' } });
      }
      expect((await ask(PARTNER, jwt)).status).toBe(200);
    });

    it('is of a partner that must sign by now', async () => {
      const jwt = ours(await remembered(partnerClaims('vizor')));
      const where = { id: 'vizor' };
      try {
        await app.owner.oAuthClient.update({ where, data: { authMethod: 'basic_signed' } });
        refused(await ask(PARTNER, jwt));
      } finally {
        await app.owner.oAuthClient.update({ where, data: { authMethod: 'client_secret_basic' } });
      }
    });

    it('is for the app and comes to the partner API, or the other way round', async () => {
      refused(await ask(PARTNER, ours(await remembered(appClaims()))));
      refused(await ask(APP, ours(await remembered(partnerClaims('vizor')))));
      refused(await ask('/registry/v1/echo', ours(await remembered(appClaims()))));
    });

    it('is for an API that its client is not for, whoever signed that', async () => {
      refused(await ask(PARTNER, ours(await remembered({ ...partnerClaims('vizor'), client_id: 'app' }))));
      refused(await ask(APP, ours(await remembered({ ...appClaims(), client_id: 'vizor' }))));
    });
  });

  describe('bound to a certificate is refused', () => {
    it('without one', async () => {
      refused(await ask(PARTNER, ours(await remembered(bound()))));
    });

    it.each(['otherPartner', 'otherAuthority', 'subjectOnly'] as const)('with another one: %s', async (name) => {
      refused(await ask(PARTNER, ours(await remembered(bound())), { certificate: app.certificates[name] }));
    });

    it('when its certificate is of an authority that we do not know, even with the right thumbprint', async () => {
      const certificate = app.certificates.otherAuthority;
      const claims = { ...bound(), cnf: { 'x5t#S256': thumbprint(certificate) } };
      refused(await ask(PARTNER, ours(await remembered(claims)), { certificate }));
    });

    it.each([{}, { jkt: 'x' }, { 'x5t#S256': null }, { 'x5t#S256': '' }, null, 'x'])(
      'when it is bound to nothing that we can check: %j',
      async (cnf) => {
        const certificate = app.certificates.shlagbaum;
        refused(await ask(PARTNER, ours(await remembered({ ...bound(), cnf })), { certificate }));
        refused(await ask(APP, ours(await remembered({ ...appClaims(), cnf }))));
      },
    );

    it('but not when the connection resumes one that was opened with it (RFC 8446, section 2.2)', async () => {
      const jwt = ours(await remembered(bound()));
      const other = ours(
        await remembered({ ...bound(), cnf: { 'x5t#S256': thumbprint(app.certificates.otherPartner) } }),
      );
      const asked = await resumed(PARTNER, [jwt, jwt, other]);
      expect(asked).toEqual([
        { status: 200, resumed: false },
        { status: 200, resumed: true },
        { status: 401, resumed: true },
      ]);
    });

    it('when it should be bound and is not', async () => {
      const jwt = ours(await remembered(partnerClaims('shlagbaum')));
      refused(await ask(PARTNER, jwt, { certificate: app.certificates.shlagbaum }));
      refused(await ask(PARTNER, jwt));
    });
  });

  it('without the scope of the operation is told so, and nothing else', async () => {
    for (const scope of [undefined, '', 'openings', 'webhooks:deliver', 'openings:request2', ['openings:request']]) {
      const answer = await ask(PARTNER, ours(await remembered({ ...partnerClaims('vizor'), scope })));
      expect([answer.status, answer.body['type']]).toEqual([403, '/problems/insufficient-scope']);
      expect(answer.headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="openings:request"');
    }
  });

  it('again and again without its certificate is told to come back, and is let in with it all the same', async () => {
    const strict = await app.startAnother({ ofName: 3, ofNetwork: 8 });
    const { shlagbaum, otherPartner } = app.certificates;
    const jwt = ours(await remembered(bound()));
    const from = { from: '127.0.1.1', at: strict.localUrl };
    const statuses = [];
    for (let times = 0; times < 5; times++) statuses.push((await ask(PARTNER, jwt, from)).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect((await ask(PARTNER, jwt, { ...from, certificate: otherPartner })).status).toBe(429);
    expect((await ask(PARTNER, jwt, { ...from, certificate: shlagbaum })).status).toBe(200);
    expect((await ask(PARTNER, jwt, { from: '127.0.2.1', at: strict.localUrl })).status).toBe(401);
    // Who brings what is no token of ours names nobody, and is counted for nobody.
    for (let times = 0; times < 10; times++) refused(await ask(PARTNER, 'a.b.c', { ...from, from: '127.0.3.1' }));
  });

  it('leaves why it was refused in the log, as a word, and nothing of the token', async () => {
    const claims = await remembered({ ...appClaims(), client_id: 'nobody-knows-me' });
    const jwt = ours(claims);
    const start = app.log().length;
    await app.call(APP, { method: 'GET' });
    await ask(APP, 'a.b.c');
    await ask(APP, ours({ ...appClaims(), exp: nowS() + 3_700 }));
    await ask(PARTNER, ours(bound()));
    await ask(APP, ours(appClaims()));
    await ask(APP, jwt);
    await ask(PARTNER, ours(await remembered(partnerClaims('shlagbaum'))));
    const log = app.log();
    const codes = [...log.slice(start).matchAll(/"code":"([\w-]+)"/g)].map(([, code]) => code);
    expect(codes).toEqual(['no-token', 'bad-token', 'bad-life', 'not-the-holder', 'revoked', 'client', 'not-bound']);
    for (const hidden of [...jwt.split('.'), String(claims['jti']), 'nobody-knows-me'])
      expect(log).not.toContain(hidden);
    expect(log).not.toContain('"level":"error"');
  });
});
