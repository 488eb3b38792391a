import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider, type Configuration } from 'oidc-provider';
import type { Accounts } from './accounts';
import type { IdentityProviderConfig } from './config';
import { memoryAdapters } from './memory-adapter';

/** How a person proved who it is: RFC 8176 for `amr`; `acr` in words of this provider. */
export const PROVED = {
  password: { acr: 'urn:sandbox:acr:password', amr: ['pwd'] },
  passwordAndCode: { acr: 'urn:sandbox:acr:two-factor', amr: ['pwd', 'otp', 'mfa'] },
} as const;

/** OpenID Connect for staff: the authorization code flow with PKCE, for one client, and nothing else. */
export function createProvider(config: IdentityProviderConfig, accounts: Accounts, key: SigningKey): Provider {
  const provider = new Provider(config.issuer, configuration(config, accounts, key));
  provider.proxy = false;
  return provider;
}

function configuration({ client }: IdentityProviderConfig, accounts: Accounts, key: SigningKey): Configuration {
  return {
    adapter: memoryAdapters(),
    clients: [
      {
        client_id: client.clientId,
        client_secret: client.clientSecret,
        redirect_uris: client.redirectUris,
        response_types: ['code'],
        grant_types: ['authorization_code'],
        token_endpoint_auth_method: 'client_secret_basic',
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [key] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    pkce: { required: () => true },
    responseTypes: ['code'],
    scopes: ['openid'],
    acrValues: Object.values(PROVED).map(({ acr }) => acr),
    claims: { acr: null, sid: null, auth_time: null, iss: null, openid: ['sub', 'acr', 'amr', 'auth_time', 'groups'] },
    // There is no other place to ask for them.
    conformIdTokenClaims: false,
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
    },
    interactions: { url: (_ctx, interaction) => `/sign-in/${interaction.uid}` },
    ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 600, IdToken: 300, Interaction: 600, Session: 8 * 3_600 },
    findAccount: (_ctx, subject) => {
      const account = accounts.active(subject);
      return account && { accountId: subject, claims: () => ({ sub: subject, groups: account.groups }) };
    },
    // Staff consent to nothing here: the company's own client gets what it is registered for.
    async loadExistingGrant(ctx) {
      const { client: asking, session } = ctx.oidc;
      if (!asking || session?.accountId === undefined) return undefined;
      const grant = new ctx.oidc.provider.Grant({ clientId: asking.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
  };
}

/** Made at each start; clients fetch the keys again when they see a new `kid`. */
export function signingKey() {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' };
}
export type SigningKey = ReturnType<typeof signingKey>;
