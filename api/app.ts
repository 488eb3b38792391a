import { randomUUID } from 'node:crypto';
import express, { type Router, type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Logger } from '../config/logger';
import { documentRoutes } from './documentation';
import { notFound, problemHandler } from './problem';
import { problemPages } from './problem-pages';

/**
 * Puts the routers of each audience together. Does not listen: the composition root does, and tests do.
 *
 * @param routers by mount path, for example `/app/v1`
 */
export function createApp(deps: {
  log: Logger;
  routers: Readonly<Record<string, Router>>;
  /** Public keys of signed documents, at their well-known address. */
  documentKeys?: Router;
  openApiDocument: () => object;
}): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('trust proxy', false);
  app.use(requestIds, requestLog(deps.log), helmet());
  for (const [path, router] of Object.entries(deps.routers)) app.use(path, router);
  if (deps.documentKeys) app.use(deps.documentKeys);
  app.use(documentRoutes(deps.openApiDocument));
  app.use('/problems', problemPages());
  app.use(() => {
    throw notFound();
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
  res.set('x-request-id', requestId);
  next();
};

/** One line for each request. The path stays out of it: only the matched route is a listed word. */
const requestLog =
  (log: Logger): RequestHandler =>
  (req, res, next) => {
    const startedMs = performance.now();
    res.on('finish', () => {
      const route = typeof req.route === 'object' ? `${req.baseUrl}${(req.route as { path: string }).path}` : 'none';
      const durationMs = Math.round(performance.now() - startedMs);
      const locals = res.locals as { requestId: string; caller?: { clientId: string } };
      log.info(
        {
          event: 'request',
          method: req.method,
          route,
          status: res.statusCode,
          durationMs,
          requestId: locals.requestId,
          clientId: locals.caller?.clientId,
        },
        'request',
      );
    });
    next();
  };
