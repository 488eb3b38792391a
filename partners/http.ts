import { Agent, request as send, type Dispatcher } from 'undici';
import type { ZodType } from 'zod';
import { SERVER_TLS } from '../config/tls';
import { PartnerError } from './failure';
import type { PartnerCall } from './ports';

/** Answers are small documents; a partner that sends more is cut off. */
const MAX_ANSWER_BYTES = 1_000_000;
const LONGEST_RETRY_AFTER_MS = 3_600_000;

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

export type PartnerHttp = {
  /**
   * One attempt. Resolves with whatever was answered, whole and bounded.
   *
   * @throws PartnerError `PartnerUnreachable` when nothing was sent, `PartnerUnavailable` when it may have arrived,
   *   `PartnerMisanswered` for an answer that is too large; the abort reason when the caller gave up
   */
  send(request: HttpRequest, call: PartnerCall): Promise<HttpAnswer>;
  /** undici's dispatcher, for libraries that make their own requests over the same sockets. */
  readonly dispatcher: Dispatcher;
  close(): Promise<void>;
};

/**
 * Sockets towards one partner and nobody else: its certificate authority pinned, TLS 1.2 or newer, no redirects, no
 * compression, bounded in number, time and size. The number of sockets is also the bulkhead: a partner that hangs
 * fills its own and no other's.
 */
export function createPartnerHttp(options: {
  caPem: string;
  timeoutMs: number;
  maxConnections: number;
  clientCertificate?: { readonly cert: string; readonly key: string };
}): PartnerHttp {
  const { caPem, timeoutMs, maxConnections, clientCertificate } = options;
  const agent = new Agent({
    connections: maxConnections,
    pipelining: 1,
    keepAliveTimeout: 30_000,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: MAX_ANSWER_BYTES,
    connect: {
      ca: caPem,
      timeout: Math.min(timeoutMs, 3_000),
      minVersion: SERVER_TLS.minVersion,
      ciphers: SERVER_TLS.ciphers,
      ...clientCertificate,
    },
  });
  return {
    dispatcher: agent,
    close: () => agent.destroy(),
    async send({ method, url, headers, body }, call) {
      const bound = Math.min(timeoutMs, call.timeoutMs ?? timeoutMs);
      const signal = AbortSignal.any([call.signal, AbortSignal.timeout(Math.max(1, Math.ceil(bound)))]);
      let sent = false;
      try {
        const answer = await send(url, {
          method,
          headers: { accept: 'application/json', 'accept-encoding': 'identity', ...headers },
          body: body ?? null,
          signal,
          dispatcher: agent.compose(
            (dispatch) => (options, handler) =>
              dispatch(
                options,
                noticingStart(handler, () => (sent = true)),
              ),
          ),
        });
        const bytes = Buffer.from(await answer.body.arrayBuffer());
        return { status: answer.statusCode, headers: flat(answer.headers), body: bytes };
      } catch (error) {
        call.signal.throwIfAborted();
        throw transportFailure(error, sent);
      }
    },
  };
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

function transportFailure(error: unknown, sent: boolean): PartnerError {
  const { code } = error as { code?: string };
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE')
    return new PartnerError('PartnerMisanswered', 'The answer is too large.');
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
  if (status === 401) throw new PartnerError('PartnerUnauthorized', 'The partner refused our credentials.');
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
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(headers['content-type'] ?? '')) {
    throw new PartnerError('PartnerMisanswered', 'The answer is not of the agreed type.');
  }
  const parsed = schema.safeParse(asJson(body));
  if (!parsed.success) throw new PartnerError('PartnerMisanswered', 'The answer is not of the agreed shape.');
  return parsed.data;
}

function asJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** An answer's error code when it has one of the agreed shape, for statuses that the adapter gives a meaning. */
export function answerCode<T>(answer: HttpAnswer, schema: ZodType<T>): T | null {
  const parsed = schema.safeParse(asJson(answer.body));
  return parsed.success ? parsed.data : null;
}
