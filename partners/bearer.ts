import type { TokenCache } from './access-token';
import type { HttpAnswer, HttpRequest, PartnerHttp } from './http';
import type { PartnerCall } from './ports';

/** Sends with a token; one that is refused is renewed once, for all callers together, and the call repeated. */
export function authorizedBy(http: PartnerHttp, tokens: TokenCache) {
  return async (request: HttpRequest, call: PartnerCall): Promise<HttpAnswer> => {
    const token = await tokens.get();
    const answer = await http.send(withBearer(request, token), call);
    if (answer.status !== 401) return answer;
    tokens.reject(token);
    return http.send(withBearer(request, await tokens.get()), call);
  };
}

const withBearer = (request: HttpRequest, token: string): HttpRequest => ({
  ...request,
  headers: { ...request.headers, authorization: `Bearer ${token}` },
});
