import { readFileSync } from 'node:fs';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { pipeline } from 'node:stream';
import { listen } from '../config/health';
import { SERVER_TLS } from '../config/tls';
import type { CertificatePaths } from './certificates';
import type { Ports } from './ports';

/** The address under which people open it, and pages of which may have payloads decoded: one and the same. */
export const temporalUiOrigin = (ports: Ports): string => `https://localhost:${ports.temporalUi.toString()}`;

/** Where the UI learns its settings from; the program that serves it can be told of a codec server, but not of cookies. */
const SETTINGS = '/api/v1/settings';

/** How its pages put it to whom the codec server does not answer; `Codec Server could not connect` by themselves. */
export const NOT_DECODED = 'Payloads are readable after you have signed in with a role that may read them:';

/**
 * Serves the Temporal UI over TLS, which its own server cannot. A page that is not loaded over TLS is of another site than
 * the API, also on the same host (RFC 6265bis, section 5.2: a site is a scheme and a host), and the browser would keep the
 * staff session's cookie, which is `SameSite=Lax`, from the codec server. An origin of its own: what runs in the UI's pages
 * must not act in the staff interface.
 *
 * @param options.codecEndpoint what the UI asks for payloads, with the cookie of whoever has signed in there
 * @param options.signInUrl where its pages send whom the codec server does not answer
 */
export async function serveTemporalUi(options: {
  port: number;
  plainPort: number;
  certificate: CertificatePaths;
  codecEndpoint: string;
  signInUrl: string;
}): Promise<{ close: () => Promise<void> }> {
  const tls = { cert: readFileSync(options.certificate.certificate), key: readFileSync(options.certificate.key) };
  const host = `localhost:${options.port.toString()}`;
  const server = createServer({ ...SERVER_TLS, ...tls }, (incoming, answer) => {
    // A name that leads here by somebody else's DNS is a page of theirs.
    if (incoming.headers.host !== host) answer.writeHead(421).end();
    else pass(incoming, answer, options);
  });
  await listen(server, options.port, '127.0.0.1');
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

function pass(
  incoming: IncomingMessage,
  answer: ServerResponse,
  { plainPort, ...codec }: { plainPort: number; codecEndpoint: string; signInUrl: string },
): void {
  const { method, url: path, headers } = incoming;
  // Its pages ask with an empty query.
  const asksSettings = path?.split('?')[0] === SETTINGS;
  const passed = { ...headers, ...(asksSettings && { 'accept-encoding': 'identity' }) };
  const asked = request({ host: '127.0.0.1', port: plainPort, method, path, headers: passed }, (answered) => {
    const { statusCode = 502 } = answered;
    if (asksSettings && statusCode === 200) {
      void withCodec(answered, codec).then(
        (text) => answer.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(text),
        () => answer.destroy(),
      );
      return;
    }
    answer.writeHead(statusCode, answered.headers);
    pipeline(answered, answer, () => undefined);
  });
  asked.on('error', () => {
    if (answer.headersSent) answer.destroy();
    else answer.writeHead(502).end();
  });
  pipeline(incoming, asked, () => undefined);
}

async function withCodec(
  answered: IncomingMessage,
  { codecEndpoint, signInUrl }: { codecEndpoint: string; signInUrl: string },
): Promise<string> {
  let text = '';
  for await (const part of answered.setEncoding('utf8')) text += String(part);
  const settings = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify({
    ...settings,
    Codec: {
      ...(settings['Codec'] as object | null),
      Endpoint: codecEndpoint,
      IncludeCredentials: true,
      DefaultErrorMessage: NOT_DECODED,
      DefaultErrorLink: signInUrl,
    },
  });
}
