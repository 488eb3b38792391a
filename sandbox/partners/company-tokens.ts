import { request, type Dispatcher } from 'undici';
import { z } from 'zod';
import type { Credentials } from './company-client';

const TokenAnswer = z.object({ access_token: z.string().min(1), expires_in: z.number().positive() });
/** A token is not used in its last seconds: it would run out on the way. */
const MARGIN_MS = 30_000;
const TIMEOUT_MS = 10_000;

/** The company's token endpoint did not give a token. */
export class NoToken extends Error {
  override readonly name = 'NoToken';
  readonly status: number;
  readonly body: unknown;
  constructor(status: number, body: unknown) {
    super(`the token endpoint answered ${String(status)}`);
    this.status = status;
    this.body = body;
  }
}

/** How this partner asks the company's token endpoint. */
export type TokenClient = {
  readonly tokenUrl: string;
  readonly resource: string;
  /** Headers and form members that prove the client. */
  readonly proof: { readonly headers: Record<string, string>; readonly form: Record<string, string> };
};

/** `client_secret_basic` (RFC 6749, 2.3.1). */
export function basicProof(clientId: string, secret: string): TokenClient['proof'] {
  const pair = `${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`;
  return { headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }, form: {} };
}

/** One token request; `extra` is what variant A adds. Throws {@link NoToken} when there is an answer without a token. */
export async function requestToken(
  agent: Dispatcher,
  client: TokenClient,
  extra: Record<string, string> = {},
): Promise<{ token: string; expiresInMs: number }> {
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    resource: client.resource,
    ...client.proof.form,
    ...extra,
  });
  const answer = await request(client.tokenUrl, {
    dispatcher: agent,
    method: 'POST',
    headers: {
      ...client.proof.headers,
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
    },
    body: form.toString(),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const body: unknown = await answer.body.json().catch(() => null);
  const parsed = TokenAnswer.safeParse(body);
  if (answer.statusCode !== 200 || !parsed.success) throw new NoToken(answer.statusCode, body);
  return { token: parsed.data.access_token, expiresInMs: parsed.data.expires_in * 1_000 };
}

/** Bearer tokens, kept until shortly before they run out and asked for once however many calls wait. */
export function bearerCredentials(agent: Dispatcher, client: () => TokenClient): Credentials {
  let cached: { token: Promise<string>; goodUntil: number } | undefined;

  function token(): Promise<string> {
    if (cached !== undefined && cached.goodUntil > performance.now()) return cached.token;
    const asking = requestToken(agent, client());
    const entry = { token: asking.then((answer) => answer.token), goodUntil: Number.POSITIVE_INFINITY };
    cached = entry;
    asking.then(
      ({ expiresInMs }) => {
        entry.goodUntil = performance.now() + Math.max(1_000, expiresInMs - MARGIN_MS);
      },
      () => {
        if (cached === entry) cached = undefined;
      },
    );
    return entry.token;
  }

  return {
    headers: async (_call, { tampering }): Promise<Record<string, string>> => {
      if (tampering === 'no-credentials') return {};
      if (tampering === undefined || tampering === 'replayed') return { authorization: `Bearer ${await token()}` };
      // The right token with another signature, whatever the tampering is called.
      const [header = '', payload = ''] = (await token()).split('.');
      return { authorization: `Bearer ${header}.${payload}.${'A'.repeat(86)}` };
    },
    renew: () => {
      cached = undefined;
      return true;
    },
  };
}
