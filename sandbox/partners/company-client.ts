import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request, type Dispatcher } from 'undici';

/** A call from a partner to the company. */
export type CompanyCall = {
  readonly method: 'GET' | 'POST';
  /** Path and query under the company's base URL. */
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
};

/** How a call is spoilt on purpose, to see what the company does with it. */
export const TAMPERINGS = [
  'no-credentials',
  'wrong-credentials',
  'unsigned',
  'wrong-signature',
  'wrong-digest',
  'expired-signature',
  'replayed',
] as const;
export type Tampering = (typeof TAMPERINGS)[number];

/** `status: null`: no answer came, however often it was asked. */
export type CompanyAnswer = {
  readonly status: number | null;
  readonly body: unknown;
  readonly attempts: number;
  readonly durationMs: number;
  readonly retryAfterS: number | null;
};

/** One attempt's headers, by the partner's way of proving itself. */
export type Credentials = {
  headers(
    call: {
      readonly method: string;
      readonly url: string;
      readonly headers: Record<string, string>;
      readonly body: Buffer;
    },
    how: { readonly tampering: Tampering | undefined },
  ): Promise<Record<string, string>>;
  /** Forgets what may have run out; `false`: there is nothing to forget, asking again is no use. */
  renew(): boolean;
  /** Whether an answer is the company's; left out: whatever comes over the connection is. */
  isOurs?(answer: AnswerOnTheWire, to: SentRequest): Promise<boolean>;
};

/** A request as it was sent, its proof included. */
export type SentRequest = {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};
export type AnswerOnTheWire = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
};

const ATTEMPT_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const PAUSES_MS = [250, 500, 1_000];

export function createCompanyClient(deps: {
  readonly baseUrl: string;
  readonly ca: string;
  readonly clientCertificate?: { readonly cert: string; readonly key: string };
  readonly credentials: (agent: Dispatcher) => Credentials;
}) {
  const agent = new Agent({
    connections: 16,
    headersTimeout: ATTEMPT_TIMEOUT_MS,
    bodyTimeout: ATTEMPT_TIMEOUT_MS,
    maxResponseSize: MAX_ANSWER_BYTES,
    connect: { ca: deps.ca, minVersion: 'TLSv1.2', timeout: 5_000, ...deps.clientCertificate },
  });
  const credentials = deps.credentials(agent);
  const base = deps.baseUrl.replace(/\/$/, '');
  const stopping = new AbortController();

  async function once(
    call: CompanyCall,
    how: { tampering: Tampering | undefined; bearer: string | undefined },
  ): Promise<Pick<CompanyAnswer, 'status' | 'body' | 'retryAfterS'>> {
    const url = `${base}${call.path}`;
    const body = call.body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(call.body));
    const plain: Record<string, string> = {
      accept: 'application/json',
      ...(body.length === 0 ? {} : { 'content-type': 'application/json' }),
      ...(call.idempotencyKey === undefined ? {} : { 'idempotency-key': call.idempotencyKey }),
    };
    const proof =
      how.bearer === undefined
        ? await credentials.headers({ method: call.method, url, headers: plain, body }, how)
        : { authorization: `Bearer ${how.bearer}` };
    const send = () =>
      request(url, {
        dispatcher: agent,
        method: call.method,
        headers: { ...plain, ...proof },
        ...(body.length === 0 ? {} : { body }),
        signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(ATTEMPT_TIMEOUT_MS)]),
      });
    let answer = await send();
    if (how.tampering === 'replayed') {
      await answer.body.dump();
      answer = await send();
    }
    const received = Buffer.from(await answer.body.arrayBuffer());
    const sent = { method: call.method, url, headers: { ...plain, ...proof }, body };
    const { statusCode: status, headers } = answer;
    const isBelieved = (await credentials.isOurs?.({ status, headers, body: received }, sent)) ?? true;
    // Like one that was lost: whoever stands between could have said it.
    if (!isBelieved) throw new Error("the answer is not the company's");
    const text = received.toString();
    const retryAfter = Number(answer.headers['retry-after']);
    return {
      status: answer.statusCode,
      body: parsed(text),
      retryAfterS: Number.isFinite(retryAfter) && retryAfter >= 0 ? retryAfter : null,
    };
  }

  return {
    agent,
    /**
     * Calls the company. A lost answer or a 5xx is asked again with the same `Idempotency-Key`, up to `attempts` times;
     * a 4xx never, except a 401 for an access token that may have run out, once.
     */
    async call(
      call: CompanyCall,
      options: { attempts?: number; tampering?: Tampering; bearer?: string } = {},
    ): Promise<CompanyAnswer> {
      const began = performance.now();
      const limit = options.attempts ?? PAUSES_MS.length + 1;
      let attempts = 0;
      let renewed = false;
      for (;;) {
        attempts += 1;
        const answer = await once(call, { tampering: options.tampering, bearer: options.bearer }).catch(() => ({
          status: null,
          body: null,
          retryAfterS: null,
        }));
        if (answer.status === 401 && !renewed && options.bearer === undefined && options.tampering === undefined) {
          renewed = true;
          if (credentials.renew()) continue;
        }
        const again = answer.status === null || answer.status >= 500;
        if (!again || attempts >= limit || stopping.signal.aborted)
          return { ...answer, attempts, durationMs: Math.round(performance.now() - began) };
        await sleep(PAUSES_MS[attempts - 1] ?? 1_000, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    },
    async close(): Promise<void> {
      stopping.abort();
      await agent.destroy();
    },
  };
}
export type CompanyClient = ReturnType<typeof createCompanyClient>;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
