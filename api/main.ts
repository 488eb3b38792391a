import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Registry } from 'prom-client';
import { readApiConfiguration, type ApiSecrets, type ApiSettings } from '../config/environment';
import { listen, serveHealth } from '../config/health';
import { createKeyEncryption } from '../config/key-encryption';
import { createLogger, type Logger } from '../config/logger';
import { onShutdown, releaseParent } from '../config/shutdown';
import { connectTemporal } from '../config/temporal';
import { SERVER_TLS } from '../config/tls';
import { openDatabase, type Database } from '../prisma/database';
import { createStack } from './composition';
import { createIdentificationGuard } from './identification-guard';
import { createRequestLimits } from './request-limits';
import { createPluginTokenGuesses } from './plugin-token-guesses';

/** The API process: authorization server, app, partner and registry APIs over TLS, health on a port of its own. */
async function main(): Promise<void> {
  const { settings, secrets } = readApiConfiguration(process.env);
  const log = createLogger('api', settings.LOG_LEVEL);
  const database = openDatabase(secrets.DATABASE_URL, settings.DATABASE_POOL_SIZE);
  const temporal = await connectTemporal(secrets.PAYLOAD_KEYS);
  const keyEncryption = createKeyEncryption(settings, secrets);
  const identificationGuard = createIdentificationGuard({
    databaseUrl: secrets.DATABASE_URL,
    database,
    key: secrets.HIDDEN_ID_KEY,
    log,
  });
  const requestLimits = createRequestLimits(secrets.DATABASE_URL);
  const pluginTokenGuesses = createPluginTokenGuesses(secrets.DATABASE_URL);
  const app = createStack({
    pluginTokenGuesses,
    settings,
    secrets,
    database,
    temporal,
    keyEncryption,
    identificationGuard,
    requestLimits,
    log,
  });

  const server = createServer(tlsOptions(settings, secrets), app);
  server.requestTimeout = 30_000;
  server.headersTimeout = 10_000;
  server.keepAliveTimeout = 65_000;
  await listen(server, settings.API_PORT, settings.API_HOST);
  const health = await serveHealth({
    host: settings.HEALTH_HOST,
    port: settings.HEALTH_PORT,
    registry: new Registry(),
    checks: {
      database: () => database.$queryRaw`SELECT 1`,
      temporal: () => temporal.connection.workflowService.getSystemInfo({}),
    },
  });
  log.info({ event: 'started', port: settings.API_PORT }, 'started');

  onShutdown((reason) => {
    log.info({ event: 'stopping', signal: reason }, 'stopping');
    server.close(() => {
      end(database, log, [
        health.close,
        () => temporal.connection.close(),
        identificationGuard.close,
        requestLimits.close,
        pluginTokenGuesses.close,
      ]).catch(() => undefined);
    });
    server.closeIdleConnections();
    setTimeout(() => {
      server.closeAllConnections();
    }, DRAIN_MS).unref();
  });
}

/** How long requests under way may take to end after the port is closed; openings answer within theirs. */
const DRAIN_MS = 8_000;

async function end(database: Database, log: Logger, closers: readonly (() => Promise<unknown>)[]): Promise<void> {
  await Promise.allSettled(closers.map((close) => close()));
  await database.$disconnect();
  log.info({ event: 'stopped' }, 'stopped');
  releaseParent();
}

/**
 * Client certificates are asked for and not demanded by the handshake: partners of other profiles have none. Who needs
 * one is checked where the partner is known.
 */
const tlsOptions = (settings: ApiSettings, secrets: ApiSecrets) => ({
  ...SERVER_TLS,
  key: secrets.API_TLS_KEY,
  cert: readFileSync(settings.API_TLS_CERT_FILE),
  ca: readFileSync(settings.CLIENT_CA_FILE),
  requestCert: true,
  rejectUnauthorized: false,
});

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : 'The API failed.');
  process.exitCode = 1;
  releaseParent();
});
