import { createPublicKey } from 'node:crypto';
import type { Router } from 'express';
import type { DocumentSigner } from '../vault/document-signature';
import { exactRouter } from './exact-paths';

/**
 * `GET /.well-known/domovoy-document-keys`: a JWK set (RFC 7517) of the keys that sign documents. `kid` is the key's
 * thumbprint (RFC 7638), which `domovoy verify FILE --key` takes: whoever trusts this address trusts what it signed.
 */
export function documentKeyRoutes({ keyId, privateKey }: DocumentSigner): Router {
  const { kty, crv, x } = createPublicKey(privateKey).export({ format: 'jwk' });
  const keys = [{ kty, crv, x, kid: keyId, alg: 'EdDSA', use: 'sig' }];
  const router = exactRouter();
  router.get('/.well-known/domovoy-document-keys', (_req, res) => {
    res.set('cache-control', 'public, max-age=3600').json({ keys });
  });
  return router;
}
