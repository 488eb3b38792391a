import type { TokenCache } from './access-token';
import { PartnerError } from './failure';
import type { HttpAnswer, HttpRequest, PartnerHttp } from './http';
import type { NoteRequest } from './noted-request';
import type { PartnerCall } from './ports';

/**
 * Sends with a token; one that is refused is renewed once, for all callers together, and the call repeated. The caller's
 * time covers token, call and repetition together.
 *
 * @param note told of a request whose token was refused; the other one is what the operation is noted for
 */
export function authorizedBy(http: PartnerHttp, tokens: TokenCache, note: NoteRequest = () => undefined) {
  return async (request: HttpRequest, call: PartnerCall): Promise<HttpAnswer> => {
    const left = countdown(call);
    const token = await tokens.get(left());
    const startedMs = performance.now();
    const answer = await http.send(withBearer(request, token), left());
    if (answer.status !== 401) return answer;
    note('token-refused', 'PartnerUnauthorized', performance.now() - startedMs);
    tokens.reject(token);
    return http.send(withBearer(request, await tokens.get(left())), left());
  };
}

/**
 * For a call that takes more than one request.
 *
 * @returns a function that gives the call with the time that is left of it now; it throws PartnerError
 *   `PartnerUnreachable` when there is none, so that nothing more is sent
 */
export function countdown(call: PartnerCall): () => PartnerCall {
  const { timeoutMs } = call;
  if (timeoutMs === undefined) return () => call;
  const endMs = performance.now() + timeoutMs;
  return () => {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) throw new PartnerError('PartnerUnreachable', 'The time of the call was over before it was sent.');
    return { ...call, timeoutMs: leftMs };
  };
}

const withBearer = (request: HttpRequest, token: string): HttpRequest => ({
  ...request,
  headers: { ...request.headers, authorization: `Bearer ${token}` },
});
