import { createServer, type IncomingMessage, type Server } from 'node:http';
import { collectDefaultMetrics, type Registry } from 'prom-client';

export type Health = { readonly close: () => Promise<void> };

/**
 * Serves `/health/live`, `/health/ready` and `/metrics` on a port of their own, away from what clients reach.
 *
 * @param checks what readiness rests on, by name; a check that rejects makes the process not ready
 */
export async function serveHealth(options: {
  host: string;
  port: number;
  checks: Readonly<Record<string, () => Promise<unknown>>>;
  /** What `/metrics` shows; the process's own figures are added. */
  registry: Registry;
  /** Figures that somebody else in this process keeps, in the same text format. */
  more?: () => Promise<string>;
}): Promise<Health> {
  const { registry } = options;
  collectDefaultMetrics({ register: registry });
  const server = createServer((request, response) => {
    answer(request, options)
      .catch(() => ({ status: 500, type: 'text/plain', body: '' }))
      .then(({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body))
      .catch(() => response.destroy());
  });
  await listen(server, options.port, options.host);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function answer(
  { method = '', url }: IncomingMessage,
  { checks, registry, more }: Pick<Parameters<typeof serveHealth>[0], 'checks' | 'registry' | 'more'>,
): Promise<{ status: number; type: string; body: string }> {
  if (!['GET', 'HEAD'].includes(method)) return { status: 405, type: 'text/plain', body: '' };
  switch (url) {
    case '/health/live':
      return { status: 200, type: 'application/json', body: '{"live":true}' };
    case '/health/ready': {
      const states = await Promise.all(
        Object.entries(checks).map(async ([name, check]) => {
          const ready = await check().then(
            () => true,
            () => false,
          );
          return [name, ready] as const;
        }),
      );
      const ready = states.every(([, up]) => up);
      const body = JSON.stringify({ ready, checks: Object.fromEntries(states) });
      return { status: ready ? 200 : 503, type: 'application/json', body };
    }
    case '/metrics':
      return {
        status: 200,
        type: registry.contentType,
        body: (await registry.metrics()) + ((await more?.().catch(() => '')) ?? ''),
      };
    default:
      return { status: 404, type: 'text/plain', body: '' };
  }
}

/** @throws the server's own error (EADDRINUSE and the like) instead of emitting it */
export function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
