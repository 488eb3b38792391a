import * as oauth from 'openid-client';
import { usableUntil, type AccessToken } from '../access-token';
import { accepted, fetchOver, isRefusal, tokenFailure, withNewestSecret } from '../authorization-server';
import { PartnerError } from '../failure';
import type { PartnerHttp } from '../http';
import type { NoteRequest } from '../noted-request';
import type { CredentialCheck } from '../ports';
import type { PartnerSecrets, ProfileOf } from '../profile';

/** A token lives at most an hour (R3.1); a server that gives a longer one does not keep the agreement. */
const LONGEST_LIFE_S = 3_600;

/**
 * Logs in at the partner's OpenID provider over mutual TLS, by password or by the certificate's attributes alone, and
 * renews by refresh token as long as that is taken (R3.10).
 */
export function createLogin(deps: {
  profile: ProfileOf<'mtls-oidc'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
  note?: NoteRequest;
}): {
  /** Fetches the next token, for the token cache. */
  readonly fetch: () => Promise<AccessToken>;
  /** Whether the technical account may log in by this password; the login is not used. */
  readonly check: (password: string) => Promise<CredentialCheck>;
  /** Whether a login as it is configured is given; it is not used. */
  readonly tryOut: () => Promise<CredentialCheck>;
} {
  const { profile, http, note } = deps;
  let refreshToken: string | undefined;

  const discover = (send: oauth.CustomFetch): Promise<oauth.Configuration> =>
    oauth.discovery(
      new URL(profile.issuer),
      profile.clientId,
      // A provider may ask for client certificates at addresses of their own (RFC 8705, section 5).
      { use_mtls_endpoint_aliases: true },
      oauth.TlsClientAuth(),
      { [oauth.customFetch]: send },
    );
  /** For a login that is noted itself. */
  const discoverUnnoted = (): Promise<oauth.Configuration> => discover(fetchOver(http));

  async function logIn(configuration: oauth.Configuration): Promise<oauth.TokenEndpointResponse> {
    const { username } = profile;
    if (username === undefined) return oauth.clientCredentialsGrant(configuration);
    return withNewestSecret(
      () => deps.secrets('password'),
      (password) => byPassword(configuration, { username, password }),
    );
  }

  const byPassword = (
    configuration: oauth.Configuration,
    account: { username: string; password: string },
  ): Promise<oauth.TokenEndpointResponse> =>
    oauth.genericGrantRequest(configuration, 'password', { ...account, scope: 'openid offline_access' });

  /** A refresh token is used once, whatever becomes of it. One that is refused was used, revoked or has ended. */
  async function renew(configuration: oauth.Configuration): Promise<oauth.TokenEndpointResponse> {
    if (refreshToken === undefined) return logIn(configuration);
    const used = refreshToken;
    refreshToken = undefined;
    try {
      return await oauth.refreshTokenGrant(configuration, used);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return logIn(configuration);
    }
  }

  return {
    async fetch() {
      const askedAtMs = Date.now();
      try {
        const answer = await renew(await discover(fetchOver(http, note)));
        const lifeS = answer.expires_in ?? 0;
        if (lifeS <= 0 || lifeS > LONGEST_LIFE_S) throw lifeNotAgreed();
        refreshToken = answer.refresh_token;
        return { value: answer.access_token, usableUntilMs: usableUntil(lifeS, askedAtMs) };
      } catch (error) {
        throw tokenFailure(error);
      }
    },
    tryOut: () => accepted(discoverUnnoted, logIn),
    check: (password) =>
      accepted(discoverUnnoted, (configuration) =>
        byPassword(configuration, { username: profile.username ?? '', password }),
      ),
  };
}

/** Not "misanswered": that would say that the call for which the token was wanted may have happened. */
const lifeNotAgreed = (): PartnerError =>
  new PartnerError('PartnerUnauthorized', "The partner's token lives longer than agreed, or does not say how long.");
