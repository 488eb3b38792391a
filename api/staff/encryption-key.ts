import { CompactEncrypt, importJWK, type CryptoKey, type JWK } from 'jose';
import { z } from 'zod';
import { invalidField } from '../problem';

const Base64url = z.string().regex(/^[\w-]{1,1024}$/);
/** At least 2048 bits (NIST SP 800-131A), and no leading zero byte: RFC 7518, 6.3.1.1, wants the fewest bytes. */
const Modulus = Base64url.refine(hasEnoughBits, 'must have 2048 bits or more, without leading zeros');

/** Public keys only: a private part that is sent along is refused, not dropped. */
export const PublicJwk = z
  .discriminatedUnion('kty', [
    z.strictObject({ kty: z.literal('EC'), crv: z.enum(['P-256', 'P-384', 'P-521']), x: Base64url, y: Base64url }),
    z.strictObject({ kty: z.literal('OKP'), crv: z.literal('X25519'), x: Base64url }),
    z.strictObject({ kty: z.literal('RSA'), n: Modulus, e: z.literal('AQAB') }),
  ])
  .meta({
    id: 'PublicEncryptionKey',
    description: 'A public key as JWK (RFC 7517) of whoever takes the credential in',
  });

type EncryptionKey = { readonly alg: 'RSA-OAEP-256' | 'ECDH-ES+A256KW'; readonly key: CryptoKey | Uint8Array };

/**
 * A key that something can be sealed for: it is tried, because what is wrong with some keys shows with their first use
 * only (an even modulus; a point of X25519 that gives no shared secret, RFC 7748, 6.1).
 *
 * @throws HttpProblem 400 for any other
 */
export async function encryptionKeyOf(jwk: z.infer<typeof PublicJwk>): Promise<EncryptionKey> {
  const alg = jwk.kty === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW';
  try {
    const key = { alg, key: await importJWK(jwk as JWK, alg) } as const;
    await seal('-', key);
    return key;
  } catch {
    throw invalidField('publicKey', 'is no usable key');
  }
}

export const seal = (text: string, { alg, key }: EncryptionKey): Promise<string> =>
  new CompactEncrypt(Buffer.from(text)).setProtectedHeader({ alg, enc: 'A256GCM' }).encrypt(key);

function hasEnoughBits(modulus: string): boolean {
  const bytes = Buffer.from(modulus, 'base64url');
  const first = bytes[0] ?? 0;
  return first > 0 && (bytes.length - 1) * 8 + (32 - Math.clz32(first)) >= 2048;
}
