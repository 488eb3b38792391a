import { randomUUID } from 'node:crypto';
import { json, raw, type RequestHandler, type Router } from 'express';
import { z } from 'zod';
import { correlated } from '../config/correlation';
import { beginSpan } from '../config/tracing';
import type { ExchangeJournal } from '../journal/exchanges';
import type { StaffPermission } from '../contracts/staff';
import type { Database } from '../prisma/database';
import { knownIn, type Caller } from './authentication/caller';
import { exactRouter } from './exact-paths';
import { journaled } from './journaled';
import { networkOf } from './network';
import { once, readIdempotencyKey, requestFingerprint, type Answer } from './idempotency';
import { HEIC_ADVICE } from './photo-advice';
import { HttpProblem, invalidField, named, tooLarge } from './problem';
import { atWork } from './request-limits';

/**
 * One endpoint as a value: what it takes, what it gives and what it does. Express routes and the OpenAPI document are
 * both made from the same list, so that they cannot differ.
 */
export type Operation<
  Params extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
> = {
  readonly id: string;
  readonly method: 'get' | 'post';
  /** Below the audience's base, with `{name}` for parameters. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly params: Params;
  /**
   * The member of path or body that names a thing of one partner: who asks for what is none of theirs is seen by
   * whether they ask for one thing or for many (monitoring/rules/outside-houses.ts).
   */
  readonly names?: 'deviceId' | 'openingId';
  readonly query?: Query;
  readonly body?: JsonBody<Body> | PhotoBody | LinesBody | PdfBody;
  /** Set when the operation is to go: since when it is deprecated, and when it will answer no more (R4.12). */
  readonly deprecation?: { readonly since: Date; readonly sunset?: Date; readonly documentation?: string };
  /** `stored`: the answer is kept and repeated. `own`: the handler makes repeats harmless itself. Absent for reads. */
  readonly idempotency?: 'stored' | 'own';
  readonly responses: Readonly<
    Record<
      number,
      { readonly description: string; readonly schema?: z.ZodType; readonly mediaType?: 'application/pdf' }
    >
  >;
  handle(input: OperationInput<z.infer<Params>, z.infer<Query>, z.infer<Body>>): Promise<Answer>;
} & (ForClients | ForStaff);

/** For who brings a token or signs its messages, within this scope. */
type ForClients = {
  readonly scope: string;
  readonly permission?: never;
  readonly stepUp?: never;
  readonly fromOrigin?: never;
};
/** For staff whose role has the permission (contracts/staff.ts). */
type ForStaff = {
  readonly permission: StaffPermission;
  /** Wants a proof of who it is from the last minutes, not only a session. */
  readonly stepUp?: true;
  /** Origin of the one other page that may ask this, besides ours: it cannot send our CSRF token (api/staff/codec.ts). */
  readonly fromOrigin?: string | undefined;
  readonly scope?: never;
};

type JsonBody<Body extends z.ZodType> = { readonly kind: 'json'; readonly schema: Body; readonly maxBytes?: number };
/** An image as the request body. Its content is looked at by the handler, never trusted by its media type. */
type PhotoBody = { readonly kind: 'photo'; readonly maxBytes: number };

/** One report in each line, looked at by the handler one by one: JSON Lines unless another media type is named. */
type LinesBody = {
  readonly kind: 'lines';
  readonly maxBytes: number;
  readonly maxLines: number;
  readonly mediaTypes?: readonly string[];
};

/** A PDF as the request body, kept as it comes. */
type PdfBody = { readonly kind: 'pdf'; readonly maxBytes: number };

export type OperationInput<Params, Query, Body> = {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly photo: Buffer;
  /** Of a body that is a PDF; empty for any other. */
  readonly pdf: Buffer;
  /** Of a body of lines; empty for any other. */
  readonly lines: readonly string[];
  readonly caller: Caller;
  /** Where the request came from, as far as counting needs it. */
  readonly network: string;
  /** Empty for operations that take none. */
  readonly idempotencyKey: string;
  readonly fingerprint: string;
  readonly requestId: string;
};

/** Keeps the types of one operation's parts together; the list then holds them as plain {@link Operation}s. */
export function defineOperation<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
  operation: Operation<P, Q, B>,
): Operation {
  return operation;
}

export const PHOTO_MEDIA_TYPES = ['image/jpeg', 'image/png'] as const;
/** What phones send that is refused with advice that a resident can act on. */
const PHOTO_TYPES_REFUSED = { 'image/heic': HEIC_ADVICE, 'image/heif': HEIC_ADVICE };
export const LINES_MEDIA_TYPES = ['application/x-ndjson', 'application/jsonl'] as const;
export const PDF_MEDIA_TYPE = 'application/pdf';
const JSON_LIMIT_BYTES = 64 * 1024;

/** Mounts operations behind their checks: authentication and scope, size and type, schema, idempotency, handler. */
export function mountOperations(
  operations: readonly Operation[],
  options: {
    database: Database;
    exchanges: Pick<ExchangeJournal, 'note'>;
    /** Makes of an id that was asked for in vain what may be written of it. */
    hideAsked?: (clientId: string, asked: string) => string;
    authenticate: (operation: Operation) => RequestHandler[];
    admit: RequestHandler;
  },
): Router {
  const router = exactRouter();
  for (const operation of operations) {
    router[operation.method](
      operation.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      ...deprecated(operation),
      tracedRequest(operation),
      journaledOperation(operation, options),
      ...options.authenticate(operation),
      options.admit,
      ...bodyParsers(operation),
      serve(operation, options.database),
    );
  }
  return router;
}

/** While traces are on, a request is the span that everything it causes is part of. Callers choose no trace of ours. */
const tracedRequest =
  (operation: Operation): RequestHandler =>
  (_req, res, next) => {
    const span = beginSpan({ name: operation.id, kind: 'server' });
    if (span) {
      res.locals['traceparent'] = span.traceparent;
      res.once('close', () => {
        const { correlationId } = res.locals as { correlationId: string };
        const failure = !res.writableFinished ? 'aborted' : res.statusCode >= 500 ? 'ServerError' : undefined;
        span.end(failure, {
          'http.response.status_code': res.statusCode,
          'domovoy.correlation_id': correlationId,
          'domovoy.client': knownIn(res)?.clientId,
        });
      });
    }
    next();
  };

/** What is not there for who asks is told apart (monitoring/rules/outside-houses.ts). */
const journaledOperation = (
  operation: Operation,
  { exchanges, hideAsked }: Parameters<typeof mountOperations>[1],
): RequestHandler =>
  journaled(operation.id, exchanges, (req, res, { clientId }) => {
    const asked = res.statusCode === 404 ? askedFor(operation, req) : undefined;
    return asked === undefined ? undefined : hideAsked?.(clientId, asked);
  });

/** The id of what was asked for, as it came. */
function askedFor({ names }: Operation, req: Parameters<RequestHandler>[0]): string | undefined {
  if (names === undefined) return undefined;
  const asked: unknown = req.params[names] ?? (req.body as Record<string, unknown> | undefined)?.[names];
  return typeof asked === 'string' ? asked : undefined;
}

/** Raw bytes are kept because message signatures cover them, not what a parser makes of them. */
export const jsonBody = (limit = JSON_LIMIT_BYTES): RequestHandler =>
  bounded('body', limit, json({ limit, verify: keepRaw }));

const keepRaw = (req: object, _res: object, buffer: Buffer): void => {
  (req as { rawBody?: Buffer }).rawBody = buffer;
};

/** Says of what is too large what it is, and how large it may be. */
const bounded =
  (field: string, limit: number, parse: RequestHandler): RequestHandler =>
  (req, res, next) => {
    void parse(req, res, (error?: unknown) => {
      const isTooLarge = (error as { type?: unknown } | undefined)?.type === 'entity.too.large';
      next(isTooLarge ? tooLarge(field, `is at most ${limit.toString()} bytes`) : error);
    });
  };

/** Reads the body that the operation takes; a second time does nothing. */
export function bodyParsers({ body }: Pick<Operation, 'body'>): RequestHandler[] {
  if (!body) return [];
  if (body.kind === 'json') return [wantMediaType(['application/json']), jsonBody(body.maxBytes)];
  if (body.kind === 'lines') {
    const { mediaTypes = LINES_MEDIA_TYPES, maxBytes: limit } = body;
    return [wantMediaType(mediaTypes), bounded('lines', limit, raw({ type: () => true, limit, verify: keepRaw }))];
  }
  const { maxBytes: limit } = body;
  const read = raw({ type: () => true, limit });
  if (body.kind === 'pdf') return [wantMediaType([PDF_MEDIA_TYPE]), bounded('body', limit, read)];
  return [wantMediaType(PHOTO_MEDIA_TYPES, PHOTO_TYPES_REFUSED), bounded('photo', limit, read)];
}

/** RFC 9745 and RFC 8594: on every answer, refusals included. */
function deprecated({ deprecation }: Operation): RequestHandler[] {
  if (!deprecation) return [];
  const { since, sunset, documentation } = deprecation;
  return [
    (_req, res, next) => {
      res.set('deprecation', `@${Math.floor(since.getTime() / 1_000).toString()}`);
      if (sunset) res.set('sunset', sunset.toUTCString());
      if (documentation !== undefined) res.append('link', `<${documentation}>; rel="deprecation"; type="text/html"`);
      next();
    },
  ];
}

/** @param advice what to say about types that are often sent and not taken */
const wantMediaType =
  (types: readonly string[], advice: Readonly<Record<string, string>> = {}): RequestHandler =>
  (req, _res, next) => {
    if (types.some((type) => req.is(type) !== false && req.is(type) !== null)) {
      next();
      return;
    }
    const known = Object.keys(advice).find((type) => req.is(type) === type);
    next(
      new HttpProblem({
        status: 415,
        type: 'unsupported-media-type',
        title: 'The media type is not supported',
        errors: [
          known === undefined
            ? { field: 'Content-Type', message: `is one of ${types.join(', ')}` }
            : { field: 'photo', message: advice[known] ?? '' },
        ],
      }),
    );
  };

function serve(operation: Operation, database: Database): RequestHandler {
  return async (req, res) => {
    const caller = (res.locals as { caller: Caller }).caller;
    const { params, query, body, photo, pdf, lines, content } = parseInput(operation, req);
    const idempotencyKey = operation.idempotency ? readIdempotencyKey(req.get('idempotency-key')) : '';
    const fingerprint = requestFingerprint(operation.id, JSON.stringify([params, query]), content);
    const network = networkOf(req.ip);
    const {
      requestId = '',
      correlationId = randomUUID(),
      traceparent,
    } = res.locals as { requestId?: string; correlationId?: string; traceparent?: string };
    const asked = { params, query, body, photo, pdf, lines };
    const input = { ...asked, caller, network, idempotencyKey, fingerprint, requestId };
    const known = { id: correlationId, ...(traceparent !== undefined && { traceparent }) };
    const work = (): Promise<Answer> => correlated(known, () => operation.handle(input));
    const key = `${operation.id}/${idempotencyKey}`;
    const answer = await atWork(res, () =>
      operation.idempotency === 'stored'
        ? once(database, { clientId: caller.clientId, key, fingerprint }, work)
        : work(),
    ).catch((error: unknown) => {
      throw named(error, Object.keys(operation.params.shape));
    });
    res.status(answer.status).set(answer.headers ?? {});
    const mediaType = operation.responses[answer.status]?.mediaType;
    if (mediaType !== undefined && Buffer.isBuffer(answer.body)) res.type(mediaType).send(answer.body);
    else res.json(declaredOnly(operation, answer));
  };
}

/** Strips what the document does not declare. An answer that breaks the document is our fault, never the caller's. */
function declaredOnly(operation: Operation, { status, body }: Answer): unknown {
  const response = operation.responses[status];
  if (!response) throw new Error(`${operation.id} answered with an undeclared status.`);
  if (!response.schema) return body;
  const parsed = response.schema.safeParse(body);
  if (!parsed.success) throw new Error(`${operation.id} answered in a shape that it does not declare.`);
  return parsed.data;
}

function parseInput(operation: Operation, req: Parameters<RequestHandler>[0]) {
  const params = operation.params.parse(req.params);
  const query = z.strictObject(operation.query?.shape ?? {}).parse(req.query);
  assertText({ ...params, ...query });
  const parsed = { params, query, body: null as unknown, photo: NO_BYTES, pdf: NO_BYTES, lines: [] as string[] };
  if (operation.body && operation.body.kind !== 'json') {
    const bytes = Buffer.isBuffer(req.body) ? req.body : NO_BYTES;
    if (operation.body.kind === 'photo') return { ...parsed, photo: bytes, content: bytes };
    if (operation.body.kind === 'pdf') return { ...parsed, pdf: bytes, content: bytes };
    return { ...parsed, lines: linesOf(bytes, operation.body.maxLines), content: bytes };
  }
  const body: unknown = operation.body ? operation.body.schema.parse(req.body ?? {}) : null;
  assertText(body);
  return { ...parsed, body, content: JSON.stringify(body) };
}

const NO_BYTES = Buffer.alloc(0);

/** What is no UTF-8 becomes a line that is refused by itself. */
function linesOf(bytes: Buffer, maxLines: number): string[] {
  const lines = bytes.toString('utf8').split(/\r?\n/);
  if (lines.length <= maxLines + 1) return lines;
  throw tooLarge('lines', `are at most ${maxLines.toString()}`);
}

/** NUL, which PostgreSQL takes in no text, and halves of characters, which UTF-8 cannot say. */
const NO_TEXT = /[\0\p{Surrogate}]/u;

/** @throws HttpProblem that names the first member whose text cannot be stored as it is */
function assertText(value: unknown, path: readonly string[] = []): void {
  if (typeof value === 'string') {
    if (NO_TEXT.test(value)) throw invalidField(path.join('.'), 'holds a character that no text can have');
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) assertText(member, [...path, name]);
  }
}
