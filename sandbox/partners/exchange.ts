import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import { z } from 'zod';
import { Refusal, type Answer } from './answer';
import { digestsByPlace, fieldNames } from './arrived';
import type { CallLog } from './call-log';
import type { Asked, Bent } from './effects';
import { isAfter, isBefore, type Endpoint, type Fault, type Faults } from './faults';

/** Bytes that go on the wire. */
export type WireAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};
/** `wrong` and `none` are faults; profiles that do not sign take no notice. */
export type AnswerSignature = 'right' | 'wrong' | 'none';

/** What differs between the profiles. */
export type Profile = {
  /** Throws a {@link Refusal} unless the caller proves to be the company. Runs before parsing and before faults. */
  authenticate(req: Request, body: Buffer): Promise<void>;
  errorBody(refusal: Refusal): unknown;
  /** Adds what belongs on the answer, a signature for instance. */
  seal(req: Request, answer: WireAnswer, signature: AnswerSignature): Promise<WireAnswer>;
};

/** A call that was authenticated. */
export type Call = { readonly req: Request; readonly body: Buffer; readonly bent: Bent };

const MAX_BODY_BYTES = 12 * 1024 * 1024;
const SLOW_BYTE_MS = 200;
const DEFAULT_OVERSIZE_BYTES = 100 * 1024 * 1024;

/** The front of one partner's port: reads, lets the profile check, lets faults strike, answers, keeps the list. */
export function createExchange(deps: {
  profile: Profile;
  faults: Faults;
  calls: CallLog;
  now: () => Date;
  onUnexpected: (error: unknown) => void;
}) {
  const { profile, faults } = deps;
  const stopping = new AbortController();

  async function send(req: Request, res: Response, answer: Answer, spoilt: readonly Fault[] = []): Promise<void> {
    const spoils = (kind: Fault['fault']) => spoilt.find(({ fault }) => fault === kind);
    if (spoils('lost-answer') !== undefined) {
      req.socket.destroy();
      return;
    }
    const oversized = spoils('oversized');
    if (oversized !== undefined) return flood(res, oversized.bytes ?? DEFAULT_OVERSIZE_BYTES);
    const signature =
      spoils('unsigned') !== undefined ? 'none' : spoils('wrong-signature') !== undefined ? 'wrong' : 'right';
    const sealed = await profile.seal(req, wire(answer, spoils('garbage'), spoils('wrong-type')), signature);
    res.writeHead(sealed.status, { ...sealed.headers, 'content-length': String(sealed.body.length) });
    const slow = spoils('slow-body');
    if (slow === undefined) res.end(sealed.body);
    else await dribble(res, sealed.body, slow.delayMs ?? SLOW_BYTE_MS, stopping.signal);
  }

  /** `true`: the call was ended by a fault, before anything happened. */
  async function struckBefore(req: Request, res: Response, striking: readonly Fault[]): Promise<boolean> {
    for (const { fault, delayMs, retryAfterS, status } of striking) {
      if (fault === 'delay') await sleep(delayMs ?? 1_000, undefined, { signal: stopping.signal });
      else if (fault === 'reset') req.socket.destroy();
      else if (fault === 'hang') await once(res, 'close');
      else {
        await send(req, res, refused(refusalBy({ fault, retryAfterS, status })));
      }
      if (fault !== 'delay') return true;
    }
    return false;
  }

  function refused(refusal: Refusal): Answer {
    return { status: refusal.status, body: profile.errorBody(refusal), headers: refusal.headers };
  }

  function note(req: Request, res: Response, endpoint: Endpoint | 'unknown', body: Buffer): void {
    const arrived = { headers: req.headers, mediaType: mediaType(req), body };
    const heard = {
      at: deps.now().toISOString(),
      endpoint,
      method: req.method,
      target: req.originalUrl,
      fields: fieldNames(arrived),
      headers: Object.keys(req.headers).sort(),
      digests: digestsByPlace(arrived),
      idempotencyKey: req.get('idempotency-key') ?? null,
    };
    res.once('close', () => deps.calls.add({ ...heard, status: res.writableFinished ? res.statusCode : null }));
  }

  /** Handles one endpoint. With `open: true` there is no authentication here and faults strike first (token endpoints). */
  function endpoint(name: Endpoint, handle: (call: Call) => Promise<Answer> | Answer, open = false): RequestHandler {
    return async (req, res) => {
      const body = rawBody(req);
      note(req, res, name, body);
      if (!open) await profile.authenticate(req, body);
      const striking = faults.strike(name);
      if (await struckBefore(req, res, striking.filter(isBefore))) return;
      const answer = await handle({ req, body, bent: bending(striking) });
      await send(req, res, answer, striking.filter(isAfter));
    };
  }

  /** Anything that is no endpoint, and whatever went wrong, in the profile's own shape. */
  function closeWith(app: Express): void {
    app.use(async (req, res) => {
      note(req, res, 'unknown', rawBody(req));
      await profile.authenticate(req, rawBody(req));
      await send(req, res, refused(new Refusal(404, 'not_found')));
    });
    const onError: ErrorRequestHandler = (error: unknown, req, res, _next) => {
      if (res.headersSent || res.destroyed || stopping.signal.aborted) {
        res.destroy();
        return;
      }
      const refusal = error instanceof Refusal ? error : fromExpress(error);
      if (refusal.status === 500) deps.onUnexpected(error);
      send(req, res, refused(refusal)).catch(() => res.destroy());
    };
    app.use(onError);
  }

  function createApp(): Express {
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.use(express.raw({ type: () => true, limit: MAX_BODY_BYTES, inflate: false }));
    return app;
  }

  return { createApp, endpoint, closeWith, stop: () => stopping.abort() };
}
export type Exchange = ReturnType<typeof createExchange>;

/** Parses a JSON body by its schema; anything else is the caller's fault. */
export function jsonBody<T>({ req, body }: Pick<Call, 'req' | 'body'>, schema: z.ZodType<T>): T {
  if (mediaType(req) !== 'application/json') throw new Refusal(415, 'unsupported_media_type');
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw new Refusal(400, 'invalid_body');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Refusal(400, 'invalid_body');
  return parsed.data;
}

const IdempotencyKey = z.string().regex(/^[\x21-\x7e]{1,255}$/);

/** What an effect depends on: the key, the path and the parsed body. */
export function asked(req: Request, body: unknown): Asked {
  const key = IdempotencyKey.safeParse(req.get('idempotency-key'));
  if (!key.success) throw new Refusal(400, 'idempotency_key_required');
  return { key: key.data, asked: [req.method, req.path, body] };
}

export function mediaType(req: Request): string {
  return (req.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** A photo as JSON carries it; strict base64, so that one photo has one spelling. */
export const PhotoBase64 = z
  .base64()
  .min(4)
  .transform((text) => Buffer.from(text, 'base64'));

/** Stands for a photo where only its sameness matters. */
export function digest(photo: Buffer): string {
  return createHash('sha256').update(photo).digest('hex');
}

function rawBody(req: Request): Buffer {
  const body: unknown = req.body;
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

function bending(striking: readonly Fault[]): Bent {
  const find = (kind: Fault['fault']) => striking.find(({ fault }) => fault === kind);
  const pending = find('pending');
  const refusal = find('refuse-photo');
  return {
    ...(find('confirm-but-keep') === undefined ? {} : { keep: 'secretly' as const }),
    ...(find('confirm-and-hold') === undefined ? {} : { keep: 'openly' as const }),
    ...(pending === undefined ? {} : { pendingMs: pending.delayMs ?? 1_000 }),
    ...(refusal === undefined ? {} : { refusePhoto: refusal.reason ?? 'several-faces' }),
  };
}

function wire(answer: Answer, garbage: Fault | undefined, wrongType: Fault | undefined): WireAnswer {
  const type = wrongType === undefined ? 'application/json' : 'text/html';
  const body =
    garbage !== undefined
      ? '{"state": [,'
      : wrongType !== undefined
        ? '<!doctype html><title>Sandbox</title>'
        : JSON.stringify(answer.body);
  return {
    status: answer.status,
    headers: { 'cache-control': 'no-store', ...answer.headers, 'content-type': type },
    body: Buffer.from(body),
  };
}

function refusalBy({ fault, retryAfterS, status }: Pick<Fault, 'fault' | 'retryAfterS' | 'status'>): Refusal {
  if (fault === 'throttle')
    return new Refusal(429, 'throttled', { headers: { 'retry-after': String(retryAfterS ?? 1) } });
  if (fault === 'unauthorized') return new Refusal(401, 'credentials', { headers: { 'www-authenticate': 'Bearer' } });
  return new Refusal(status ?? 503, 'unavailable');
}

async function flood(res: Response, bytes: number): Promise<void> {
  const piece = Buffer.alloc(64 * 1024, ' ');
  res.writeHead(200, { 'content-type': 'application/json' });
  for (let sent = 0; sent < bytes && !res.destroyed; sent += piece.length) if (!res.write(piece)) await drained(res);
  res.end();
}

/** Also when nobody reads on. */
async function drained(res: Response): Promise<void> {
  const done = new AbortController();
  const { signal } = done;
  await Promise.race([once(res, 'drain', { signal }), once(res, 'close', { signal })]);
  done.abort();
}

async function dribble(res: Response, body: Buffer, byteMs: number, signal: AbortSignal): Promise<void> {
  for (const byte of body) {
    if (res.destroyed) return;
    res.write(Buffer.of(byte));
    await sleep(byteMs, undefined, { signal });
  }
  res.end();
}

/** Express and its body reader mark their own errors with a status; anything unmarked is a fault of the sandbox. */
function fromExpress(error: unknown): Refusal {
  const status = error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500;
  if (status === 413) return new Refusal(413, 'too_large');
  if (status === 415) return new Refusal(415, 'unsupported_media_type');
  return status < 500 ? new Refusal(400, 'invalid_request') : new Refusal(500, 'internal');
}
