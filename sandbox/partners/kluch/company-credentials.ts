import { generateKeyPairSync } from 'node:crypto';
import type { Credentials } from '../company-client';
import { LIFE_S, signRequest, type SigningKey } from './signatures';

/** How `kluch` proves itself to the company: Basic, and a fresh signature for every attempt. */
export function signedCredentials(
  own: () => { readonly username: string; readonly password: string; readonly signing: SigningKey },
  now: () => Date,
): Credentials {
  const basic = (username: string, password: string) =>
    `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  return {
    async headers({ method, url, headers, body }, { tampering }): Promise<Record<string, string>> {
      const { username, password, signing } = own();
      const authorization = basic(username, tampering === 'wrong-credentials' ? `${password}.` : password);
      if (tampering === 'unsigned') return { authorization };
      const { key } = tampering === 'wrong-signature' ? { key: generateKeyPairSync('ed25519').privateKey } : signing;
      const at = tampering === 'expired-signature' ? new Date(now().getTime() - 10 * LIFE_S * 1_000) : now();
      const signed = tampering === 'wrong-digest' && body.length > 0 ? Buffer.concat([body, Buffer.from(' ')]) : body;
      const request = { method, url, headers: Object.entries(headers), body: signed };
      const proof = await signRequest(request, { keyid: signing.keyid, key }, at);
      return tampering === 'no-credentials' ? proof : { authorization, ...proof };
    },
    renew: () => false,
  };
}
