import { createServer } from 'node:http';
import express, { type ErrorRequestHandler, type Express, type Request } from 'express';
import { type z } from 'zod';
import { listen } from './listen';

/** A request of the control port that cannot be carried out; `code` is for programs, `detail` for people. */
export class ControlRefusal extends Error {
  override readonly name = 'ControlRefusal';
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/**
 * The port that tells a sandbox program what to do: plain HTTP, for this machine only. A `Host` that names another
 * machine is refused, so that no web page can reach it through a name of its own.
 */
export function createControlApp(readJson = true): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use((req, _res, next) => {
    if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(req.get('host') ?? ''))
      throw new ControlRefusal(403, 'host', 'The control port is for this machine only.');
    next();
  });
  if (readJson) app.use(express.json({ limit: '1mb' }));
  return app;
}

/** Closes the app with its error answers and listens on the loopback interface. */
export async function openControlPort(
  app: Express,
  port: number,
  what: string,
): Promise<{ port: number; close(): Promise<void> }> {
  app.use((_req, _res) => {
    throw new ControlRefusal(404, 'not_found', 'There is no such path on the control port.');
  });
  const onError: ErrorRequestHandler = (error: unknown, _req, res, _next) => {
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const { status, code, detail } = described(error);
    res.status(status).json({ error: code, detail });
  };
  app.use(onError);
  const server = createServer(app);
  const opened = await listen(server, port, '127.0.0.1', what);
  return {
    port: opened,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Parses what a control request carries; says which member is wrong. */
export function controlInput<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ControlRefusal(
    400,
    'input',
    `${issue?.path.map(String).join('.') || 'body'}: ${issue?.message ?? 'wrong'}`,
  );
}

/** A path parameter; Express gives a list only for wildcards. */
export function pathParameter(req: Request, name: string): string {
  const value = req.params[name];
  return typeof value === 'string' ? value : '';
}

function described(error: unknown): { status: number; code: string; detail: string } {
  if (error instanceof ControlRefusal) return { status: error.status, code: error.code, detail: error.message };
  const status = error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500;
  if (status < 500) return { status, code: 'input', detail: 'The body cannot be read.' };
  console.error(JSON.stringify({ control: 'unexpected', error: error instanceof Error ? error.name : 'unknown' }));
  return { status: 500, code: 'internal', detail: 'The sandbox failed.' };
}
