import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createRemoteJWKSet, customFetch, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import sharp from 'sharp';
import { fetch, request } from 'undici';
import { reply, SECRETS, startSandbox, type Reply, type Sandbox } from '../../test-support/running-sandbox';

const resident = readFileSync(path.join(__dirname, '..', '..', 'media', 'resident.jpg'));
const basic = (id: string, secret: string) =>
  `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`;

describe('vizor', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(() => sandbox.stop());

  const url = (target: string) => `${sandbox.url('vizor')}${target}`;
  const token = async (
    form: Record<string, string> | string = { grant_type: 'client_credentials' },
    headers: Record<string, string> = {},
  ) =>
    reply(
      await request(url('/oauth/token'), {
        method: 'POST',
        dispatcher: sandbox.agent,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          authorization: basic('domovoy', SECRETS.vizorSecret),
          ...headers,
        },
        body: new URLSearchParams(form).toString(),
      }),
    );
  const goodToken = async () => ((await token()).body as { access_token: string }).access_token;
  const call = async (
    method: 'GET' | 'POST',
    target: string,
    bearer: string | null,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply> =>
    reply(
      await request(url(`/api/v1${target}`), {
        method,
        dispatcher: sandbox.agent,
        headers: {
          ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
          'idempotency-key': randomUUID(),
          'content-type': Buffer.isBuffer(body) ? 'image/jpeg' : 'application/json',
          ...headers,
        },
        ...(body === undefined ? {} : { body: Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
      }),
    );
  const opening = (notAfterMs = 60_000) => ({
    commandId: randomUUID(),
    notAfter: new Date(Date.now() + notAfterMs).toISOString(),
  });

  describe('its token endpoint', () => {
    it('gives a JWT of 300 s that its published keys verify', async () => {
      const answer = await token();
      expect(answer.body).toEqual({ access_token: expect.any(String), token_type: 'Bearer', expires_in: 300 });
      expect(answer.headers['cache-control']).toBe('no-store');
      const metadata = (
        await reply(await request(url('/.well-known/oauth-authorization-server'), { dispatcher: sandbox.agent }))
      ).body as { issuer: string; jwks_uri: string };
      expect(metadata.issuer).toBe(sandbox.url('vizor'));
      const keys = createRemoteJWKSet(new URL(metadata.jwks_uri), {
        [customFetch]: async (target) => {
          const response = await fetch(target, { dispatcher: sandbox.agent });
          return new Response(await response.text(), { status: response.status });
        },
      });
      const { payload, protectedHeader } = await jwtVerify(
        (answer.body as { access_token: string }).access_token,
        keys,
        {
          issuer: metadata.issuer,
          audience: url('/api/v1'),
          algorithms: ['EdDSA'],
        },
      );
      expect(protectedHeader.typ).toBe('at+jwt');
      expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(300);
    });

    it.each<[string, string, number, Record<string, string> | string, Record<string, string>]>([
      [
        'a wrong secret',
        'invalid_client',
        401,
        { grant_type: 'client_credentials' },
        { authorization: basic('domovoy', 'wrong') },
      ],
      [
        'an unknown client',
        'invalid_client',
        401,
        { grant_type: 'client_credentials' },
        { authorization: basic('nobody', SECRETS.vizorSecret) },
      ],
      [
        'the secret in the body',
        'invalid_client',
        401,
        { grant_type: 'client_credentials', client_id: 'domovoy', client_secret: SECRETS.vizorSecret },
        { authorization: '' },
      ],
      [
        'a header that is not Basic',
        'invalid_client',
        401,
        { grant_type: 'client_credentials' },
        { authorization: 'Basic %%%' },
      ],
      ['no grant type', 'invalid_request', 400, {}, {}],
      ['another grant type', 'unsupported_grant_type', 400, { grant_type: 'password' }, {}],
      [
        'a parameter sent twice',
        'invalid_request',
        400,
        'grant_type=client_credentials&grant_type=client_credentials',
        {},
      ],
      [
        'another resource',
        'invalid_target',
        400,
        { grant_type: 'client_credentials', resource: 'https://elsewhere.example' },
        {},
      ],
      ['a scope', 'invalid_scope', 400, { grant_type: 'client_credentials', scope: 'all' }, {}],
      ['JSON', 'invalid_request', 400, { grant_type: 'client_credentials' }, { 'content-type': 'application/json' }],
    ])('refuses %s', async (_name, error, status, form, headers) => {
      const answer = await token(form, headers);
      expect([answer.status, answer.body]).toEqual([status, { error }]);
    });

    it('takes a second secret while one is rotated, and the first no more once it is retired', async () => {
      const next = randomUUID();
      await sandbox.control('POST', '/partners/vizor/credentials', {
        type: 'secret',
        id: 'next',
        clientId: 'domovoy',
        secret: next,
      });
      const asked = () => token({ grant_type: 'client_credentials' }, { authorization: basic('domovoy', next) });
      expect((await asked()).status).toBe(200);
      expect((await token()).status).toBe(200);
      await sandbox.restart();
      expect((await asked()).status).toBe(200);
      await sandbox.control('DELETE', '/partners/vizor/credentials/next');
      expect((await asked()).status).toBe(401);
    });
  });

  describe('a resource', () => {
    const forged = async (
      change: (claims: Record<string, unknown>) => Record<string, unknown>,
      header: Record<string, string> = {},
      key = createPrivateKey(readFileSync(path.join(sandbox.dataDir, 'vizor-token-key.pem'))),
    ) => {
      const good = await goodToken();
      return new SignJWT(change(decodeJwt(good)))
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', ...header })
        .sign(key);
    };
    const now = () => Math.floor(Date.now() / 1_000);

    it.each<[string, () => Promise<string | null>]>([
      ['no token', () => Promise.resolve(null)],
      ['garbage', () => Promise.resolve('garbage')],
      ['another issuer', () => forged((claims) => ({ ...claims, iss: 'https://elsewhere.example' }))],
      ['another audience', () => forged((claims) => ({ ...claims, aud: `${sandbox.url('shlagbaum')}/v1` }))],
      ['a token that has run out', () => forged((claims) => ({ ...claims, iat: now() - 400, exp: now() - 100 }))],
      ['a token for a year', () => forged((claims) => ({ ...claims, iat: now() - 400, exp: now() + 31_536_000 }))],
      ['a token without an end', () => forged(({ exp: _exp, ...claims }) => claims)],
      ['a client that is unknown', () => forged((claims) => ({ ...claims, client_id: 'nobody' }))],
      ['another type', () => forged((claims) => claims, { typ: 'JWT' })],
      ['another key', () => forged((claims) => claims, {}, generateKeyPairSync('ed25519').privateKey)],
      [
        'no algorithm',
        async () => {
          const [, payload] = (await goodToken()).split('.');
          return `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload ?? ''}.`;
        },
      ],
      [
        'the public key as a shared secret',
        async () => {
          const good = await goodToken();
          const pem = createPublicKey(readFileSync(path.join(sandbox.dataDir, 'vizor-token-key.pem'))).export({
            type: 'spki',
            format: 'pem',
          });
          return new SignJWT(decodeJwt(good))
            .setProtectedHeader({ ...decodeProtectedHeader(good), alg: 'HS256' })
            .sign(Buffer.from(pem));
        },
      ],
    ])('refuses %s', async (_name, make) => {
      const answer = await call('GET', '/houses/house-1/devices', await make());
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
    });
  });

  it('takes no token that was taken back, and another one at once', async () => {
    const bearer = await goodToken();
    expect((await call('GET', '/houses/house-1/devices', bearer)).status).toBe(200);
    const { status, body } = await sandbox.control('DELETE', '/partners/vizor/access-tokens');
    expect([status, (body as { revoked: number }).revoked > 0]).toEqual([200, true]);
    expect((await call('GET', '/houses/house-1/devices', bearer)).status).toBe(401);
    expect((await call('GET', '/houses/house-1/devices', await goodToken())).status).toBe(200);
    expect((await sandbox.control('DELETE', '/partners/kluch/access-tokens')).status).toBe(409);
    expect((await sandbox.control('DELETE', '/partners/vizor/logins')).status).toBe(409);
  });

  it('opens once per key, and late never', async () => {
    const bearer = await goodToken();
    const key = { 'idempotency-key': 'open/vizor' };
    const body = opening();
    const first = await call('POST', '/devices/door-1/open', bearer, body, key);
    expect([first.status, first.body]).toEqual([
      200,
      { commandId: body.commandId, result: 'opened', openedAt: expect.any(String) },
    ]);
    expect((await call('POST', '/devices/door-1/open', bearer, body, key)).body).toEqual(first.body);
    const late = await call('POST', '/devices/door-1/open', bearer, opening(-1));
    expect([late.status, late.body]).toEqual([409, { error: { code: 'expired' } }]);
    expect((await call('POST', '/devices/door-9/open', bearer, opening())).status).toBe(404);
    const { body: ledger } = await sandbox.control('GET', '/ledger?partner=vizor&kind=open');
    expect(ledger).toMatchObject({ entries: [{ key: 'open/vizor', attempts: 2 }] });
  });

  describe('its extractor', () => {
    it('gives 512 numbers and keeps nothing', async () => {
      const answer = await call('POST', '/face-vectors', await goodToken(), resident);
      expect(answer.body).toEqual({ vector: expect.any(Array), modelVersion: 'sandbox-dct-1' });
      expect((answer.body as { vector: number[] }).vector).toHaveLength(512);
      expect((await sandbox.control('GET', '/partners/vizor/holdings')).body).toEqual({
        faces: [],
        plates: { count: 0, held: [] },
      });
    });

    it('refuses a photo of poor quality with the reason', async () => {
      const dark = await sharp(resident).autoOrient().linear(0.2, 0).jpeg().toBuffer();
      const answer = await call('POST', '/face-vectors', await goodToken(), dark);
      expect([answer.status, answer.body]).toEqual([422, { error: { code: 'quality', reason: 'too-dark' } }]);
    });

    it.each<[string, number, unknown, Record<string, string>]>([
      ['another type', 415, resident, { 'content-type': 'image/png' }],
      ['nothing', 400, Buffer.alloc(0), {}],
      ['no image', 400, Buffer.from('no image'), {}],
      ['more than the limit', 413, Buffer.alloc(13 * 1024 * 1024), {}],
    ])('refuses %s', async (_name, status, body, headers) => {
      expect((await call('POST', '/face-vectors', await goodToken(), body, headers)).status).toBe(status);
    });
  });
});
