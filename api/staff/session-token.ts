import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { CookieOptions, Request } from 'express';
import { networkOf } from '../network';

/** `__Host-`: only over TLS, only from this very host, for every path (RFC 6265bis, section 4.1.3.2). */
export const SESSION_COOKIE = '__Host-domovoy-staff';
/** Holds a sign-in together with the browser that began it, while the person is at the identity provider. */
export const SIGN_IN_COOKIE = '__Host-domovoy-sign-in';

export const COOKIE_OPTIONS = {
  secure: true,
  httpOnly: true,
  sameSite: 'lax',
  path: '/',
} as const satisfies CookieOptions;

export const newToken = (): string => randomBytes(32).toString('base64url');

/** What is kept of a session's token: it is random, so no slow hash. */
export const tokenSha256 = (token: string): string => createHash('sha256').update(token).digest('hex');

/**
 * What only a page of ours can send along: it is told in an answer that other sites cannot read, while the cookie is
 * sent whoever asks. Made of the token, so that it belongs to the session and ends with it.
 */
export const csrfTokenOf = (token: string): string => derived(token, 'csrf');

/**
 * What a session is bound to besides its cookie (R4.8): what the browser says of itself, and the network that it comes
 * from. Kept as a keyed hash, which also differs from session to session: nobody's network is read off it.
 */
export function browserOf(key: Buffer, token: string, req: Pick<Request, 'get' | 'socket'>): string {
  const shown = JSON.stringify([token, networkOf(req.socket.remoteAddress), req.get('user-agent') ?? null]);
  return createHmac('sha256', key).update(`staff-session\n${shown}`).digest('base64url');
}

/** Another secret made of one, told apart by its purpose. */
export const derived = (secret: string, purpose: string): string =>
  createHash('sha256').update(`${purpose}\n${secret}`).digest('base64url');

/** @returns the cookie's value; nothing when it is there twice, which a browser does not do with `__Host-` */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '').split(';').flatMap((pair) => {
    const at = pair.indexOf('=');
    return at > 0 && pair.slice(0, at).trim() === name ? [pair.slice(at + 1).trim()] : [];
  });
  return values.length === 1 ? values[0] : undefined;
}
