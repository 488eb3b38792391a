import { decodeJwt, decodeProtectedHeader } from 'jose';
import { basic, FORM, seedClients, startAuthorizationApp, type Answer, type AuthorizationApp } from './support-authorization';

describe('the authorization server', () => {
  let app: AuthorizationApp;
  let secrets: Awaited<ReturnType<typeof seedClients>>;

  beforeAll(async () => {
    app = await startAuthorizationApp();
    secrets = await seedClients(app.owner);
  });
  afterAll(() => app.close());

  const token = (authorization: string, more: Record<string, string> = {}): Promise<Answer> =>
    app.call('/oauth/token', {
      headers: { ...FORM, authorization },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...more }).toString(),
    });

  it('gives a client a short JWT for its own audience and nothing that need not be in it', async () => {
    const { status, body, headers } = await token(basic('app', secrets.app));
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
});
