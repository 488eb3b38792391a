import { randomUUID } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, SignJWT, importJWK } from 'jose';
import { hiddenWords } from '../../api/hidden-words';
import { SCOPES } from '../../api/oauth/resources';
import { hashSecret } from '../../vault/secret-hash';
import { slowHash } from '../../vault/slow-hash';
import {
  basic,
  FORM,
  newSecret,
  newSigningKey,
  seedClients,
  startAuthorizationApp,
  thumbprint,
  type Answer,
  type AuthorizationApp,
  type Call,
  type Credential,
} from './support-authorization';
import { until } from '../support/until';

describe('the authorization server', () => {
  let app: AuthorizationApp;
  let secrets: Awaited<ReturnType<typeof seedClients>>;
  let asApp = '';
  let asVizor = '';

  beforeAll(async () => {
    app = await startAuthorizationApp();
    secrets = await seedClients(app.owner);
    asApp = basic('app', secrets.app);
    asVizor = basic('vizor', secrets.vizor);
  });
  afterAll(() => app.close());

  const GRANT = { grant_type: 'client_credentials' };
  const post = (path: string, form: Record<string, string>, call: Call = {}): Promise<Answer> =>
    app.call(path, { ...call, headers: { ...FORM, ...call.headers }, body: new URLSearchParams(form).toString() });
  const token = (authorization: string, more: Record<string, string> = {}, call: Call = {}): Promise<Answer> =>
    post('/oauth/token', { ...GRANT, ...more }, { ...call, headers: { authorization } });
  const jwtOf = ({ body }: Answer): string => String(body['access_token']);
  const introspect = (authorization: string, jwt: string): Promise<Answer> =>
    post('/oauth/introspect', { token: jwt }, { headers: { authorization } });
  const revoke = (authorization: string, jwt: string): Promise<Answer> =>
    post('/oauth/revoke', { token: jwt }, { headers: { authorization } });
  const echo = (path: string, jwt: string, call: Call = {}): Promise<Answer> =>
    app.call(path, { method: 'GET', ...call, headers: { authorization: `Bearer ${jwt}` } });

  function refused(answer: Answer, status: number, error: string): void {
    expect([answer.status, answer.body['error']]).toEqual([status, error]);
    expect(answer.body).not.toHaveProperty('access_token');
  }

  describe('tokens', () => {
    it('are short JWTs for the client’s own audience with nothing in them that need not be', async () => {
      const { status, body, headers } = await token(asApp);
      expect(status).toBe(200);
      expect(headers['cache-control']).toBe('no-store');
      expect(body).toEqual({ access_token: expect.any(String), expires_in: 300, scope: 'app', token_type: 'Bearer' });
      const jwt = String(body['access_token']);
      expect(decodeProtectedHeader(jwt)).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: 'first' });
      const claims = decodeJwt(jwt);
      expect(claims).toEqual({
        iss: `${app.publicUrl}/oauth`,
        aud: `${app.publicUrl}/app/v1`,
        client_id: 'app',
        sub: 'app',
        scope: 'app',
        jti: expect.any(String),
        iat: expect.any(Number),
        exp: Number(claims.iat) + 300,
      });
    });

    it('differ each time, and each has a record that does not carry its jti', async () => {
      const ids = [decodeJwt(jwtOf(await token(asApp))).jti, decodeJwt(jwtOf(await token(asApp))).jti];
      expect(new Set(ids).size).toBe(2);
      const rows = await app.owner.oidcPayload.findMany();
      expect(rows.length).toBeGreaterThanOrEqual(2);
      for (const id of ids) expect(JSON.stringify(rows)).not.toContain(id);
    });

    it('carry all scopes of the client when it names none', async () => {
      const { body } = await token(asVizor);
      expect(String(body['scope']).split(' ').sort()).toEqual([...SCOPES.partner].sort());
      expect(decodeJwt(jwtOf({ body } as Answer))['scope']).toBe(body['scope']);
    });

    it('carry fewer scopes on request', async () => {
      const answer = await token(asVizor, { scope: 'webhooks:deliver' });
      expect(answer.body['scope']).toBe('webhooks:deliver');
      expect(decodeJwt(jwtOf(answer))['scope']).toBe('webhooks:deliver');
    });

    it.each([
      ['that nobody knows', 'everything'],
      ['of another audience', 'app'],
      ['beside one that is its own', 'webhooks:deliver property-sales:report'],
      ['that would make a refresh token', 'offline_access'],
      ['that would make an ID token', 'openid'],
    ])('are not given for a scope %s', async (_, scope) => {
      refused(await token(asVizor, { scope }), 400, 'invalid_scope');
    });

    it('are not given for a scope that our API has and the client was not registered for', async () => {
      const secret = newSecret();
      await app.owner.oAuthClient.create({
        data: {
          id: 'narrow',
          audience: 'partner',
          authMethod: 'client_secret_basic',
          secretHashes: [hashSecret(secret)],
          scopes: ['webhooks:deliver', 'app'],
        },
      });
      refused(await token(basic('narrow', secret), { scope: 'openings:request' }), 400, 'invalid_scope');
      refused(await token(basic('narrow', secret), { scope: 'app' }), 400, 'invalid_scope');
      expect((await token(basic('narrow', secret))).body['scope']).toBe('webhooks:deliver');
    });

    it('carry no scope for a client that was registered for none', async () => {
      const secret = newSecret();
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: [] };
      await app.owner.oAuthClient.create({ data: { id: 'scopeless', ...row, secretHashes: [hashSecret(secret)] } });
      refused(await token(basic('scopeless', secret), { scope: 'app' }), 400, 'invalid_scope');
      const answer = await token(basic('scopeless', secret));
      expect(answer.body).not.toHaveProperty('scope');
      expect((await echo('/app/v1/echo', jwtOf(answer))).status).toBe(403);
    });

    it('are given for the resource that is the client’s own, and named', async () => {
      const answer = await token(asVizor, { resource: `${app.publicUrl}/partner/v1` });
      expect(decodeJwt(jwtOf(answer)).aud).toBe(`${app.publicUrl}/partner/v1`);
    });

    it.each(['app', 'registry', 'nothing'])('are not given to a partner for the resource /%s/v1', async (audience) => {
      refused(await token(asVizor, { resource: `${app.publicUrl}/${audience}/v1` }), 400, 'invalid_target');
    });

    it.each(['https://elsewhere.example/partner/v1', 'partner', 'javascript:alert(1)', ''])(
      'are not given for the resource %j',
      async (resource) => {
        const { status, body } = await token(asVizor, { resource });
        if (resource === '') expect(decodeJwt(String(body['access_token'])).aud).toBe(`${app.publicUrl}/partner/v1`);
        else expect([status, body['error']]).toEqual([400, 'invalid_target']);
      },
    );

    it('are never for two resources at once', async () => {
      const body = new URLSearchParams([
        ...Object.entries(GRANT),
        ['resource', `${app.publicUrl}/partner/v1`],
        ['resource', `${app.publicUrl}/app/v1`],
      ]).toString();
      refused(
        await app.call('/oauth/token', { headers: { ...FORM, authorization: asVizor }, body }),
        400,
        'invalid_target',
      );
    });

    it('are good at the API that they are for', async () => {
      const { status, body } = await echo('/app/v1/echo', jwtOf(await token(asApp)));
      expect([status, body['caller']]).toEqual([200, { clientId: 'app', audience: 'app' }]);
    });
  });

  describe('clients with a secret', () => {
    it.each([
      ['a wrong secret', () => basic('app', newSecret())],
      ['another client’s secret', () => basic('app', secrets.vizor)],
      ['the placeholder that the library sees', () => basic('app', 'kept-as-hashes')],
      ['the hash in place of the secret', () => basic('app', hashSecret(secrets.app))],
      ['an id that nobody has', () => basic('nobody', secrets.app)],
      ['the id of a client with a certificate', () => basic('shlagbaum', newSecret())],
    ])('are refused with %s', async (_, authorization) => {
      refused(await token(authorization()), 401, 'invalid_client');
    });

    it.each([
      ['no base64', 'Basic ???'],
      ['an id with a NUL in it', basic('app\0', 'x')],
      ['an id with an escaped NUL in it', basic('app%00', 'x')],
      ['an id that is no UTF-8', `Basic ${Buffer.from([0xff, 0xfe, 0x3a, 0x61]).toString('base64')}`],
      ['an id with half an escape in it', basic('app%2', 'x')],
      ['an empty id', basic('', 'x')],
      ['an empty secret', basic('app', '')],
      ['no colon', `Basic ${Buffer.from('app').toString('base64')}`],
      ['another scheme', 'Digest username="app"'],
      ['nothing after the scheme', 'Basic'],
    ])('are refused with a header that has %s', async (_, authorization) => {
      const answer = await token(authorization);
      expect([400, 401]).toContain(answer.status);
      expect(['invalid_client', 'invalid_request']).toContain(answer.body['error']);
    });

    it('are refused with the secret in the form: only the header is agreed', async () => {
      refused(
        await post('/oauth/token', { ...GRANT, client_id: 'app', client_secret: secrets.app }),
        401,
        'invalid_client',
      );
    });

    it('are refused when header and form name different clients', async () => {
      refused(await token(asApp, { client_id: 'vizor' }), 400, 'invalid_request');
      refused(
        await token(asApp, { client_id: 'shlagbaum' }, { certificate: app.certificates.shlagbaum }),
        400,
        'invalid_request',
      );
    });

    it('may form-encode their id, as OAuth has it', async () => {
      expect((await token(basic('%61pp', secrets.app))).body['scope']).toBe('app');
    });

    it('are refused while switched off, and let in again after', async () => {
      const secret = newSecret();
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: ['app'] };
      const data = { id: 'switched', ...row, secretHashes: [hashSecret(secret)], active: false };
      await app.owner.oAuthClient.create({ data });
      refused(await token(basic('switched', secret)), 401, 'invalid_client');
      await app.owner.oAuthClient.update({ where: { id: 'switched' }, data: { active: true } });
      expect((await token(basic('switched', secret))).status).toBe(200);
    });

    it('of profile basic-signed get no token', async () => {
      const secret = newSecret();
      const row = { audience: 'partner', partnerId: 'kluch', authMethod: 'basic_signed', scopes: [...SCOPES.partner] };
      await app.owner.oAuthClient.create({ data: { id: 'kluch', ...row, secretHashes: [hashSecret(secret)] } });
      refused(await token(basic('kluch', secret)), 401, 'invalid_client');
    });

    it('change their secret without a gap: both are good, then the new one alone', async () => {
      const [old, fresh] = [newSecret(), newSecret()];
      const where = { id: 'rotating' };
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: ['app'] };
      await app.owner.oAuthClient.create({ data: { ...where, ...row, secretHashes: [hashSecret(old)] } });
      refused(await token(basic('rotating', fresh)), 401, 'invalid_client');
      await app.owner.oAuthClient.update({ where, data: { secretHashes: [hashSecret(old), hashSecret(fresh)] } });
      expect((await token(basic('rotating', old))).status).toBe(200);
      expect((await token(basic('rotating', fresh))).status).toBe(200);
      await app.owner.oAuthClient.update({ where, data: { secretHashes: [hashSecret(fresh)] } });
      refused(await token(basic('rotating', old)), 401, 'invalid_client');
      expect((await token(basic('rotating', fresh))).status).toBe(200);
    });

    it('have a secret that was kept by a fast hash kept by a slow one once it was shown, and are out with that', async () => {
      const secret = newSecret();
      const where = { id: 'hashed-fast' };
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: ['app'] };
      const hashes = async () => (await app.owner.oAuthClient.findUniqueOrThrow({ where })).secretHashes;
      await app.owner.oAuthClient.create({ data: { ...where, ...row, secretHashes: [hashSecret(secret)] } });
      refused(await token(basic('hashed-fast', newSecret())), 401, 'invalid_client');
      expect(await hashes()).toEqual([hashSecret(secret)]);
      expect((await token(basic('hashed-fast', secret))).status).toBe(200);
      const kept = await hashes();
      expect(kept).toEqual([expect.stringMatching(/^scrypt\$/)]);
      expect(await app.owner.secretSighting.findMany({ where: { clientId: 'hashed-fast' } })).toMatchObject([
        { secretHash: kept[0] },
      ]);
      for (let times = 0; times < 2; times++) expect((await token(basic('hashed-fast', secret))).status).toBe(200);
      expect(await hashes()).toEqual(kept);
      // That it was found right a moment ago is of no use to it.
      await app.owner.oAuthClient.update({ where, data: { secretHashes: [await slowHash(newSecret())] } });
      refused(await token(basic('hashed-fast', secret)), 401, 'invalid_client');
    });

    it('without any hash are refused', async () => {
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: ['app'] };
      await app.owner.oAuthClient.create({ data: { id: 'hashless', ...row, secretHashes: [] } });
      refused(await token(basic('hashless', 'kept-as-hashes')), 401, 'invalid_client');
    });
  });

  describe('clients with a certificate', () => {
    const asShlagbaum = (call: Call): Promise<Answer> =>
      post('/oauth/token', { ...GRANT, client_id: 'shlagbaum' }, call);

    it('get a token that is bound to it and good over such a connection only', async () => {
      const certificate = app.certificates.shlagbaum;
      const answer = await asShlagbaum({ certificate });
      expect(answer.status).toBe(200);
      expect(decodeJwt(jwtOf(answer))['cnf']).toEqual({ 'x5t#S256': thumbprint(certificate) });
      const { status, body } = await echo('/partner/v1/echo', jwtOf(answer), { certificate });
      expect(status).toBe(200);
      expect(body['caller']).toMatchObject({ partnerId: 'shlagbaum', profile: 'mtls-oidc' });
      expect((await echo('/partner/v1/echo', jwtOf(answer))).status).toBe(401);
    });

    it('are refused without one', async () => {
      refused(await asShlagbaum({}), 401, 'invalid_client');
    });

    it.each(['otherPartner', 'otherAuthority', 'subjectOnly'] as const)('are refused with: %s', async (name) => {
      refused(await asShlagbaum({ certificate: app.certificates[name] }), 401, 'invalid_client');
    });

    it('are refused when the row names no certificate', async () => {
      const row = { audience: 'partner', partnerId: 'x', authMethod: 'tls_client_auth', scopes: [...SCOPES.partner] };
      await app.owner.oAuthClient.create({ data: { id: 'nameless', ...row } });
      const certificate = app.certificates.shlagbaum;
      refused(await post('/oauth/token', { ...GRANT, client_id: 'nameless' }, { certificate }), 401, 'invalid_client');
    });

    it('may ask about and take back their own tokens', async () => {
      const certificate = app.certificates.shlagbaum;
      const jwt = jwtOf(await asShlagbaum({ certificate }));
      const form = { token: jwt, client_id: 'shlagbaum' };
      const told = await post('/oauth/introspect', form, { certificate });
      expect(told.body).toMatchObject({ active: true, cnf: { 'x5t#S256': thumbprint(certificate) } });
      expect((await post('/oauth/introspect', form)).status).toBe(401);
      expect((await post('/oauth/revoke', form, { certificate })).status).toBe(200);
      expect((await echo('/partner/v1/echo', jwt, { certificate })).status).toBe(401);
    });
  });

  describe('refusals', () => {
    const BORNE = { ofName: 3, ofNetwork: 8 };
    let processes: string[] = [];
    beforeAll(async () => {
      const started = await Promise.all([app.startAnother(BORNE), app.startAnother(BORNE)]);
      processes = started.map(({ localUrl }) => localUrl);
    });

    let asked = 0;
    /** At each process in turn. */
    const ask = (from: string, authorization: string): Promise<Answer> =>
      token(authorization, {}, { from, at: processes[asked++ % 2] ?? '' });
    async function newClient(id: string): Promise<string> {
      const secret = newSecret();
      const row = { audience: 'app', authMethod: 'client_secret_basic', scopes: ['app'] };
      await app.owner.oAuthClient.create({ data: { id, ...row, secretHashes: [await slowHash(secret)] } });
      return secret;
    }
    const told = ({ status, text, headers }: Answer) => ({ status, text, type: headers['content-type'] });

    function turnedAway(answer: Answer): void {
      expect([answer.status, answer.body['type']]).toEqual([429, '/problems/too-many-requests']);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60);
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.headers).not.toHaveProperty('www-authenticate');
    }

    it('of one name from one network are borne up to a number by all processes; then no secret is looked at', async () => {
      const secret = await newClient('guessed-at');
      const from = '127.0.1.1';
      for (let times = 0; times < BORNE.ofName; times++)
        refused(await ask(from, basic('guessed-at', newSecret())), 401, 'invalid_client');
      // Were they looked at, most would find no place to be looked at and be told 503.
      const more = await Promise.all(Array.from({ length: 30 }, () => ask(from, basic('guessed-at', newSecret()))));
      for (const answer of more) turnedAway(answer);
      turnedAway(await ask(from, basic('guessed-at', secret)));
      // The same network, and nobody's fault there.
      expect((await ask(from, asApp)).status).toBe(200);
      // Whose name it is comes from elsewhere, and then is known wherever it comes from.
      expect((await ask('127.0.2.1', basic('guessed-at', secret))).status).toBe(200);
      expect((await ask(from, basic('guessed-at', secret))).status).toBe(200);
    });

    it('are counted for the journal each, also those that nobody looked at', async () => {
      const network = hiddenWords(app.hiddenIdKey, 'network', '127.0.3');
      const counted = () => app.counted.filter((refusal) => refusal.network === network);
      const answers = [];
      for (let times = 0; times < 10; times++) answers.push(await ask('127.0.3.1', basic('counted', newSecret())));
      expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 429, 429, 429, 429, 429, 429, 429]);
      await until('all are counted', () => Promise.resolve(counted().length === answers.length));
      const codes = counted().map(({ code }) => code);
      expect(codes.toSorted()).toEqual([...Array<string>(3).fill('credentials'), ...Array<string>(7).fill('too-many')]);
      expect(new Set(counted().map(({ name }) => name)).size).toBe(1);
      expect(app.noted.map(({ actor }) => actor)).not.toContain('counted');
    });

    it('are answered alike for a client and for a name that nobody has', async () => {
      await newClient('there');
      for (let times = 0; times < BORNE.ofName + 2; times++) {
        const there = await ask('127.0.4.1', basic('there', newSecret()));
        const nobody = await ask('127.0.4.1', basic('not-there', newSecret()));
        expect(told(nobody)).toEqual(told(there));
      }
    });

    it('of many names from one network are borne up to a number, and then no unknown secret is looked at there', async () => {
      const secret = await newClient('neighbor');
      for (let name = 0; name < BORNE.ofNetwork; name++)
        refused(await ask('127.0.5.1', basic(`name-${name.toString()}`, newSecret())), 401, 'invalid_client');
      turnedAway(await ask('127.0.5.200', basic('one-more', newSecret())));
      turnedAway(await ask('127.0.5.200', basic('neighbor', secret)));
      expect((await ask('127.0.6.1', basic('neighbor', secret))).status).toBe(200);
    });

    it('of a certificate are borne up to a number, and the right one is let in whatever was counted', async () => {
      const form = { ...GRANT, client_id: 'shlagbaum' };
      const present = (certificate: Credential) =>
        post('/oauth/token', form, { certificate, from: '127.0.7.1', at: processes[asked++ % 2] ?? '' });
      for (let times = 0; times < BORNE.ofName; times++)
        refused(await present(app.certificates.otherPartner), 401, 'invalid_client');
      turnedAway(await present(app.certificates.otherPartner));
      expect((await present(app.certificates.shlagbaum)).status).toBe(200);
    });
  });

  describe('introspection (RFC 7662)', () => {
    const INACTIVE = { active: false };

    it('tells a client about its own token', async () => {
      const jwt = jwtOf(await token(asApp));
      const { status, body, headers } = await introspect(asApp, jwt);
      const { iat, exp, aud } = decodeJwt(jwt);
      expect(status).toBe(200);
      expect(headers['cache-control']).toBe('no-store');
      expect(body).toMatchObject({ active: true, client_id: 'app', scope: 'app', iat, exp, aud, token_type: 'Bearer' });
      expect(JSON.stringify(body)).not.toContain(jwt);
    });

    it('finds a token whatever hint comes with it', async () => {
      const jwt = jwtOf(await token(asApp));
      for (const token_type_hint of ['access_token', 'refresh_token', 'client_credentials', 'x']) {
        const { body } = await post(
          '/oauth/introspect',
          { token: jwt, token_type_hint },
          { headers: { authorization: asApp } },
        );
        expect(body['active']).toBe(true);
      }
    });

    it('says of another client’s token only that it is not active', async () => {
      const { status, body } = await introspect(asVizor, jwtOf(await token(asApp)));
      expect([status, body]).toEqual([200, INACTIVE]);
    });

    it('says the same of a forged, a changed and a made-up token', async () => {
      const jwt = jwtOf(await token(asApp));
      const [header = '', , signature = ''] = jwt.split('.');
      const forged = await new SignJWT({ ...decodeJwt(jwt) })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'first' })
        .sign(await importJWK(newSigningKey('first'), 'EdDSA'));
      const claims = { ...decodeJwt(jwt), scope: 'all' };
      const changed = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`;
      for (const bad of [forged, changed, 'a.b.c', 'none', randomUUID(), '..']) {
        const { status, body } = await introspect(asApp, bad);
        expect([status, body]).toEqual([200, INACTIVE]);
      }
    });

    it('says the same of the bare id of a token', async () => {
      const { status, body } = await introspect(asApp, String(decodeJwt(jwtOf(await token(asApp))).jti));
      expect([status, body]).toEqual([200, INACTIVE]);
    });

    it('says the same after revocation', async () => {
      const jwt = jwtOf(await token(asApp));
      expect((await introspect(asApp, jwt)).body['active']).toBe(true);
      expect((await revoke(asApp, jwt)).status).toBe(200);
      expect((await introspect(asApp, jwt)).body).toEqual(INACTIVE);
    });

    it('answers nobody who is not authenticated', async () => {
      const jwt = jwtOf(await token(asApp));
      for (const headers of [{}, { authorization: basic('app', newSecret()) }, { authorization: `Bearer ${jwt}` }]) {
        const { status, body } = await post('/oauth/introspect', { token: jwt }, { headers });
        expect(status).toBe(401);
        expect(body).not.toHaveProperty('active');
      }
    });
  });

  describe('revocation (RFC 7009)', () => {
    it('takes a token away from the API at once', async () => {
      const jwt = jwtOf(await token(asApp));
      expect((await echo('/app/v1/echo', jwt)).status).toBe(200);
      expect((await revoke(asApp, jwt)).status).toBe(200);
      expect((await echo('/app/v1/echo', jwt)).status).toBe(401);
    });

    it('is harmless to repeat, and to do to a token that never was', async () => {
      const jwt = jwtOf(await token(asApp));
      for (const each of [jwt, jwt, 'never', 'a.b.c']) expect((await revoke(asApp, each)).status).toBe(200);
    });

    it('leaves other tokens of the client alone', async () => {
      const [one, other] = [jwtOf(await token(asApp)), jwtOf(await token(asApp))];
      await revoke(asApp, one);
      expect((await echo('/app/v1/echo', other)).status).toBe(200);
    });

    it('does nothing to another client’s token, nor by the bare id, nor without authentication', async () => {
      const jwt = jwtOf(await token(asApp));
      await revoke(asVizor, jwt);
      await revoke(asApp, String(decodeJwt(jwt).jti));
      expect((await post('/oauth/revoke', { token: jwt })).status).toBe(401);
      expect((await echo('/app/v1/echo', jwt)).status).toBe(200);
    });
  });

  describe('the journal is told of', () => {
    /** What was noted while this went on. */
    async function notedOf(ask: () => Promise<unknown>): Promise<unknown[]> {
      const before = app.noted.length;
      await ask();
      // An exchange is noted when the connection has its answer, which may be a moment after the client has.
      await new Promise(setImmediate);
      return app.noted
        .slice(before)
        .map(({ actor, integration, operation, outcome }) => [actor, integration, operation, outcome]);
    }

    const byCertificate = (certificate: Credential) =>
      post('/oauth/token', { ...GRANT, client_id: 'shlagbaum' }, { certificate });

    it('what a client that has proved itself asked for, and what was answered', async () => {
      const jwt = jwtOf(await token(asVizor));
      expect(await notedOf(() => token(asVizor))).toEqual([['vizor', 'smart_home', 'issueToken', '200']]);
      expect(await notedOf(() => introspect(asVizor, jwt))).toEqual([
        ['vizor', 'smart_home', 'introspectToken', '200'],
      ]);
      expect(await notedOf(() => revoke(asApp, jwt))).toEqual([['app', null, 'revokeToken', '200']]);
      expect(
        await notedOf(() => post('/oauth/token', { grant_type: 'x' }, { headers: { authorization: asApp } })),
      ).toEqual([['app', null, 'issueToken', '400']]);
      const certificate = app.certificates.shlagbaum;
      expect(await notedOf(() => byCertificate(certificate))).toEqual([
        ['shlagbaum', 'smart_home', 'issueToken', '200'],
      ]);
    });

    it('nothing that is asked in the name of a client by somebody else', async () => {
      expect(await notedOf(() => token(basic('app', newSecret())))).toEqual([]);
      expect(await notedOf(() => byCertificate(app.certificates.otherPartner))).toEqual([]);
      const attestation = `${Buffer.from('{}').toString('base64url')}.${Buffer.from('{"sub":"shlagbaum"}').toString('base64url')}.x`;
      const headers = { 'oauth-client-attestation': attestation };
      expect(await notedOf(() => post('/oauth/token', { ...GRANT, client_id: 'shlagbaum' }, { headers }))).toEqual([]);
    });
  });

  describe('keys', () => {
    const jwks = async () =>
      (await app.call('/oauth/jwks', { method: 'GET' })).body['keys'] as Record<string, string>[];

    it('are published without their private parts', async () => {
      const keys = await jwks();
      expect(keys).toEqual([
        { kty: 'OKP', crv: 'Ed25519', x: app.signingKeys[0]?.x, kid: 'first', alg: 'EdDSA', use: 'sig' },
      ]);
      expect(app.instance.server.publicKeys()).toEqual({ keys });
    });

    it('change without a gap: the new one signs, the old one verifies while it is listed', async () => {
      const second = newSigningKey('second');
      const old = jwtOf(await token(asApp));
      try {
        app.instance.server.useKeys([second, ...app.signingKeys]);
        expect((await jwks()).map(({ kid }) => kid)).toEqual(['second', 'first']);
        expect(JSON.stringify(await jwks())).not.toContain(second.d);
        const fresh = jwtOf(await token(asApp));
        expect(decodeProtectedHeader(fresh).kid).toBe('second');
        for (const each of [old, fresh]) {
          expect((await echo('/app/v1/echo', each)).status).toBe(200);
          expect((await introspect(asApp, each)).body['active']).toBe(true);
        }
        app.instance.server.useKeys([second]);
        expect((await echo('/app/v1/echo', old)).status).toBe(401);
        expect((await introspect(asApp, old)).body).toEqual({ active: false });
        expect((await echo('/app/v1/echo', fresh)).status).toBe(200);
      } finally {
        app.instance.server.useKeys(app.signingKeys);
      }
    });
  });

  describe('metadata (RFC 8414)', () => {
    const path = '/.well-known/oauth-authorization-server/oauth';
    const endpoints = () => ({
      issuer: `${app.publicUrl}/oauth`,
      token_endpoint: `${app.publicUrl}/oauth/token`,
      introspection_endpoint: `${app.publicUrl}/oauth/introspect`,
      revocation_endpoint: `${app.publicUrl}/oauth/revoke`,
      jwks_uri: `${app.publicUrl}/oauth/jwks`,
    });

    it('names what there is and nothing else', async () => {
      const { status, headers, body } = await app.call(path, { method: 'GET' });
      expect(status).toBe(200);
      expect(headers['content-type']).toMatch(/^application\/json/);
      expect(body).toMatchObject({
        ...endpoints(),
        grant_types_supported: ['client_credentials'],
        token_endpoint_auth_methods_supported: ['client_secret_basic', 'tls_client_auth'],
        tls_client_certificate_bound_access_tokens: true,
      });
      for (const absent of [
        'authorization_endpoint',
        'userinfo_endpoint',
        'registration_endpoint',
        'end_session_endpoint',
      ]) {
        expect(body).not.toHaveProperty(absent);
      }
      for (const url of Object.values(endpoints()).slice(1)) {
        const { pathname } = new URL(url);
        expect((await app.call(pathname, { method: pathname.endsWith('/jwks') ? 'GET' : 'POST' })).status).not.toBe(
          404,
        );
      }
    });

    it('does not depend on how it was reached', async () => {
      const another = await app.startAnother();
      const answers = [
        await app.call(path, { method: 'GET', headers: { host: 'evil.example' } }),
        await app.call(path, {
          method: 'GET',
          headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' },
        }),
        await app.call(path, { method: 'GET', at: another.localUrl }),
      ];
      for (const { body } of answers) expect(body).toMatchObject(endpoints());
    });
  });

  describe('bad input', () => {
    const form = new URLSearchParams(GRANT).toString();
    const json = JSON.stringify(GRANT);
    const cases: [string, () => Call][] = [
      ['no body', () => ({})],
      ['an empty form', () => ({ headers: FORM, body: '' })],
      ['a JSON body', () => ({ headers: { 'content-type': 'application/json' }, body: json })],
      ['JSON that says it is a form', () => ({ headers: FORM, body: json })],
      ['a malformed escape', () => ({ headers: FORM, body: `${form}&scope=%E0%A4%A` })],
      ['a NUL in the scope', () => ({ headers: FORM, body: `${form}&scope=%00` })],
      ['a NUL in the client id', () => ({ headers: { ...FORM, authorization: [] }, body: `${form}&client_id=%00` })],
      [
        'half a character in the client id',
        () => ({ headers: { ...FORM, authorization: [] }, body: `${form}&client_id=%ED%A0%80` }),
      ],
      ['a huge body', () => ({ headers: FORM, body: `${form}&scope=${'a'.repeat(1_000_000)}` })],
      ['a huge scope that still fits', () => ({ headers: FORM, body: `${form}&scope=${'a'.repeat(30_000)}` })],
      ['thousands of parameters', () => ({ headers: FORM, body: `${form}${'&a=b'.repeat(5_000)}` })],
      ['the grant twice', () => ({ headers: FORM, body: `${form}&${form}` })],
      ['the scope twice', () => ({ headers: FORM, body: `${form}&scope=app&scope=app` })],
      ['the client id twice', () => ({ headers: FORM, body: `${form}&client_id=app&client_id=vizor` })],
      ['names of the prototype', () => ({ headers: FORM, body: 'grant_type=constructor&__proto__=x&constructor=y' })],
      ['brackets', () => ({ headers: FORM, body: 'grant_type[a]=client_credentials&scope[]=app' })],
      ['an unknown grant', () => ({ headers: FORM, body: 'grant_type=password&username=a&password=b' })],
      ['a grant that is off', () => ({ headers: FORM, body: 'grant_type=authorization_code&code=a' })],
      ['a refresh token', () => ({ headers: FORM, body: 'grant_type=refresh_token&refresh_token=a' })],
      ['an unknown media type', () => ({ headers: { 'content-type': 'image/png' }, body: form })],
      ['a media type that is none', () => ({ headers: { 'content-type': ';;;' }, body: form })],
      [
        'a charset that is none',
        () => ({ headers: { 'content-type': `${FORM['content-type']}; charset=klingon` }, body: form }),
      ],
      [
        'another charset',
        () => ({ headers: { 'content-type': `${FORM['content-type']}; charset=utf-16` }, body: form }),
      ],
      ['an encoding that is none', () => ({ headers: { ...FORM, 'content-encoding': 'lzma' }, body: form })],
      ['an encoding that does not fit', () => ({ headers: { ...FORM, 'content-encoding': 'gzip' }, body: form })],
      ['a multipart form', () => ({ headers: { 'content-type': 'multipart/form-data; boundary=x' }, body: '--x--' })],
      ['no media type', () => ({ body: form })],
    ];

    it.each(cases)('is the caller’s fault at every endpoint: %s', async (_, call) => {
      for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) {
        const given = call();
        const { status, body } = await app.call(path, {
          ...given,
          headers: { authorization: asApp, ...given.headers },
        });
        expect([path, status >= 400 && status < 500]).toEqual([path, true]);
        expect(body).not.toHaveProperty('access_token');
      }
    });

    it('in the token is the caller’s fault, or just an inactive token', async () => {
      const bodies = [
        'token=',
        'token=a&token=b',
        'token=%00',
        'token=%ED%A0%80',
        `token=${'a'.repeat(10_000)}`,
        'token[]=a',
      ];
      for (const path of ['/oauth/introspect', '/oauth/revoke']) {
        for (const body of bodies) {
          const answer = await app.call(path, { headers: { ...FORM, authorization: asApp }, body });
          expect([path, body, answer.status < 500]).toEqual([path, body, true]);
          expect(answer.body['active'] ?? false).toBe(false);
        }
      }
    });

    it.each(['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'])(
      '%s on the token endpoint gives no token',
      async (method) => {
        const { status, text } = await app.call('/oauth/token', { method, headers: { authorization: asApp } });
        expect(status).toBeLessThan(500);
        expect(text).not.toContain('access_token');
      },
    );

    it.each([
      '/oauth/auth',
      '/oauth/me',
      '/oauth/reg',
      '/oauth/session/end',
      '/oauth/device',
      '/oauth/request',
      '/oauth/par',
      '/oauth/.well-known/openid-configuration',
      '/oauth',
    ])('there is nothing at %s', async (path) => {
      for (const method of ['GET', 'POST']) expect((await app.call(path, { method })).status).toBe(404);
    });
  });

  it('logs no secret, no token, and nothing above as a failure of its own', async () => {
    const jwt = jwtOf(await token(asApp));
    await introspect(asApp, jwt);
    await token(basic('app', 'wrong-secret-of-somebody'));
    const log = app.log();
    expect(log).not.toContain('"level":"error"');
    for (const hidden of [jwt, secrets.app, secrets.vizor, asApp, 'wrong-secret', hashSecret(secrets.app)]) {
      expect(log).not.toContain(hidden);
    }
  });
});
