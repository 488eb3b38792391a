import { Agent, errors, request, type Dispatcher } from 'undici';
import type { ZodType } from 'zod';
import { correlation, idToldTo } from '../config/correlation';
import { SERVER_TLS } from '../config/tls';
import { PartnerError } from './failure';
import type { PartnerCall } from './ports';

/** Answers are small documents; a partner that sends more is cut off. */
const MAX_ANSWER_BYTES = 1_000_000;
const LONGEST_RETRY_AFTER_MS = 3_600_000;
const LONGEST_CONNECT_MS = 3_000;
/** undici's clock for time-outs ticks twice a second: what it measures may end that much too early. */
const UNDICI_TICK_MS = 500;

export type HttpRequest = {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
};

export type HttpAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

/** What ends one attempt: the caller, or its time. */
export type Attempt = Pick<PartnerCall, 'signal' | 'timeoutMs'>;

export type PartnerHttp = {
  /**
   * One attempt. Resolves with whatever was answered, whole and bounded.
   *
   * @throws PartnerError `PartnerUnreachable` when nothing was sent, `PartnerUnavailable` when it may have arrived,
   *   `PartnerMisanswered` for an answer that is too large or not HTTP, `PartnerUnauthorized` when our certificate was
   *   refused; the abort reason when the caller gave up
   */
  send(request: HttpRequest, attempt: Attempt): Promise<HttpAnswer>;
  /** Waits for what is under way, which is bounded in time, and closes the sockets. */
  close(): Promise<void>;
};

/**
 * Sockets towards one partner and nobody else: its certificate authority pinned, TLS 1.2 or newer, no redirects, no
 * compression, bounded in number, time and size. The number of sockets is also the bulkhead: a partner that hangs
 * fills its own and no other's.
 */
export function createPartnerHttp(options: {
  /** Who is called. */
  receiver: string;
  caPem: string;
  timeoutMs: number;
  maxConnections: number;
  clientCertificate?: { readonly cert: string; readonly key: string };
}): PartnerHttp {
  const { receiver, caPem, timeoutMs, maxConnections, clientCertificate } = options;
  const agent = new Agent({
    connections: maxConnections,
    pipelining: 1,
    keepAliveTimeout: 30_000,
    // Every attempt has a time of its own, measured exactly.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: MAX_ANSWER_BYTES,
    connect: {
      ca: caPem,
      rejectUnauthorized: true,
      // Every connection looks at the partner's certificate anew: a resumed session would not see that it has run out.
      maxCachedSessions: 0,
      timeout: Math.min(timeoutMs, LONGEST_CONNECT_MS) + UNDICI_TICK_MS,
      minVersion: SERVER_TLS.minVersion,
      ciphers: SERVER_TLS.ciphers,
      ecdhCurve: SERVER_TLS.ecdhCurve,
      ...clientCertificate,
    },
  });
  let closing: Promise<void> | undefined;
  return {
    close: () => (closing ??= agent.close()),
    async send({ method, url, headers, body }, attempt) {
      const boundMs = Math.min(timeoutMs, attempt.timeoutMs ?? timeoutMs);
      const { signal, end } = bounded(attempt.signal, boundMs);
      let sent = false;
      const exchange = async (): Promise<HttpAnswer> => {
        const answer = await request(url, {
          method,
          headers: {
            accept: 'application/json',
            'accept-encoding': 'identity',
            ...correlationHeaders(receiver),
            ...headers,
          },
          body: body ?? null,
          signal,
          dispatcher: agent.compose(
            (dispatch) => (options, handler) =>
              dispatch(
                options,
                noticingStart(handler, () => (sent ||= !signal.aborted)),
              ),
          ),
        });
        const bytes = Buffer.from(await answer.body.arrayBuffer());
        return { status: answer.statusCode, headers: flat(answer.headers), body: bytes };
      };
      try {
        return await unlessAborted(exchange(), signal);
      } catch (error) {
        attempt.signal.throwIfAborted();
        throw transportFailure(error, sent);
      } finally {
        end();
      }
    },
  };
}

/**
 * The time of one attempt and its caller's signal as one. A time-out of AbortSignal's own would go on after the answer, and
 * end in an error that nobody waits for.
 */
function bounded(caller: AbortSignal, withinMs: number): { signal: AbortSignal; end: () => void } {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error('Its time is over.')), Math.max(1, Math.ceil(withinMs)));
  const giveUp = (): void => controller.abort(caller.reason);
  if (caller.aborted) giveUp();
  else caller.addEventListener('abort', giveUp, { once: true });
  const end = (): void => {
    clearTimeout(timer);
    caller.removeEventListener('abort', giveUp);
  };
  return { signal: controller.signal, end };
}

/** So that the partner's log and ours, and no other's, can be laid side by side. Traces end with us (docs/adr/0050). */
function correlationHeaders(receiver: string): Record<string, string> {
  const known = correlation();
  return known ? { 'x-request-id': idToldTo(receiver, known.id) } : {};
}

/**
 * A request that waits for a free socket looks at its signal only when it gets one; the caller does not wait for that.
 * It is then dropped without being sent.
 */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  return Promise.race([work, aborted]);
}

/** undici starts a request when it writes it to an open, verified connection; before that nothing has left. */
function noticingStart(handler: Dispatcher.DispatchHandler, started: () => void): Dispatcher.DispatchHandler {
  return new Proxy(handler, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: unknown[]) => unknown;
      if (property !== 'onRequestStart' && property !== 'onConnect') return call;
      return (...args: unknown[]) => {
        started();
        return call(...args);
      };
    },
  });
}

const flat = (headers: Record<string, string | string[] | undefined>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  );

/** An alert about a certificate ends the handshake, before anything of ours was read (RFC 8446, section 6.2). */
const CERTIFICATE_ALERT = /^ERR_SSL_.*ALERT.*(?:CERTIFICATE|UNKNOWN_CA)/;
const TOO_LARGE = ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'UND_ERR_HEADERS_OVERFLOW'];
const BROKEN_OFF = 'HPE_INVALID_EOF_STATE';

function transportFailure(error: unknown, sent: boolean): PartnerError {
  const code = String((error as { code?: unknown }).code);
  if (CERTIFICATE_ALERT.test(code)) {
    return new PartnerError('PartnerUnauthorized', 'The partner refused our client certificate.');
  }
  if (TOO_LARGE.includes(code) || (error instanceof errors.HTTPParserError && code !== BROKEN_OFF)) {
    return new PartnerError('PartnerMisanswered', 'The answer is too large, or not HTTP.');
  }
  return sent
    ? new PartnerError('PartnerUnavailable', 'The partner did not answer in time, or broke off.')
    : new PartnerError('PartnerUnreachable', 'No connection to the partner could be made.');
}

/**
 * What a status means, for statuses that the adapter gives no meaning of its own.
 *
 * @returns never; throws the PartnerError
 */
export function refuse({ status, headers }: HttpAnswer): never {
  if (status === 429) {
    throw new PartnerError('PartnerThrottled', 'The partner asked us to slow down.', {
      retryAfterMs: retryAfterMs(headers['retry-after']),
    });
  }
  if (status === 401 || status === 403) {
    throw new PartnerError('PartnerUnauthorized', 'The partner refused our credentials.');
  }
  if (status >= 500) throw new PartnerError('PartnerUnavailable', 'The partner answered that it failed.');
  if (status >= 400) throw new PartnerError('PartnerRejected', 'The partner refused.');
  throw new PartnerError('PartnerMisanswered', 'The partner answered with a status that is not agreed.');
}

/** Retry-After in seconds or as a date (RFC 9110, section 10.2.3); milliseconds, at most an hour, 1 s when unusable. */
export function retryAfterMs(header: string | undefined, nowMs = Date.now()): number {
  const seconds = Number(header);
  const waitMs = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header ?? '') - nowMs;
  return Number.isFinite(waitMs) && waitMs > 0 ? Math.min(waitMs, LONGEST_RETRY_AFTER_MS) : 1_000;
}

/** Parses an answer of the agreed type and shape. @throws PartnerError `PartnerMisanswered` for anything else */
export function parseAnswer<T>({ headers, body }: HttpAnswer, schema: ZodType<T>): T {
  if (!isJson(headers)) throw new PartnerError('PartnerMisanswered', 'The answer is not of the agreed type.');
  const parsed = schema.safeParse(asJson(body));
  if (!parsed.success) throw new PartnerError('PartnerMisanswered', 'The answer is not of the agreed shape.');
  return parsed.data;
}

const isJson = (headers: HttpAnswer['headers']): boolean =>
  /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(headers['content-type'] ?? '');

function asJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** An answer's error code when it has one of the agreed shape, for statuses that the adapter gives a meaning. */
export function answerCode<T>(answer: HttpAnswer, schema: ZodType<T>): T | null {
  if (!isJson(answer.headers)) return null;
  const parsed = schema.safeParse(asJson(answer.body));
  return parsed.success ? parsed.data : null;
}
