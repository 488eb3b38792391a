import { createPrivateKey, randomUUID } from 'node:crypto';
import { signRequest, type SigningKey } from '../../partners/message-signature';
import { REGISTRY_CLIENT_ID, REGISTRY_KEY_ID } from '../town';
import { createClient, type Answer } from './http';

/** A resident's own demand to be erased, at the moment at which the app's backend has identified them for it. */
export const ownDemand = () => ({
  requestedBy: 'self',
  identification: { method: 'passkey', at: new Date().toISOString(), reference: randomUUID() },
});

/**
 * Plays tenant-smart-home-app, the backend behind the owners' mobile app (R2.9), with an OAuth token of its own, or
 * another backend of the same ways.
 */
export function createAppBackend(options: {
  apiUrl: string;
  caPem: string;
  clientId: string;
  clientSecret: string;
  /** What to ask a token for. */
  scope?: string;
  /** Signs what is posted, for a backend whose client has a key. */
  signing?: SigningKey;
  /** 0: what fails once has failed, where failures are counted. */
  keepTryingMs?: number;
}) {
  const http = createClient(options.caPem, options.keepTryingMs);
  let token: { value: string; untilMs: number } | undefined;

  async function bearer(): Promise<string> {
    if (token && token.untilMs > Date.now()) return token.value;
    const basic = Buffer.from(`${options.clientId}:${options.clientSecret}`).toString('base64');
    const { status, body } = await http.send(`${options.apiUrl}/oauth/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: options.scope ?? 'app' }).toString(),
    });
    if (status !== 200) throw new Error(`the token endpoint answered ${status.toString()}`);
    token = { value: String(body['access_token']), untilMs: Date.now() + (Number(body['expires_in']) - 30) * 1_000 };
    return token.value;
  }

  return {
    async get(path: string): Promise<Answer> {
      return http.send(options.apiUrl + path, { headers: { authorization: `Bearer ${await bearer()}` } });
    },
    async download(path: string): Promise<Buffer> {
      return http.bytes(options.apiUrl + path, { headers: { authorization: `Bearer ${await bearer()}` } });
    },
    /** @param body JSON, a photo as bytes, or JSON Lines as text */
    async post(path: string, body: object | string, key: string = randomUUID()): Promise<Answer> {
      const photo = Buffer.isBuffer(body);
      const bytes = photo ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
      const url = options.apiUrl + path;
      return http.send(url, async () => {
        const headers = {
          authorization: `Bearer ${await bearer()}`,
          'content-type': photo ? 'image/jpeg' : typeof body === 'string' ? 'application/x-ndjson' : 'application/json',
          'idempotency-key': key,
        };
        const message = { method: 'POST', url, headers, body: bytes };
        const signature = options.signing && (await signRequest(message, options.signing, Date.now()));
        return { method: 'POST', headers: { ...headers, ...signature }, body: bytes };
      });
    },
    close: http.close,
  };
}
export type AppBackend = ReturnType<typeof createAppBackend>;

/** Plays the property registry: a token, and a signature over each report. */
export const createRegistryBackend = (options: {
  apiUrl: string;
  caPem: string;
  clientSecret: string;
  signingKeyPem: string;
  keepTryingMs?: number;
}): AppBackend => {
  const { signingKeyPem, ...same } = options;
  return createAppBackend({
    ...same,
    clientId: REGISTRY_CLIENT_ID,
    scope: 'property-sales:report',
    signing: { keyId: REGISTRY_KEY_ID, key: createPrivateKey(signingKeyPem) },
  });
};
