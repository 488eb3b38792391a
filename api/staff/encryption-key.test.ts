import { generateKeyPairSync, type JsonWebKey } from 'node:crypto';
import { HttpProblem, invalidField } from '../problem';
import { encryptionKeyOf, PublicJwk, seal } from './encryption-key';

const jwk = (pair: { publicKey: { export(options: { format: 'jwk' }): JsonWebKey } }): JsonWebKey =>
  pair.publicKey.export({ format: 'jwk' });
const rsa = (modulusLength: number): Record<string, unknown> => jwk(generateKeyPairSync('rsa', { modulusLength }));
const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const modulusOf = (key: Record<string, unknown>): Buffer => Buffer.from(String(key['n']), 'base64url');

/** As the operation takes it: by its schema, and then by trying it. */
const take = async (key: unknown) => {
  const parsed = PublicJwk.safeParse(key);
  if (!parsed.success) throw invalidField('publicKey', 'is refused by the schema');
  return encryptionKeyOf(parsed.data);
};

describe('a public key that a credential is sealed for', () => {
  it.each([
    ['P-256', () => jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }))],
    ['X25519', () => jwk(generateKeyPairSync('x25519'))],
    ['RSA of 2048 bits', () => rsa(2048)],
  ])('may be %s', async (_name, key) => {
    expect((await seal('text', await take(key()))).split('.')).toHaveLength(5);
  });

  const good = rsa(2048);
  const even = modulusOf(good);
  even.writeUInt8(even.readUInt8(255) & 0xfe, 255);
  it.each<[string, unknown]>([
    ['a modulus of zeros', { ...good, n: base64url(Buffer.alloc(256)) }],
    [
      'a small modulus behind zeros',
      { ...good, n: base64url(Buffer.concat([Buffer.alloc(128), modulusOf(rsa(1024))])) },
    ],
    [
      'a modulus of 2047 bits',
      { ...good, n: base64url(Buffer.concat([Buffer.of(0x7f), modulusOf(good).subarray(1)])) },
    ],
    ['an even modulus', { ...good, n: base64url(even) }],
    ['an X25519 point of zeros', { kty: 'OKP', crv: 'X25519', x: base64url(Buffer.alloc(32)) }],
    ['an X25519 point of small order', { kty: 'OKP', crv: 'X25519', x: base64url(Buffer.of(1, ...Buffer.alloc(31))) }],
    ['an X25519 point that is cut off', { kty: 'OKP', crv: 'X25519', x: 'AAAA' }],
    [
      'a point that is on no curve',
      { kty: 'EC', crv: 'P-256', x: base64url(Buffer.alloc(32, 1)), y: base64url(Buffer.alloc(32)) },
    ],
  ])('is refused as the input that it is when it has %s', async (_name, key) => {
    await expect(take(key)).rejects.toBeInstanceOf(HttpProblem);
  });
});
