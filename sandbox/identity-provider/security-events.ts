import { createPrivateKey, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { Agent, request } from 'undici';
import type { IdentityProviderConfig } from './config';
import type { SigningKey } from './provider';

export const EVENTS = ['account-disabled', 'account-purged', 'session-revoked', 'verification', 'logout'] as const;
export type SecurityEvent = (typeof EVENTS)[number];

/** OpenID RISC and CAEP profiles, and the framework's own event by which a stream is tried out. */
const EVENT_URIS: Readonly<Record<SecurityEvent, string>> = {
  'account-disabled': 'https://schemas.openid.net/secevent/risc/event-type/account-disabled',
  'account-purged': 'https://schemas.openid.net/secevent/risc/event-type/account-purged',
  'session-revoked': 'https://schemas.openid.net/secevent/caep/event-type/session-revoked',
  verification: 'https://schemas.openid.net/secevent/ssf/event-type/verification',
  logout: 'http://schemas.openid.net/event/backchannel-logout',
};
/** A receiver that does not answer is tried again so long after, milliseconds. */
const PAUSES_MS = [200, 500, 1_000, 2_000, 5_000];
const TIMEOUT_MS = 5_000;

/** Tells the company of what happens to accounts: security event tokens (RFC 8417), pushed (RFC 8935). */
export function createSecurityEvents({ issuer, client, events }: IdentityProviderConfig, key: SigningKey) {
  const agent = new Agent({
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    connect: { timeout: TIMEOUT_MS, ...(events && { ca: events.ca }) },
  });
  const stopping = new AbortController();

  /** A logout token is a form's member (OpenID Connect Back-Channel Logout 1.0), anything else the body itself. */
  async function push(event: SecurityEvent, token: string): Promise<number | null> {
    if (!events) return null;
    const [url, type, body] =
      event === 'logout'
        ? [events.logoutUrl, 'application/x-www-form-urlencoded', `logout_token=${token}`]
        : [events.url, 'application/secevent+jwt', token];
    try {
      const answer = await request(url, {
        dispatcher: agent,
        method: 'POST',
        headers: { 'content-type': type, accept: 'application/json' },
        body,
      });
      await answer.body.dump();
      return answer.statusCode;
    } catch {
      return null;
    }
  }

  return {
    /** @returns the token, and what the company answered in the end; `null`: nothing */
    async tell(event: SecurityEvent, subject: string): Promise<{ token: string; status: number | null }> {
      const token = await new SignJWT({
        ...(event === 'logout' ? { sub: subject } : { sub_id: { format: 'iss_sub', iss: issuer, sub: subject } }),
        events: { [EVENT_URIS[event]]: {} },
      })
        .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: event === 'logout' ? 'logout+jwt' : 'secevent+jwt' })
        .setIssuer(issuer)
        .setAudience(client.clientId)
        .setIssuedAt()
        .setJti(randomUUID())
        .sign(createPrivateKey({ key, format: 'jwk' }));
      if (!events) return { token, status: null };
      let status = await push(event, token);
      for (const pauseMs of PAUSES_MS) {
        if ((status !== null && status < 500) || stopping.signal.aborted) break;
        await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        status = await push(event, token);
      }
      return { token, status };
    },
    async close(): Promise<void> {
      stopping.abort();
      await agent.destroy();
    },
  };
}
