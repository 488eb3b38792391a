import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { showClock } from '../config/clock-metrics';
import { borneRefusals, lockoutAttempts, readApiConfiguration } from '../config/environment';
import { listen, serveHealth } from '../config/health';
import { createKeyEncryption } from '../config/key-encryption';
import { createLogger, logDestination, type Logger } from '../config/logger';
import { showPool } from '../config/pool-metrics';
import { createRequestMetrics } from '../config/request-metrics';
import { onShutdown, releaseParent } from '../config/shutdown';
import { connectTemporal } from '../config/temporal';
import { startTracing } from '../config/tracing';
import { createEntryAuthenticator } from '../journal/authenticity';
import { createExchangeJournal } from '../journal/exchanges';
import { authenticateEntriesWith } from '../journal/journal';
import { callNotes } from '../partners/journaled-calls';
import { clockSkewMs } from '../prisma/clock';
import { openDatabase, type Database } from '../prisma/database';
import { openKeyStore } from '../vault/key-store';
import { createSubjectVault } from '../vault/subject-keys';
import { createStack } from './composition';
import { createFaceIdentifier } from './face-identification';
import { createIdentificationGuard } from './identification-guard';
import { createRefusalLimits } from './refusal-limits';
import { createRequestLimits } from './request-limits';
import { createApiServer } from './server';
import { openOpeningAnswers } from './opening-answers';
import { configuredKey, openOwnKeys } from './own-keys';
import { createPluginTokenGuesses } from './plugin-token-guesses';
import { openRestoreGate } from './restore-gate';
import { createIdentityProvider } from './staff/identity-provider';

/** The API process: authorization server, app, partner and registry APIs over TLS, health on a port of its own. */
async function main(): Promise<void> {
  const { settings, secrets } = readApiConfiguration(process.env);
  const registry = new Registry();
  const database = openDatabase(secrets.DATABASE_URL, settings.DATABASE_POOL_SIZE, (pool) => {
    showPool(registry, pool, settings.DATABASE_POOL_SIZE);
  });
  const keyStore = openKeyStore(secrets.KEY_STORE_URL);
  showClock(registry, () => clockSkewMs(database));
  authenticateEntriesWith(createEntryAuthenticator(secrets.PAYLOAD_KEYS));
  // Before the logger, whose own key may be a call to another system.
  const exchanges = createExchangeJournal(
    database,
    (count) => {
      log.error({ event: 'exchanges-lost', count }, 'entries of the journal were given up');
    },
    settings.JOURNAL_SPOOL_DIR,
  );
  const note = callNotes(exchanges, { integration: null, process: 'api' });
  const keyEncryption = createKeyEncryption(settings, secrets, note);
  const destination = await logDestination('api', settings, keyEncryption);
  const log = createLogger('api', settings.LOG_LEVEL, destination);
  const tracing = startTracing('api', settings);
  const temporal = await connectTemporal(secrets.PAYLOAD_KEYS);
  const identificationGuard = createIdentificationGuard({
    databaseUrl: secrets.DATABASE_URL,
    database,
    key: secrets.HIDDEN_ID_KEY,
    attempts: lockoutAttempts(settings),
    log,
  });
  const subjects = createSubjectVault(keyEncryption, keyStore);
  const faces = createFaceIdentifier({
    database,
    subjects,
    threshold: settings.FACE_THRESHOLD,
    margin: settings.FACE_MARGIN,
    log,
  });
  const requestLimits = createRequestLimits({
    databaseUrl: secrets.DATABASE_URL,
    anyonePerSecond: settings.ANYONE_REQUESTS_PER_SECOND,
    key: secrets.HIDDEN_ID_KEY,
  });
  const openingAnswers = await openOpeningAnswers({ databaseUrl: secrets.DATABASE_URL, log });
  const refusalLimits = createRefusalLimits({
    databaseUrl: secrets.DATABASE_URL,
    key: secrets.HIDDEN_ID_KEY,
    borne: borneRefusals(settings),
  });
  const pluginTokenGuesses = createPluginTokenGuesses(secrets.DATABASE_URL);
  const identityProvider = createIdentityProvider(settings, secrets.STAFF_CLIENT_SECRET, note);
  const configured = {
    token: secrets.TOKEN_SIGNING_KEYS,
    message: [configuredKey(settings.MESSAGE_KEY_ID, secrets.MESSAGE_SIGNING_KEY)],
  };
  const ownKeys = await openOwnKeys({ database, keyEncryption, configured, log });
  const restoreGate = await openRestoreGate({ database, log });
  const app = createStack({
    restoreGate,
    identityProvider,
    ownKeys,
    pluginTokenGuesses,
    settings,
    secrets,
    database,
    temporal,
    keyEncryption,
    subjects,
    identificationGuard,
    faces,
    requestLimits,
    openingAnswers,
    refusalLimits,
    exchanges,
    metrics: createRequestMetrics(registry),
    log,
  });

  const keys = {
    key: secrets.API_TLS_KEY,
    cert: readFileSync(settings.API_TLS_CERT_FILE),
    clientCa: readFileSync(settings.CLIENT_CA_FILE),
  };
  const server = createApiServer(keys).on('request', app);
  await listen(server, settings.API_PORT, settings.API_HOST);
  const health = await serveHealth({
    host: settings.HEALTH_HOST,
    port: settings.HEALTH_PORT,
    registry,
    checks: {
      database: () => database.$queryRaw`SELECT 1`,
      keyStore: () => keyStore.answers(),
      ownKeys: ownKeys.assertFresh,
      restoreGate: restoreGate.assertOpen,
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
        faces.close,
        requestLimits.close,
        openingAnswers.close,
        refusalLimits.close,
        pluginTokenGuesses.close,
        exchanges.close,
        identityProvider.close,
        ownKeys.close,
        restoreGate.close,
        () => keyStore.close(),
        tracing.close,
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

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : 'The API failed.');
  process.exitCode = 1;
  releaseParent();
});
