import { createServer, type Server, type ServerOptions } from 'node:https';
import type { Express } from 'express';
import { listen } from './listen';
import { StartFailure } from './start-failure';

export type Certificate = { readonly cert: string; readonly key: string };

/** A partner's HTTPS port whose certificate can be swapped while it serves. */
export type TlsPort = {
  readonly port: number;
  present(certificate: Certificate): void;
  close(): Promise<void>;
};

/** Mozilla's intermediate profile (version 5.7), without the finite-field suites. */
const INTERMEDIATE: ServerOptions = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
  ecdhCurve: 'X25519:P-256:P-384',
};

/** As long as servers commonly keep a connection that nobody uses; Node's own five seconds cost a handshake each time. */
const KEPT_MS = 75_000;

/** With `clientCa` the handshake asks for a certificate of that authority and ends without one. */
export async function openTlsPort(
  app: Express,
  options: { port: number; host: string; certificate: Certificate; clientCa?: string; what: string },
): Promise<TlsPort> {
  const { clientCa, certificate } = options;
  const common: ServerOptions = {
    ...INTERMEDIATE,
    ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
  const server = created({ ...common, ...certificate }, app, options.what);
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  server.keepAliveTimeout = KEPT_MS;
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const port = await listen(server, options.port, options.host, options.what);
  return {
    port,
    present: (next) => {
      server.setSecureContext({ ...common, ...next });
      // Whoever comes back has to look at the certificate again.
      server.closeAllConnections();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), 500).unref();
      }),
  };
}

function created(options: ServerOptions, app: Express, what: string): Server {
  try {
    return createServer(options, app);
  } catch {
    throw new StartFailure(`the certificate or key of ${what} cannot be used`);
  }
}
