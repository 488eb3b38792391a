import { createPrivateKey, createPublicKey } from 'node:crypto';
import { carriedPartOf, newCredentialValue, publicPemOf, signingKeyOf } from './credential-values';
import { REPLACEABLE_SECRETS } from './ports';

describe('what a person carries to a partner', () => {
  it.each(['basic-password', 'client-secret', 'password'] as const)(
    'of a %s is the secret that both know',
    async (name) => {
      const secret = await newCredentialValue(name, 'id-2');
      expect(carriedPartOf(name, secret)).toEqual({ value: secret });
    },
  );

  it('of a signing key is the public key, and the id that our messages name', async () => {
    const secret = await newCredentialValue('signing-key', 'domovoy-signing-key-2');
    const { value, keyId } = carriedPartOf('signing-key', secret);
    expect(keyId).toBe('domovoy-signing-key-2');
    expect(value).toBe(publicPemOf(signingKeyOf(secret, 'unused').key));
    expect(createPublicKey(value).asymmetricKeyType).toBe('ed25519');
  });

  it.each(['signing-key', 'tls-key'] as const)('of a %s holds nothing private', async (name) => {
    const { value } = carriedPartOf(name, await newCredentialValue(name, 'id-2'));
    expect(value).toMatch(/^-----BEGIN (PUBLIC KEY|CERTIFICATE REQUEST)-----/);
    expect(value).not.toContain('PRIVATE');
    expect(() => createPrivateKey(value)).toThrow();
  });

  it('is decided for every secret that is replaced, and refused for any other', () => {
    expect(REPLACEABLE_SECRETS).toEqual(['basic-password', 'signing-key', 'client-secret', 'password', 'tls-key']);
    expect(() => carriedPartOf('billing-secret', 'secret')).toThrow('carried by nobody');
  });
});
