import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/** The key that signs documents which people keep: receipts, certificates, journal heads. Ed25519. */
export type DocumentSigner = { readonly keyId: string; readonly privateKey: KeyObject };

/**
 * A document with its proof, as it is stored and downloaded: the payload is inside of the JWS (RFC 7515, flattened JSON
 * serialization, EdDSA by RFC 8037), and beside it the public key, so that it can be checked offline. Who trusts the
 * document compares that key's thumbprint (RFC 7638) with the one that the company publishes.
 */
export type SignedDocument = {
  readonly payload: string;
  readonly protected: string;
  readonly signature: string;
};

/** @param keyPem Ed25519 private key, PEM */
export function documentSigner(keyPem: string): DocumentSigner {
  const privateKey = createPrivateKey(keyPem);
  return { keyId: thumbprint(createPublicKey(privateKey)), privateKey };
}

/**
 * @param type media type of the payload without `application/`, for example `domovoy-consent-receipt+json`
 * @param content becomes JSON as it stands
 */
export function signDocument({ keyId, privateKey }: DocumentSigner, type: string, content: object): SignedDocument {
  const { crv, x } = createPublicKey(privateKey).export({ format: 'jwk' });
  const header = { alg: 'EdDSA', typ: type, kid: keyId, jwk: { kty: 'OKP', crv, x } };
  const head = base64url(JSON.stringify(header));
  const payload = base64url(JSON.stringify(content));
  const signature = sign(null, Buffer.from(`${head}.${payload}`), privateKey).toString('base64url');
  return { payload, protected: head, signature };
}

export type DocumentCheck =
  | { readonly ok: true; readonly type: string; readonly keyId: string; readonly content: unknown }
  | { readonly ok: false; readonly why: 'not-a-document' | 'algorithm' | 'key' | 'signature' };

/**
 * Checks a document offline with the key that it brings. `keyId` is the key's thumbprint, computed here and not
 * believed: whether that key is the company's is the caller's question.
 */
export function verifyDocument(value: unknown): DocumentCheck {
  const parts = partsOf(value);
  const header = parts && jsonOf(parts.protected);
  if (!parts || !isRecord(header)) return { ok: false, why: 'not-a-document' };
  const { alg, typ, kid, jwk, crit } = header;
  if (alg !== 'EdDSA' || typeof typ !== 'string' || crit !== undefined) return { ok: false, why: 'algorithm' };
  const key = publicKeyOf(jwk);
  if (!key || thumbprint(key) !== kid) return { ok: false, why: 'key' };
  const signed = Buffer.from(`${parts.protected}.${parts.payload}`);
  if (!verify(null, signed, key, Buffer.from(parts.signature, 'base64url'))) return { ok: false, why: 'signature' };
  const content = jsonOf(parts.payload);
  return content === undefined ? { ok: false, why: 'not-a-document' } : { ok: true, type: typ, keyId: kid, content };
}

/** RFC 7638 over the required members of an OKP key, in their order. */
export function thumbprint(publicKey: KeyObject): string {
  const { crv, kty, x } = publicKey.export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url');

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const BASE64URL = /^[\w-]+$/;

/** One spelling of each part only: what is not canonical base64url would let the same signature carry other bytes. */
function partsOf(value: unknown): SignedDocument | null {
  // Whatever else stood beside them would not be signed.
  if (!isRecord(value) || Object.keys(value).length !== 3) return null;
  const { payload, protected: head, signature } = value;
  const all = [payload, head, signature];
  const isCanonical = (part: unknown): part is string =>
    typeof part === 'string' && BASE64URL.test(part) && Buffer.from(part, 'base64url').toString('base64url') === part;
  return all.every(isCanonical)
    ? { payload: payload as string, protected: head as string, signature: signature as string }
    : null;
}

function jsonOf(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

function publicKeyOf(jwk: unknown): KeyObject | null {
  if (!isRecord(jwk) || jwk['kty'] !== 'OKP' || jwk['crv'] !== 'Ed25519' || typeof jwk['x'] !== 'string') return null;
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: jwk['x'] }, format: 'jwk' });
  } catch {
    return null;
  }
}
