import { createPublicKey } from 'node:crypto';
import type { Router } from 'express';
import type { JWK } from 'jose';
import type { DocumentSigner } from '../vault/document-signature';
import { exactRouter } from './exact-paths';

/** What may be kept for so long is signed with only when it has been published for longer (TOKEN_KEY_LEAD_MINUTES). */
const MESSAGE_KEYS_FOR_S = 300;

/**
 * `GET /.well-known/domovoy-document-keys`: a JWK set (RFC 7517) of the keys that sign documents. `kid` is the key's
 * thumbprint (RFC 7638), which `domovoy verify FILE --key` takes: whoever trusts this address trusts what it signed.
 *
 * `GET /.well-known/domovoy-message-keys`: a JWK set of the keys that our answers to partners of profile `basic-signed`
 * are signed with (R0.8); `kid` is the `keyid` of the signature (RFC 9421). It has the next key before it signs, and a
 * key that is over is not in it.
 */
export function publicKeyRoutes({ keyId, privateKey }: DocumentSigner, messageKeys: () => readonly JWK[]): Router {
  const documentKey = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: keyId };
  const router = exactRouter();
  router.get('/.well-known/domovoy-document-keys', (_req, res) => {
    res.set('cache-control', 'public, max-age=3600').json({ keys: [published(documentKey)] });
  });
  router.get('/.well-known/domovoy-message-keys', (_req, res) => {
    const keys = messageKeys().map(published);
    res.set('cache-control', `public, max-age=${MESSAGE_KEYS_FOR_S.toString()}`).json({ keys });
  });
  return router;
}

/** Named one by one: what is not said to be public stays here. */
const published = ({ kty, crv, x, kid }: JWK) => ({ kty, crv, x, kid, alg: 'EdDSA', use: 'sig' });
