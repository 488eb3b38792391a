import { existsSync } from 'node:fs';
import type { Router } from 'express';
import { projectFile } from '../config/project-root';
import { exactRouter } from './exact-paths';

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Domovoy API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><div id="reference"></div><script src="/docs/scalar.js"></script><script src="/docs/start.js"></script></body></html>`;

/** The vendor's extras are off: some would send the document elsewhere. */
const START = `Scalar.createApiReference('#reference', { url: '/openapi.json', withDefaultFonts: false, telemetry: false,
  showDeveloperTools: 'never', mcp: { disabled: true }, agent: { disabled: true }, hideClientButton: true });`;

/** `dist/api/scalar.js` in a build: the page's one script, served by ourselves so that it works without the internet. */
const scriptFile = (): string | undefined =>
  [
    projectFile('dist/api/scalar.js'),
    projectFile('node_modules/@scalar/api-reference/dist/browser/standalone.js'),
  ].find(existsSync);

/** `/openapi.json`, made from the operations themselves, and a page to read it at `/docs`. */
export function documentRoutes(openApiDocument: () => object): Router {
  const router = exactRouter();
  router.get('/openapi.json', (_req, res) => {
    res.json(openApiDocument());
  });
  router.get('/docs', (_req, res) => {
    res
      .set('content-security-policy', "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
      .type('html')
      .send(PAGE);
  });
  router.get('/docs/start.js', (_req, res) => {
    res.type('js').send(START);
  });
  router.get('/docs/scalar.js', (_req, res) => {
    const file = scriptFile();
    if (file === undefined) res.status(404).end();
    else res.type('js').sendFile(file, { maxAge: '1h' });
  });
  return router;
}
