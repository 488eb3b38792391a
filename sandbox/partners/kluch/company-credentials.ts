import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { request, type Dispatcher } from 'undici';
import { z } from 'zod';
import type { AnswerOnTheWire, Credentials } from '../company-client';
import { isAnswerTo, LIFE_S, signRequest, type SigningKey } from './signatures';

/** As long as the company lets its keys be kept. */
const KEEP_KEYS_MS = 300_000;

/** How `kluch` proves itself to the company, Basic and a fresh signature for every attempt, and whom it believes. */
export function signedCredentials(
  own: () => { readonly username: string; readonly password: string; readonly signing: SigningKey },
  now: () => Date,
  companyKeys?: (keyid: string) => Promise<ReadonlyMap<string, KeyObject>>,
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
    // What is refused before it is known who asks is signed by nobody.
    ...(companyKeys && {
      isOurs: async (answer, sent) =>
        (answer.status >= 400 && answer.headers['signature'] === undefined) ||
        isAnswerTo(
          { ...sent, headers: Object.entries(sent.headers) },
          { ...answer, headers: lines(answer.headers) },
          await companyKeys(keyIdOf(answer)),
          now(),
        ),
    }),
  };
}

const lines = (headers: AnswerOnTheWire['headers']): [string, string][] =>
  Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): [string, string] => [name, each]),
  );

/** Which key an answer says to be signed with; that it is one of the company's is found out after. */
const keyIdOf = ({ headers }: AnswerOnTheWire): string =>
  /;keyid="([^"]*)"/.exec(String(headers['signature-input'] ?? ''))?.[1] ?? '';

const KeySet = z.object({
  keys: z.array(z.object({ kid: z.string(), kty: z.string(), crv: z.string(), x: z.string() })),
});

/** The keys that the company publishes, looked up anew when one is named that was not among them, or time has passed. */
export function publishedKeys(
  agent: Dispatcher,
  url: string,
  now: () => Date,
): (keyid: string) => Promise<ReadonlyMap<string, KeyObject>> {
  let kept: { readonly keys: ReadonlyMap<string, KeyObject>; readonly untilMs: number } | undefined;
  return async (keyid) => {
    if (kept !== undefined && kept.untilMs > now().getTime() && kept.keys.has(keyid)) return kept.keys;
    const answer = await request(url, { dispatcher: agent });
    const { keys } = KeySet.parse(await answer.body.json());
    const imported = keys.map(({ kid, ...jwk }) => [kid, createPublicKey({ key: jwk, format: 'jwk' })] as const);
    kept = { keys: new Map(imported), untilMs: now().getTime() + KEEP_KEYS_MS };
    return kept.keys;
  };
}
