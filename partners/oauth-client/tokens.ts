import * as oauth from 'openid-client';
import { usableUntil, type AccessToken } from '../access-token';
import { accepted, fetchOver, tokenFailure, withNewestSecret } from '../authorization-server';
import type { PartnerHttp } from '../http';
import type { NoteRequest } from '../noted-request';
import type { CredentialCheck } from '../ports';
import type { PartnerSecrets, ProfileOf } from '../profile';

/** For an answer without `expires_in`, seconds (RFC 6749, section 5.1, leaves it out of what is required). */
const LIFE_WHEN_UNSAID_S = 60;

/**
 * Client credentials at the partner's own authorization server (R1.5, R2.8), found by its metadata (RFC 8414) or given.
 */
export function createTokenSource(deps: {
  profile: ProfileOf<'oauth-client'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
  note?: NoteRequest;
}): {
  /** Fetches the next token, for the token cache. */
  readonly fetch: () => Promise<AccessToken>;
  /** Whether a token is given for this secret; the token is not used. */
  readonly check: (secret: string) => Promise<CredentialCheck>;
} {
  const { profile, http, secrets, note } = deps;
  const { issuer, tokenUrl, clientId, scope } = profile;

  async function client(secret: string, send: oauth.CustomFetch): Promise<oauth.Configuration> {
    const proof = oauth.ClientSecretBasic(secret);
    if (issuer !== undefined) {
      const options = { algorithm: 'oauth2', [oauth.customFetch]: send } as const;
      return oauth.discovery(new URL(issuer), clientId, undefined, proof, options);
    }
    const server = { issuer: new URL(tokenUrl ?? profile.baseUrl).origin, token_endpoint: tokenUrl ?? '' };
    const configuration = new oauth.Configuration(server, clientId, undefined, proof);
    configuration[oauth.customFetch] = send;
    return configuration;
  }

  const grant = (configuration: oauth.Configuration): Promise<oauth.TokenEndpointResponse> =>
    oauth.clientCredentialsGrant(configuration, scope === undefined ? {} : { scope });

  return {
    async fetch() {
      const askedAtMs = Date.now();
      try {
        const answer = await withNewestSecret(
          () => secrets('client-secret'),
          async (secret) => grant(await client(secret, fetchOver(http, note))),
        );
        const lifeS = answer.expires_in ?? LIFE_WHEN_UNSAID_S;
        return { value: answer.access_token, usableUntilMs: usableUntil(lifeS, askedAtMs) };
      } catch (error) {
        throw tokenFailure(error);
      }
    },
    check: (secret) => accepted(() => client(secret, fetchOver(http)), grant),
  };
}
