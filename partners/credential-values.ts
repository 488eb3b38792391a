import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { newCertificateRequest } from './client-certificate';
import { PartnerError } from './failure';
import type { SigningKey } from './message-signature';
import type { ReplaceableSecret } from './ports';

const SECRET_BYTES = 32;

/** A new value, of at least 256 random bits. A signing key carries its id, so that the two change together. */
export async function newCredentialValue(name: ReplaceableSecret, id: string): Promise<string> {
  if (name === 'tls-key') return newCertificateRequest(id);
  if (name !== 'signing-key') return randomBytes(SECRET_BYTES).toString('base64url');
  return JSON.stringify({ ...generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }), kid: id });
}

const PrivateJwk = z.looseObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), kid: z.string().min(1) });

/**
 * Our signing key at a partner: a JWK with its own key id, or PEM, which goes by the id in the partner's settings.
 *
 * @throws PartnerError `PartnerUnauthorized` when it cannot be used
 */
export function signingKeyOf(secret: string, keyIdOfPem: string): SigningKey {
  try {
    const isJwk = secret.trimStart().startsWith('{');
    const jwk = isJwk ? PrivateJwk.parse(JSON.parse(secret)) : null;
    const key = jwk ? createPrivateKey({ key: jwk, format: 'jwk' }) : createPrivateKey(secret);
    if (key.asymmetricKeyType === 'ed25519') return { keyId: jwk?.kid ?? keyIdOfPem, key };
  } catch {
    // Falls through: what cannot be read is no key either.
  }
  throw new PartnerError('PartnerUnauthorized', 'Our signing key cannot be used.');
}

export const publicPemOf = (key: KeyObject): string =>
  createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
