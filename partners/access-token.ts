import { PartnerError } from './failure';

/** A token from a partner's authorization server and until when it may be used. */
export type AccessToken = { readonly value: string; readonly usableUntilMs: number };

/** How long one caller waits: until it is cancelled or its own time is over. */
export type TokenWait = { readonly signal: AbortSignal; readonly timeoutMs?: number };

export type TokenCache = {
  /**
   * The current token; fetched once however many callers wait.
   *
   * @throws PartnerError `PartnerUnreachable` when the caller's time is over: nothing was sent; its abort reason when it
   *   was cancelled; else whatever the fetch threw
   */
  get(wait: TokenWait): Promise<string>;
  /** The partner refused this one: the next `get` fetches another. A token that was replaced meanwhile is left alone. */
  reject(token: string): void;
};

/** How long before its end a token is no longer used: it must outlive the request that carries it. */
export const TOKEN_MARGIN_MS = 30_000;

/**
 * Keeps one token. A fetch that fails is not remembered; a caller that gives up does not end the fetch for the others,
 * which is why `fetch` gets no caller's signal.
 */
export function createTokenCache(fetch: () => Promise<AccessToken>, now: () => number = Date.now): TokenCache {
  let current: AccessToken | undefined;
  let fetching: Promise<string> | undefined;

  async function renew(): Promise<string> {
    try {
      current = await fetch();
      return current.value;
    } finally {
      fetching = undefined;
    }
  }

  return {
    async get(wait) {
      wait.signal.throwIfAborted();
      if (current && current.usableUntilMs > now()) return current.value;
      return patiently((fetching ??= renew()), wait);
    },
    reject(token) {
      if (current?.value === token) current = undefined;
    },
  };
}

/** Waits for a shared promise on one caller's own terms. */
function patiently(shared: Promise<string>, { signal, timeoutMs }: TokenWait): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => settle(() => reject(late())), Math.max(timeoutMs, 0));
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    const settle = (how: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      how();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    shared.then(
      (token) => settle(() => resolve(token)),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error('The token fetch failed.'))),
    );
  });
}

const late = (): PartnerError =>
  new PartnerError('PartnerUnreachable', "No token came from the partner's authorization server in time.");

/** @param expiresInS `expires_in` of the token answer, seconds */
export const usableUntil = (expiresInS: number, nowMs: number): number =>
  nowMs + Math.max(expiresInS * 1_000 - TOKEN_MARGIN_MS, Math.min(expiresInS * 500, TOKEN_MARGIN_MS));
