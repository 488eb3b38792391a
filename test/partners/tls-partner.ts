import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Authority, Leaf } from '../../sandbox/test-support/running-sandbox';

export type Heard = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
};
export type Handler = (request: Heard, res: ServerResponse) => void | Promise<void>;

/** A server of a few lines, over TLS: writes down what it hears and answers as the test says. */
export async function startTlsPartner(
  authority: Authority,
  handler: Handler,
  options: { leaf?: Leaf; tls?: ServerOptions } = {},
) {
  const heard: Heard[] = [];
  let answer = handler;
  const leaf = options.leaf ?? (await authority.issue('partner'));
  const server = createServer({ ...leaf, ...options.tls }, (req, res) => {
    const pieces: Buffer[] = [];
    req.on('data', (piece: Buffer) => pieces.push(piece));
    req.on('end', () => {
      const { method = '', url = '', headers } = req;
      const request = { method, path: url, headers, body: Buffer.concat(pieces) };
      heard.push(request);
      void (async () => answer(request, res))().catch(() => res.destroy());
    });
  });
  let connections = 0;
  server.on('secureConnection', () => (connections += 1));
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://localhost:${port.toString()}`,
    heard,
    connections: () => connections,
    answers: (next: Handler) => {
      answer = next;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
export type TlsPartner = Awaited<ReturnType<typeof startTlsPartner>>;

export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, { 'content-type': 'application/json', ...headers });
  res.end(JSON.stringify(body));
}

/** What a call failed with, for assertions on name and time. */
export async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call.then((value) => ({ answered: value }));
  } catch (error) {
    return error;
  }
}
