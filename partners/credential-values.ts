import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { certificateRequestOf, newCertificateRequest } from './client-certificate';
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

/** What a person brings to a partner: what the partner would have been sent if it had an interface for credentials. */
export type CarriedCredential = {
  readonly value: string;
  /** By which our messages will name a signing key. */
  readonly keyId?: string;
};

/**
 * What of a secret that we show a partner may leave: a shared secret as it is, of a pair of keys never the private one
 * (R0.13, R4.4).
 *
 * @param name of the secret; any that is unknown is refused
 * @throws PartnerError for what has no part that could be carried
 */
export function carriedPartOf(name: string, secret: string): CarriedCredential {
  switch (name) {
    case 'signing-key': {
      const { key, keyId } = signingKeyOf(secret, '');
      return { value: publicPemOf(key), keyId };
    }
    case 'tls-key':
      return { value: certificateRequestOf(secret) };
    case 'basic-password':
    case 'client-secret':
    case 'password':
      return { value: secret };
    default:
      throw new PartnerError('PartnerRejected', 'This secret is carried by nobody.');
  }
}
