import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import type { JWK } from 'jose';

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWS with whatever header: libraries refuse to make the ones that matter here (RFC 7515, section 7.1). */
export function jws(header: object, payload: object, signature: (input: Buffer) => Buffer): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${signature(Buffer.from(input)).toString('base64url')}`;
}

export const privateKey = (jwk: JWK): KeyObject =>
  createPrivateKey({ key: jwk as Record<string, string>, format: 'jwk' });

export const eddsa =
  (key: KeyObject) =>
  (input: Buffer): Buffer =>
    sign(null, input, key);
