import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import type { ApiSettings } from '../../config/environment';
import type { Logger } from '../../config/logger';
import { SESSION_LIFE_S, STEP_UP_S } from '../../contracts/staff';
import type { Database } from '../../prisma/database';
import { HttpProblem } from '../problem';
import { callbackUrl, isUnreachable, type IdentityProvider, type SignInSecret } from './identity-provider';
import { beginSession, type SignInRefusal } from './members';
import { browserOf, COOKIE_OPTIONS, cookieOf, newToken, SESSION_COOKIE, SIGN_IN_COOKIE } from './session-token';

type Dependencies = {
  readonly database: Database;
  readonly settings: ApiSettings;
  readonly hiddenIdKey: Buffer;
  readonly identityProvider: IdentityProvider;
  readonly log: Logger;
};

/** A person may take this long at the identity provider. */
const SIGN_IN_WITHIN_MS = 10 * 60_000;

const LoginQuery = z.strictObject({ stepUp: z.literal('true').optional() });

/** `GET /staff/login` and `/staff/callback`: the way of a browser to a session (R4.8, R4.9). */
export function signInRoutes(deps: Dependencies): Router {
  const { database, settings, hiddenIdKey, identityProvider, log } = deps;
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/staff/login', async (req, res) => {
    const { stepUp } = LoginQuery.parse(req.query);
    const signIn = { secret: newToken(), maxAgeS: stepUp === undefined ? SESSION_LIFE_S : STEP_UP_S };
    const url = await identityProvider.authorizationUrl(signIn).catch(answerUnreachable);
    res.cookie(SIGN_IN_COOKIE, `${signIn.maxAgeS.toString()}.${signIn.secret}`, {
      ...COOKIE_OPTIONS,
      maxAge: SIGN_IN_WITHIN_MS,
    });
    res.set('cache-control', 'no-store').redirect(303, url.href);
  });

  router.get('/staff/callback', async (req, res) => {
    const signIn = signInOf(req);
    res.clearCookie(SIGN_IN_COOKIE, COOKIE_OPTIONS).set('cache-control', 'no-store');
    const signedIn = signIn === null ? null : await conclude(req, signIn);
    if (signedIn === null) {
      refuse(res, 400, 'not-concluded');
      return;
    }
    const earlierToken = cookieOf(req.get('cookie'), SESSION_COOKIE);
    const begun = await beginSession(database, settings, signedIn, earlierToken, (token) =>
      browserOf(hiddenIdKey, token, req),
    );
    if ('refusal' in begun) {
      log.warn({ event: 'staff-sign-in', outcome: 'refused', code: begun.refusal }, 'refused');
      refuse(res, 403, begun.refusal);
      return;
    }
    log.info({ event: 'staff-sign-in', outcome: 'signed-in' }, 'signed in');
    res.cookie(SESSION_COOKIE, begun.token, { ...COOKIE_OPTIONS, expires: begun.expiresAt });
    res.redirect(303, settings.STAFF_HOME);
  });
  return router;

  /** @returns null when what came back is not to be believed: forged, late, used before, or refused there */
  async function conclude(req: Request, signIn: SignInSecret) {
    const callback = callbackUrl(settings);
    callback.search = new URL(req.originalUrl, settings.API_PUBLIC_URL).search;
    try {
      return await identityProvider.conclude(callback, signIn);
    } catch (error) {
      if (isUnreachable(error)) return answerUnreachable();
      log.warn({ event: 'staff-sign-in', outcome: 'refused', code: 'not-concluded', error }, 'refused');
      return null;
    }
  }
}

function signInOf(req: Request): SignInSecret | null {
  const [, maxAge, secret] = /^(\d{1,6})\.([\w-]{43})$/.exec(cookieOf(req.get('cookie'), SIGN_IN_COOKIE) ?? '') ?? [];
  return maxAge === undefined || secret === undefined ? null : { maxAgeS: Number(maxAge), secret };
}

function answerUnreachable(): never {
  throw new HttpProblem({
    status: 503,
    type: 'unavailable',
    title: 'The staff identity provider does not answer',
    headers: { 'retry-after': '5' },
  });
}

/** Why there is no session, to the person who wanted one. */
const REFUSALS: Readonly<Record<SignInRefusal | 'not-concluded', string>> = {
  'second-factor-missing':
    'A second factor is required here, and the identity provider did not say that yours was checked. ' +
    'Set up an authenticator app for your account, then sign in again.',
  'no-role': 'Your account has no role here. Ask who manages access for one.',
  disabled: 'Your access was taken away. Ask who manages access.',
  'not-concluded': 'The sign-in was not concluded: it was cancelled, took too long, or began in another browser.',
};

/** Nothing of the request is on the page. */
function refuse(res: Response, status: number, why: keyof typeof REFUSALS): void {
  res.status(status).type('html').send(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Not signed in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>You are not signed in</h1><p id="${why}">${REFUSALS[why]}</p>
<p><a href="/staff/login">Sign in</a></p></main></body></html>`);
}
