import { createServer, type Server } from 'node:https';
import { SERVER_TLS } from '../config/tls';

export type ServerKeys = {
  /** Private key and certificate chain, PEM. */
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
  /** Of the authority that signs the certificates of clients, PEM. */
  readonly clientCa: string | Buffer;
};

/**
 * How long a client may take, milliseconds. Who sends a byte now and then holds a connection for this long and no longer
 * (CWE-400); Node looks as often as `checkEvery` says, which is 30 seconds unless it is told.
 */
export type ServerPatience = {
  readonly handshake: number;
  readonly headers: number;
  /** The whole request, its body included. */
  readonly request: number;
  readonly keepAlive: number;
  readonly checkEvery: number;
};

export const SERVER_PATIENCE: ServerPatience = {
  handshake: 10_000,
  headers: 10_000,
  request: 30_000,
  keepAlive: 65_000,
  checkEvery: 2_000,
};

/**
 * The server of the API, which neither listens nor answers yet. Client certificates are asked for and not demanded by the handshake:
 * partners of other profiles have none. Who needs one is checked where the partner is known.
 */
export function createApiServer(
  { key, cert, clientCa }: ServerKeys,
  patience: ServerPatience = SERVER_PATIENCE,
): Server {
  return createServer({
    ...SERVER_TLS,
    key,
    cert,
    ca: clientCa,
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: patience.handshake,
    headersTimeout: patience.headers,
    requestTimeout: patience.request,
    keepAliveTimeout: patience.keepAlive,
    connectionsCheckingInterval: patience.checkEvery,
  });
}
