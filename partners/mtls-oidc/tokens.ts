import * as oauth from 'openid-client';
import { fetch as undiciFetch } from 'undici';
import { usableUntil, type AccessToken } from '../access-token';
import { PartnerError } from '../failure';
import type { PartnerHttp } from '../http';
import type { PartnerSecrets, ProfileOf } from '../profile';

/** A token lives at most an hour (R3.1); a server that gives a longer one does not keep the agreement. */
const LONGEST_LIFE_S = 3_600;

/**
 * Logs in at the partner's OpenID provider over mutual TLS, by password or by the certificate's attributes alone, and
 * renews by refresh token as long as that is taken (R3.10).
 *
 * @returns a function that fetches the next token, for the token cache
 */
export function createLogin(deps: {
  profile: ProfileOf<'mtls-oidc'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
}): () => Promise<AccessToken> {
  const { profile, http } = deps;
  let refreshToken: string | undefined;

  const customFetch = ((url: string, init: object) =>
    undiciFetch(url, {
      ...init,
      redirect: 'error',
      dispatcher: http.dispatcher,
      signal: AbortSignal.timeout(profile.timeoutMs),
    })) as unknown as oauth.CustomFetch;

  const discover = (): Promise<oauth.Configuration> =>
    oauth.discovery(new URL(profile.issuer), profile.clientId, undefined, oauth.TlsClientAuth(), {
      [oauth.customFetch]: customFetch,
    });

  async function logIn(configuration: oauth.Configuration): Promise<oauth.TokenEndpointResponse> {
    if (profile.grant === 'client-certificate') return oauth.clientCredentialsGrant(configuration);
    return oauth.genericGrantRequest(configuration, 'password', {
      username: profile.username ?? '',
      password: await deps.secrets('password'),
      scope: 'openid offline_access',
    });
  }

  /** A refresh token that is refused was used, revoked or has ended: log in again, once. */
  async function renew(configuration: oauth.Configuration): Promise<oauth.TokenEndpointResponse> {
    if (refreshToken === undefined) return logIn(configuration);
    const used = refreshToken;
    refreshToken = undefined;
    try {
      return await oauth.refreshTokenGrant(configuration, used);
    } catch (error) {
      if ((error as { status?: number }).status === undefined) throw error;
      return logIn(configuration);
    }
  }

  return async () => {
    try {
      const answer = await renew(await discover());
      const lifeS = answer.expires_in ?? 0;
      if (lifeS <= 0 || lifeS > LONGEST_LIFE_S)
        throw new PartnerError('PartnerMisanswered', 'The token lives too long.');
      refreshToken = answer.refresh_token;
      return { value: answer.access_token, usableUntilMs: usableUntil(lifeS, Date.now()) };
    } catch (error) {
      if (error instanceof PartnerError) throw error;
      const { status } = error as { status?: number };
      if (status === 400 || status === 401 || status === 403) {
        throw new PartnerError('PartnerUnauthorized', "The partner's OpenID provider refused our login.");
      }
      throw new PartnerError('PartnerUnreachable', "The partner's OpenID provider gave no token.");
    }
  };
}
