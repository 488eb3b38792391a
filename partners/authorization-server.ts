import type * as oauth from 'openid-client';
import { PartnerError } from './failure';
import { refuse, type HttpRequest, type PartnerHttp } from './http';
import { notedRequest, type NoteRequest } from './noted-request';
import type { CredentialCheck } from './ports';

/**
 * Requests of the OAuth library over the partner's own sockets, so that bounds, breaker and rate hold for tokens too.
 * No caller's signal: a token is fetched for everybody who waits.
 *
 * @param note told of each request; left out by who is noted itself
 */
export function fetchOver(http: PartnerHttp, note: NoteRequest = () => undefined): oauth.CustomFetch {
  return async (url, { method, headers, body }) => {
    const request: HttpRequest = {
      method: method === 'POST' ? 'POST' : 'GET',
      url: new URL(url),
      headers,
      ...(body != null && { body: bytesOf(body) }),
    };
    const operation = method === 'POST' ? 'token' : 'discover';
    const signal = new AbortController().signal;
    const answer = await notedRequest(note, operation, () => http.send(request, { signal }), nameOf);
    if (answer.status === 429) return refuse(answer);
    const hasBody = answer.status !== 204 && answer.status !== 304;
    return new Response(hasBody ? new Uint8Array(answer.body) : null, {
      status: answer.status,
      headers: { ...answer.headers },
    });
  };
}

const nameOf = (error: unknown): string => (error instanceof PartnerError ? error.type : 'cancelled');

/** The library sends forms only. */
function bytesOf(body: NonNullable<oauth.FetchBody>): Buffer {
  if (body instanceof URLSearchParams || typeof body === 'string') return Buffer.from(body.toString());
  throw new TypeError('A request of the OAuth library has a body of an unknown kind.');
}

/**
 * Whether the authorization server answered, and refused what it was shown. By status: a 401 with a challenge arrives
 * without `error`.
 */
export function isRefusal(error: unknown): boolean {
  const { status } = error as { status?: unknown };
  return status === 400 || status === 401 || status === 403;
}

/**
 * Names what kept a token away. Whatever it was, the call itself was not sent: only names fit that say that nothing can
 * have happened.
 */
export function tokenFailure(error: unknown): PartnerError {
  if (isRefusal(error)) {
    return new PartnerError('PartnerUnauthorized', "The partner's authorization server refused our credentials.");
  }
  const known = partnerErrorIn(error);
  if (known?.type === 'PartnerThrottled' || known?.type === 'PartnerUnauthorized') return known;
  return new PartnerError('PartnerUnreachable', "The partner's authorization server gave no token.");
}

/** The library wraps what its fetch throws. */
function partnerErrorIn(error: unknown): PartnerError | undefined {
  if (error instanceof PartnerError) return error;
  return error instanceof Error && error.cause !== undefined ? partnerErrorIn(error.cause) : undefined;
}

/**
 * Presents the newest secret; when it is refused although a newer one has been stored meanwhile, presents that one. A
 * secret that is refused and still the newest is not presented again: partners lock accounts that guess.
 */
export async function withNewestSecret<T>(
  read: () => Promise<string>,
  present: (secret: string) => Promise<T>,
): Promise<T> {
  const secret = await read();
  try {
    return await present(secret);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const newest = await read();
    if (newest === secret) throw error;
    return present(newest);
  }
}

/**
 * Whether a grant is given for a credential that is only to be tried. That the server itself cannot be asked for its
 * metadata is no refusal of the credential.
 *
 * @throws PartnerError when it was neither given nor refused
 */
export async function accepted(
  configure: () => Promise<oauth.Configuration>,
  grant: (configuration: oauth.Configuration) => Promise<unknown>,
): Promise<CredentialCheck> {
  const configuration = await configure().catch((error: unknown) => {
    throw isRefusal(error)
      ? new PartnerError('PartnerUnreachable', "The partner's authorization server does not describe itself.")
      : tokenFailure(error);
  });
  try {
    await grant(configuration);
    return 'accepted';
  } catch (error) {
    if (isRefusal(error)) return 'refused';
    throw tokenFailure(error);
  }
}
