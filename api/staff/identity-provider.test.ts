import { createServer, type AddressInfo } from 'node:net';
import { createIdentityProvider, isUnreachable } from './identity-provider';

/** A port on which nobody listens any more. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('the staff identity provider', () => {
  it('that does not answer is told apart from one that says no, in both steps of a sign-in', async () => {
    const provider = createIdentityProvider(
      {
        API_PUBLIC_URL: 'https://api.example',
        STAFF_ISSUER: `https://localhost:${(await closedPort()).toString()}`,
        STAFF_CLIENT_ID: 'domovoy',
        STAFF_ROLES_CLAIM: 'groups',
        STAFF_MFA_ACR: [],
      },
      'a-secret-of-some-length',
    );
    const signIn = { secret: 'secret', maxAgeS: 300 };
    const callback = new URL('https://api.example/staff/callback?code=x&state=y');
    const failures = await Promise.allSettled([provider.authorizationUrl(signIn), provider.conclude(callback, signIn)]);
    for (const failure of failures) {
      expect(failure.status).toBe('rejected');
      expect(isUnreachable((failure as PromiseRejectedResult).reason)).toBe(true);
    }
    await provider.close();
  });
});
