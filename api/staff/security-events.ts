import { text, urlencoded, type Response, type Router } from 'express';
import type { JWTPayload } from 'jose';
import { z } from 'zod';
import type { Logger } from '../../config/logger';
import type { ExchangeJournal } from '../../journal/exchanges';
import type { Database } from '../../prisma/database';
import { noteKnown } from '../authentication/caller';
import { exactRouter } from '../exact-paths';
import { journaled } from '../journaled';
import { HttpProblem } from '../problem';
import { noteRefusalOf } from '../refusals';
import { IDENTITY_PROVIDER, isUnreachable, type IdentityProvider } from './identity-provider';
import { takeIdentityEvent, type IdentityEventKind } from './leavers';

const SECURITY_EVENT_TYPE = 'application/secevent+jwt';
const RISC = 'https://schemas.openid.net/secevent/risc/event-type';
const CAEP = 'https://schemas.openid.net/secevent/caep/event-type';
const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout';

/** OpenID RISC Profile 1.0 and CAEP 1.0; what is not listed is taken and changes nothing. */
const KINDS: Readonly<Record<string, IdentityEventKind>> = {
  [`${RISC}/account-disabled`]: 'left',
  [`${RISC}/account-purged`]: 'left',
  [`${RISC}/account-credential-change-required`]: 'signed-out',
  [`${RISC}/sessions-revoked`]: 'signed-out',
  [`${CAEP}/session-revoked`]: 'signed-out',
  [`${CAEP}/credential-change`]: 'signed-out',
};

/** As OpenID Connect bounds `sub`; what else a provider names is held to the same. */
const ID_FORMAT = /^[\x21-\x7e]{1,255}$/;
const Subject = z.looseObject({ iss: z.string().optional(), sub: z.string().regex(ID_FORMAT) });
const Events = z.record(z.string(), z.looseObject({ subject: Subject.optional().catch(undefined) }));

/**
 * What the staff identity provider tells us by itself (R4.3): `POST /security-events` takes security event tokens
 * (RFC 8417) as they are pushed by RFC 8935, `POST /back-channel-logout` logout tokens (OpenID Connect Back-Channel
 * Logout 1.0). Nobody is believed but the provider's own signature.
 */
export function securityEventRoutes(deps: {
  database: Database;
  identityProvider: IdentityProvider;
  exchanges: Pick<ExchangeJournal, 'note'>;
  log: Logger;
}): Router {
  const { database, identityProvider, exchanges, log } = deps;
  const router = exactRouter();

  router.post('/security-events', journaled('takeSecurityEvent', exchanges));
  router.post('/security-events', text({ type: SECURITY_EVENT_TYPE, limit: '32kb' }), async (req, res) => {
    if (typeof req.body !== 'string' || req.body === '') {
      refuse(res, 'invalid_request');
      return;
    }
    const claims = await believed(req.body, 'event', res);
    const found = claims && eventIn(claims);
    if (!found) {
      refuse(res, claims ? 'invalid_request' : 'authentication_failed');
      return;
    }
    await takeIdentityEvent(database, found);
    log.info({ event: 'identity-event', outcome: found.kind }, 'taken');
    res.status(202).end();
  });

  router.post('/back-channel-logout', journaled('takeLogoutToken', exchanges));
  router.post('/back-channel-logout', urlencoded({ extended: false, limit: '32kb' }), async (req, res) => {
    const { logout_token: token } = (req.body ?? {}) as Record<string, unknown>;
    const claims = typeof token === 'string' ? await believed(token, 'logout', res) : null;
    const found = claims && logoutIn(claims);
    res.set('cache-control', 'no-store');
    if (!found) {
      res.status(400).json({ error: 'invalid_request' });
      return;
    }
    await takeIdentityEvent(database, found);
    log.info({ event: 'identity-event', outcome: found.kind }, 'taken');
    res.status(200).end();
  });
  return router;

  /** @returns `null` for what is not the provider's word to us */
  async function believed(token: string, kind: 'event' | 'logout', res: Response): Promise<JWTPayload | null> {
    try {
      const claims = await identityProvider.verifyEvent(token, kind);
      noteKnown(res, { clientId: IDENTITY_PROVIDER });
      return claims;
    } catch (error) {
      if (isUnreachable(error)) {
        const title = 'The staff identity provider does not answer';
        throw new HttpProblem({ status: 503, type: 'unavailable', title, headers: { 'retry-after': '5' } });
      }
      log.warn({ event: 'identity-event', outcome: 'refused', error }, 'refused');
      noteRefusalOf(res, { code: 'credentials' });
      return null;
    }
  }
}

type Found = Parameters<typeof takeIdentityEvent>[1];

/** The gravest of the events of a token decides. Subjects as RFC 9493 has them, beside the events or within. */
function eventIn({ iss = '', jti = '', sub_id: subjectId, events }: JWTPayload): Found | null {
  const parsed = Events.safeParse(events);
  if (!parsed.success || Object.keys(parsed.data).length === 0 || !ID_FORMAT.test(jti)) return null;
  const kinds = Object.keys(parsed.data).map((uri) => KINDS[uri] ?? 'other');
  const kind = kinds.includes('left') ? 'left' : kinds.includes('signed-out') ? 'signed-out' : 'other';
  const beside = Subject.safeParse(subjectId);
  const within = Object.values(parsed.data).find(({ subject }) => subject !== undefined)?.subject;
  const subject = beside.success ? beside.data : within;
  // Another issuer's account is not this one's to speak of.
  if (subject?.iss !== undefined && subject.iss !== iss) return null;
  if (kind !== 'other' && subject === undefined) return null;
  return { issuer: iss, eventId: jti, kind, subject: subject?.sub ?? null };
}

/** A logout token has `sub` here, as sessions are found by it, and never a nonce (section 2.4). */
function logoutIn({ iss = '', jti = '', sub, nonce, events }: JWTPayload): Found | null {
  const parsed = Events.safeParse(events);
  if (!parsed.success || !Object.hasOwn(parsed.data, LOGOUT) || nonce !== undefined) return null;
  if (!ID_FORMAT.test(jti) || sub === undefined || !ID_FORMAT.test(sub)) return null;
  return { issuer: iss, eventId: jti, kind: 'signed-out', subject: sub };
}

/** RFC 8935, section 2.3. */
function refuse(res: Response, err: 'invalid_request' | 'authentication_failed'): void {
  res.status(400).json({ err, description: 'The security event token is not usable.' });
}
