import { randomUUID } from 'node:crypto';
import express, { type Router, type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { correlated } from '../config/correlation';
import type { Logger } from '../config/logger';
import type { RequestMetrics } from '../config/request-metrics';
import { opaque } from '../journal/exchanges';
import { knownIn } from './authentication/caller';
import { documentRoutes } from './documentation';
import { invalidField, nothingHere, problemHandler } from './problem';
import { problemPages } from './problem-pages';

/**
 * Puts the routers of each audience together. Does not listen: the composition root does, and tests do.
 *
 * @param deps.routers by mount path, for example `/app/v1`; what asks who calls
 * @param deps.open what anybody may ask: the token endpoint, sign-in, public keys
 * @param deps.admitAnyone stands before what anybody may ask, and before what is not there
 */
export function createApp(deps: {
  log: Logger;
  metrics?: RequestMetrics;
  /** Counts who was not let in. */
  refusals?: RequestHandler;
  /** Answers what browsers ask before they send from another origin. */
  cors?: Router;
  /** Stands before everything. */
  gate?: RequestHandler;
  routers: Readonly<Record<string, Router>>;
  open: readonly Router[];
  admitAnyone: RequestHandler;
  openApiDocument: () => object;
}): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  // As in exact-paths.ts, for the mount paths.
  app.enable('case sensitive routing');
  app.enable('strict routing');
  app.set('query parser', 'simple');
  app.set('trust proxy', false);
  app.use(requestIds, requestLog(deps.log, deps.metrics), helmet(), singleFields);
  if (deps.refusals) app.use(deps.refusals);
  if (deps.gate) app.use(deps.gate);
  if (deps.cors) app.use(deps.cors);
  for (const [path, router] of Object.entries(deps.routers)) app.use(path, router);
  app.use(deps.admitAnyone, inItsName, ...deps.open);
  app.use(documentRoutes(deps.openApiDocument));
  app.use('/problems', problemPages());
  app.use(() => {
    throw nothingHere();
  });
  app.use(problemHandler(deps));
  return app;
}

const REQUEST_ID_FORMAT = /^[\w-]{8,64}$/;

/** The caller's own request id when it is usable, else a new one; given back, logged, and nothing else is done with it. */
const requestIds: RequestHandler = (req, res, next) => {
  const given = req.get('x-request-id');
  const requestId = given !== undefined && REQUEST_ID_FORMAT.test(given) ? given : randomUUID();
  res.locals['requestId'] = requestId;
  res.locals['correlationId'] = opaque(requestId);
  res.set('x-request-id', requestId);
  next();
};

/** Calls of ours name the request that they serve; behind an audience's router it is said there (operation.ts). */
const inItsName: RequestHandler = (_req, res, next) => {
  correlated({ id: (res.locals as { correlationId: string }).correlationId }, next);
};

/** Who asks, in what form and with which key: fields that are there once, or not at all. */
const SINGLE_FIELDS = [
  'Authorization',
  'Content-Encoding',
  'Content-Type',
  'Host',
  'Idempotency-Key',
  'Signature',
  'Signature-Input',
];

/**
 * Of two Authorization fields Node gives us the first, and somebody in front of us may go by the second. A request that
 * says two things is not believed in either (RFC 9110, section 5.3).
 */
const singleFields: RequestHandler = (req, _res, next) => {
  const names = req.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  const repeated = SINGLE_FIELDS.find((field) => {
    const name = field.toLowerCase();
    return names.indexOf(name) !== names.lastIndexOf(name);
  });
  next(repeated === undefined ? undefined : invalidField(repeated, 'is there more than once'));
};

/** One line for each request. The path stays out of it: only the matched route is a listed word. */
const requestLog =
  (log: Logger, metrics?: RequestMetrics): RequestHandler =>
  (req, res, next) => {
    const startedMs = performance.now();
    res.on('finish', () => {
      const route = typeof req.route === 'object' ? `${req.baseUrl}${(req.route as { path: string }).path}` : 'none';
      const elapsedMs = performance.now() - startedMs;
      const durationMs = Math.round(elapsedMs);
      metrics?.answered(route, req.method, res.statusCode, elapsedMs);
      const { requestId, correlationId } = res.locals as { requestId: string; correlationId: string };
      log.info(
        {
          event: 'request',
          method: req.method,
          route,
          status: res.statusCode,
          durationMs,
          requestId,
          correlationId,
          clientId: knownIn(res)?.clientId,
        },
        'request',
      );
    });
    next();
  };
