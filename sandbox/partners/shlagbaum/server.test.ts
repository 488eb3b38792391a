import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { request, type Dispatcher } from 'undici';
import {
  createAuthority,
  reply,
  SECRETS,
  startSandbox,
  type Reply,
  type Sandbox,
} from '../../test-support/running-sandbox';

type Tokens = { access_token: string; refresh_token: string; expires_in: number };

describe('shlagbaum', () => {
  let sandbox: Sandbox;
  let company: Dispatcher;
  beforeAll(async () => {
    sandbox = await startSandbox();
    company = sandbox.agentWith(sandbox.clientLeaf);
  });
  afterAll(() => sandbox.stop());

  const url = (target: string) => `${sandbox.url('shlagbaum')}${target}`;
  const token = async (form: Record<string, string>, dispatcher = company): Promise<Reply> =>
    reply(
      await request(url('/oidc/token'), {
        method: 'POST',
        dispatcher,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ client_id: 'domovoy', ...form }).toString(),
      }),
    );
  const login = async (): Promise<Tokens> =>
    (await token({ grant_type: 'password', username: 'svc-domovoy', password: SECRETS.shlagbaumPassword }))
      .body as Tokens;
  const refresh = (refreshToken: string, dispatcher = company) =>
    token({ grant_type: 'refresh_token', refresh_token: refreshToken }, dispatcher);
  const equipment = async (bearer: string, dispatcher = company) =>
    reply(
      await request(url('/v1/houses/house-1/equipment'), {
        dispatcher,
        headers: { authorization: `Bearer ${bearer}` },
      }),
    );
  const open = async (target: string, bearer: string, notAfterMs: number) =>
    reply(
      await request(url(`/v1/${target}/open`), {
        method: 'POST',
        dispatcher: company,
        headers: {
          authorization: `Bearer ${bearer}`,
          'content-type': 'application/json',
          'idempotency-key': randomUUID(),
        },
        body: JSON.stringify({ requestId: randomUUID(), notAfter: new Date(Date.now() + notAfterMs).toISOString() }),
      }),
    );

  describe('the handshake', () => {
    it('ends without a certificate', async () => {
      await expect(
        request(url('/oidc/.well-known/openid-configuration'), { dispatcher: sandbox.agent }),
      ).rejects.toThrow();
    });

    it('ends with a certificate of another authority', async () => {
      const rogue = await createAuthority('Rogue');
      const dispatcher = sandbox.agentWith(await rogue.issue('domovoy', { client: true, dns: ['domovoy.example'] }));
      await expect(request(url('/oidc/.well-known/openid-configuration'), { dispatcher })).rejects.toThrow();
    });
  });

  describe('its token endpoint', () => {
    it('is found by discovery, and gives tokens bound to the certificate', async () => {
      const metadata = await reply(
        await request(url('/oidc/.well-known/openid-configuration'), { dispatcher: company }),
      );
      expect(metadata.body).toMatchObject({ issuer: url('/oidc'), token_endpoint: url('/oidc/token') });
      for (const form of [
        { grant_type: 'client_credentials' },
        { grant_type: 'password', username: 'svc-domovoy', password: SECRETS.shlagbaumPassword },
      ]) {
        const answer = (await token(form)).body as Tokens;
        expect(answer.expires_in).toBe(300);
        expect(decodeJwt(answer.access_token)['cnf']).toEqual({ 'x5t#S256': expect.stringMatching(/^[\w-]{43}$/) });
        expect((await equipment(answer.access_token)).status).toBe(200);
      }
    });

    it.each<[string, string, number, Record<string, string>]>([
      [
        'a wrong password',
        'invalid_grant',
        400,
        { grant_type: 'password', username: 'svc-domovoy', password: 'wrong' },
      ],
      [
        'another user',
        'invalid_grant',
        400,
        { grant_type: 'password', username: 'other', password: SECRETS.shlagbaumPassword },
      ],
      ['another client', 'invalid_client', 401, { grant_type: 'client_credentials', client_id: 'other' }],
      ['no client', 'invalid_client', 401, { grant_type: 'client_credentials', client_id: '' }],
      ['another grant', 'unsupported_grant_type', 400, { grant_type: 'authorization_code' }],
      [
        'another resource',
        'invalid_target',
        400,
        { grant_type: 'client_credentials', resource: 'https://elsewhere.example' },
      ],
      ['a refresh token of nobody', 'invalid_grant', 400, { grant_type: 'refresh_token', refresh_token: 'x' }],
    ])('refuses %s', async (_name, error, status, form) => {
      const answer = await token(form);
      expect([answer.status, answer.body]).toEqual([status, { error }]);
    });

    it('gives an identity besides when OpenID is asked for', async () => {
      const form = { grant_type: 'password', username: 'svc-domovoy', password: SECRETS.shlagbaumPassword };
      const { body } = await token({ ...form, scope: 'openid offline_access' });
      const { id_token: idToken } = body as { id_token: string };
      expect(decodeJwt(idToken)).toMatchObject({ iss: url('/oidc'), aud: 'domovoy', sub: 'svc-domovoy' });
      expect((await equipment(idToken)).status).toBe(401);
      expect((await token({ ...form, scope: 'everything' })).body).toEqual({ error: 'invalid_scope' });
    });

    it("refuses another holder's certificate of the same authority", async () => {
      const dispatcher = sandbox.agentWith(
        await sandbox.authority.issue('other', { client: true, dns: ['other.example'] }),
      );
      const answer = await token({ grant_type: 'client_credentials' }, dispatcher);
      expect([answer.status, answer.body]).toEqual([401, { error: 'invalid_client' }]);
    });

    it('rotates refresh tokens, also over a restart', async () => {
      const first = await login();
      const second = (await refresh(first.refresh_token)).body as Tokens;
      expect(second.refresh_token).not.toBe(first.refresh_token);
      await sandbox.restart();
      expect((await refresh(second.refresh_token)).status).toBe(200);
    });

    it('ends the whole family when a refresh token comes twice', async () => {
      const first = await login();
      const second = (await refresh(first.refresh_token)).body as Tokens;
      expect((await equipment(second.access_token)).status).toBe(200);
      expect((await refresh(first.refresh_token)).body).toEqual({ error: 'invalid_grant' });
      expect((await refresh(second.refresh_token)).body).toEqual({ error: 'invalid_grant' });
      expect((await equipment(second.access_token)).status).toBe(401);
      expect((await equipment((await login()).access_token)).status).toBe(200);
    });

    it('ends every login when it is told to, with the refresh token and the access token', async () => {
      const ended = await login();
      expect((await sandbox.control('DELETE', '/partners/shlagbaum/logins')).status).toBe(200);
      expect((await equipment(ended.access_token)).status).toBe(401);
      expect((await refresh(ended.refresh_token)).status).toBe(400);
      expect((await equipment((await login()).access_token)).status).toBe(200);
    });

    it('does not refresh for another certificate of the same holder', async () => {
      const dispatcher = sandbox.agentWith(
        await sandbox.authority.issue('domovoy', { client: true, dns: ['domovoy.example'] }),
      );
      expect((await refresh((await login()).refresh_token, dispatcher)).body).toEqual({ error: 'invalid_grant' });
    });
  });

  it('takes no token with another certificate than the one it is bound to', async () => {
    const dispatcher = sandbox.agentWith(
      await sandbox.authority.issue('domovoy', { client: true, dns: ['domovoy.example'] }),
    );
    const { access_token } = await login();
    expect((await equipment(access_token, dispatcher)).status).toBe(401);
    expect((await equipment(access_token)).status).toBe(200);
  });

  it('opens doors as doors and barriers as barriers, and late neither', async () => {
    const { access_token: bearer } = await login();
    expect((await open('doors/door-1', bearer, 60_000)).body).toMatchObject({ status: 'OPENED' });
    expect((await open('barriers/barrier-1', bearer, 60_000)).body).toMatchObject({ status: 'OPENED' });
    expect((await open('barriers/door-1', bearer, 60_000)).status).toBe(404);
    const late = await open('doors/door-1', bearer, -1);
    expect([late.status, late.body]).toEqual([410, { code: 'EXPIRED', message: expect.any(String) }]);
  });
});
