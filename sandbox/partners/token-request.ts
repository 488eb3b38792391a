import type { Request } from 'express';
import { mediaType } from './exchange';

/** An error of a token endpoint (RFC 6749, section 5.2); its body has its own shape in every profile alike. */
export class TokenRefusal extends Error {
  override readonly name = 'TokenRefusal';
  readonly status: number;
  readonly code: string;
  constructor(code: string, status = code === 'invalid_client' ? 401 : 400) {
    super(code);
    this.code = code;
    this.status = status;
  }
}

/** The form of a token request. A parameter that is sent twice is refused (RFC 6749, section 3.2). */
export function tokenForm(req: Request, body: Buffer): ReadonlyMap<string, string> {
  if (mediaType(req) !== 'application/x-www-form-urlencoded') throw new TokenRefusal('invalid_request');
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(body.toString('utf8'))) {
    if (form.has(name)) throw new TokenRefusal('invalid_request');
    if (value !== '') form.set(name, value);
  }
  if (!form.has('grant_type')) throw new TokenRefusal('invalid_request');
  return form;
}

/** Client id and secret of `client_secret_basic`: each form-encoded before the colon joins them (RFC 6749, 2.3.1). */
export function clientSecretBasic(req: Request): { clientId: string; secret: string } {
  const pair = basicPair(req.get('authorization'));
  if (pair === undefined) throw new TokenRefusal('invalid_client');
  try {
    return { clientId: formDecoded(pair.user), secret: formDecoded(pair.password) };
  } catch {
    throw new TokenRefusal('invalid_client');
  }
}

/** User and password of an `Authorization: Basic` header (RFC 7617). */
export function basicPair(authorization: string | undefined): { user: string; password: string } | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(authorization ?? '')?.[1];
  const text = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function formDecoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
