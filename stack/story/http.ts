import { setTimeout as pause } from 'node:timers/promises';
import { Agent, fetch, type RequestInit } from 'undici';

export type Answer = { readonly status: number; readonly body: Record<string, unknown> };

/** How long a story waits for a process that was ended and comes back. */
export const KEEP_TRYING_MS = 60_000;

/**
 * Speaks HTTP as a careful client does: a connection that fails, or a 5xx that is no final word, is tried again with
 * the very same request, whose Idempotency-Key makes that harmless.
 *
 * @param caPem certificate authority to trust, and no other; `null` for plain HTTP on the loopback
 * @param keepTryingMs 0: what fails once has failed
 */
export function createClient(caPem: string | null, keepTryingMs = KEEP_TRYING_MS) {
  const dispatcher = new Agent(caPem === null ? {} : { connect: { ca: caPem } });
  return {
    /** What is no JSON, as it came. */
    async bytes(url: string, init: RequestInit): Promise<Buffer> {
      const response = await fetch(url, { ...init, dispatcher });
      if (!response.ok) throw new Error(`${new URL(url).host} answered ${response.status.toString()}`);
      return Buffer.from(await response.arrayBuffer());
    },
    /** @param makeInit makes each attempt anew: a signature is good once */
    async send(url: string, makeInit: RequestInit | (() => Promise<RequestInit>)): Promise<Answer> {
      const untilMs = Date.now() + keepTryingMs;
      for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 2_000)) {
        const answer = await attempt(url, typeof makeInit === 'function' ? await makeInit() : makeInit);
        if (answer !== null && !isPassing(answer)) return answer;
        if (Date.now() + waitMs > untilMs) throw new Error(`no usable answer from ${new URL(url).host}`);
        await pause(waitMs);
      }
    },
    close: () => dispatcher.close(),
  };

  async function attempt(url: string, init: RequestInit): Promise<Answer | null> {
    try {
      const response = await fetch(url, { ...init, dispatcher });
      const text = await response.text();
      return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
    } catch {
      return null;
    }
  }
}

/** 409 "in progress", 500 and 503 pass; 502 and 504 are the final word on an opening. */
const isPassing = ({ status, body }: Answer): boolean =>
  status === 500 || status === 503 || (status === 409 && String(body['type']).endsWith('request-in-progress'));
