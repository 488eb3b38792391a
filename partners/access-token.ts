/** A token from a partner's authorization server and until when it may be used. */
export type AccessToken = { readonly value: string; readonly usableUntilMs: number };

export type TokenCache = {
  /** The current token; fetched once however many callers wait. */
  get(): Promise<string>;
  /** The partner refused this one: the next `get` fetches another. */
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
  let fetching: Promise<AccessToken> | undefined;
  return {
    async get() {
      if (current && current.usableUntilMs > now()) return current.value;
      fetching ??= fetch().finally(() => (fetching = undefined));
      current = await fetching;
      return current.value;
    },
    reject(token) {
      if (current?.value === token) current = undefined;
    },
  };
}

/** @param expiresInS `expires_in` of the token answer, seconds */
export const usableUntil = (expiresInS: number, nowMs: number): number =>
  nowMs + Math.max(expiresInS * 1_000 - TOKEN_MARGIN_MS, Math.min(expiresInS * 500, TOKEN_MARGIN_MS));
