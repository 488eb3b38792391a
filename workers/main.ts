import { existsSync, readFileSync } from 'node:fs';
import { DefaultLogger, NativeConnection, Runtime, type LogLevel } from '@temporalio/worker';
import { Registry } from 'prom-client';
import { showClock } from '../config/clock-metrics';
import {
  readCoreConfiguration,
  readWorkerConfiguration,
  type ProcessSecrets,
  type ProcessSettings,
} from '../config/environment';
import { serveHealth } from '../config/health';
import { createKeyEncryption } from '../config/key-encryption';
import { createLogger, logDestination, type Logger } from '../config/logger';
import { showPool } from '../config/pool-metrics';
import { onShutdown, releaseParent } from '../config/shutdown';
import { dataConverterWith, temporalAddress } from '../config/temporal';
import { startTracing } from '../config/tracing';
import { INTEGRATIONS, TASK_QUEUES, type TaskQueue } from '../contracts/ids';
import { createEntryAuthenticator } from '../journal/authenticity';
import { createExchangeJournal, type ExchangeJournal } from '../journal/exchanges';
import { authenticateEntriesWith } from '../journal/journal';
import { callNotes } from '../partners/journaled-calls';
import { clockSkewMs } from '../prisma/clock';
import { openDatabase, type Database } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import { openKeyStore, type KeyStore } from '../vault/key-store';
import { composeCore } from './core';
import { endWorker } from './end-worker';
import { composeIntegration, type Integrated } from './integration';
import { sdkMetrics, type SdkMetrics } from './sdk-metrics';
import { createWorker, workerName } from './worker';
import { WORKFLOW_BUNDLE_FILE } from './workflow-bundle';

/** `node workers/main.js smart-home | communal | core`: one process per integration, and one for the rest (R4.10). */
async function main(): Promise<void> {
  const taskQueue = TASK_QUEUES.find((name) => name === process.argv[2]);
  if (!taskQueue) throw new Error(`Say which worker this is: ${TASK_QUEUES.join(', ')}.`);
  if (!existsSync(WORKFLOW_BUNDLE_FILE)) throw new Error('The workflow bundle is missing: run `npm run build`.');
  const { settings, secrets, compose } = configurationOf(taskQueue);
  const name = workerName(taskQueue);
  const registry = new Registry();
  const database = openDatabase(secrets.DATABASE_URL, settings.DATABASE_POOL_SIZE, (pool) => {
    showPool(registry, pool, settings.DATABASE_POOL_SIZE);
  });
  const keyStore = openKeyStore(secrets.KEY_STORE_URL);
  showClock(registry, () => clockSkewMs(database));
  authenticateEntriesWith(createEntryAuthenticator(secrets.PAYLOAD_KEYS));
  // Before the logger, whose own key may be a call to another system.
  const journal = createExchangeJournal(
    database,
    (count) => {
      log.error({ event: 'exchanges-lost', count }, 'entries of the journal were given up');
    },
    settings.JOURNAL_SPOOL_DIR,
  );
  const integration = INTEGRATIONS.find((known) => known === taskQueue) ?? null;
  const keyEncryption = createKeyEncryption(settings, secrets, callNotes(journal, { integration, process: name }));
  const destination = await logDestination(name, settings, keyEncryption);
  const log = createLogger(name, settings.LOG_LEVEL, destination);
  const tracing = startTracing(name, settings);
  const sdk = await sdkMetrics();
  installRuntime(log, sdk);

  const { connectionOptions, namespace } = temporalAddress();
  const connection = await NativeConnection.connect(connectionOptions);
  const { activities, close } = await compose({ database, registry, keyEncryption, keyStore, journal, log });
  const worker = await createWorker({
    connection,
    namespace,
    taskQueue,
    activities,
    workflows: { workflowBundle: { code: readFileSync(WORKFLOW_BUNDLE_FILE, 'utf8') } },
    dataConverter: dataConverterWith(secrets.PAYLOAD_KEYS),
  });
  const health = await serveHealth({
    host: settings.HEALTH_HOST,
    port: settings.HEALTH_PORT,
    registry,
    more: sdk.read,
    checks: {
      database: () => database.$queryRaw`SELECT 1`,
      keyStore: () => keyStore.answers(),
      worker: () => (worker.getState() === 'RUNNING' ? Promise.resolve() : Promise.reject(new Error('not running'))),
    },
  });
  onShutdown((reason) => {
    log.info({ event: 'stopping', signal: reason }, 'stopping');
    endWorker(worker);
  });
  log.info({ event: 'started', taskQueue }, 'started');
  try {
    await worker.run();
  } finally {
    await health.close();
    await close();
    await journal.close();
    await database.$disconnect();
    await keyStore.close();
    await connection.close();
    await tracing.close();
  }
  log.info({ event: 'stopped' }, 'stopped');
  releaseParent();
}

type WorkerConfiguration = {
  readonly settings: ProcessSettings;
  readonly secrets: ProcessSecrets;
  readonly compose: (made: {
    readonly database: Database;
    readonly registry: Registry;
    readonly keyEncryption: KeyEncryption;
    readonly keyStore: KeyStore;
    readonly journal: ExchangeJournal;
    readonly log: Logger;
  }) => Promise<Integrated>;
};

/** Each kind of worker reads what it needs and no more: the key that signs documents is not an integration's. */
function configurationOf(taskQueue: TaskQueue): WorkerConfiguration {
  if (taskQueue === 'core') {
    const { settings, secrets } = readCoreConfiguration(process.env);
    return {
      settings,
      secrets,
      compose: ({ database, registry, keyEncryption, keyStore, journal, log }) =>
        composeCore(database, settings, secrets, keyEncryption, keyStore, registry, journal, log),
    };
  }
  const { settings, secrets } = readWorkerConfiguration(process.env);
  return {
    settings,
    secrets,
    compose: ({ database, registry, keyEncryption, keyStore, journal }) =>
      Promise.resolve(
        composeIntegration(taskQueue, database, settings, secrets, keyEncryption, keyStore, registry, journal),
      ),
  };
}

/** The SDK's own log lines go through the same logger and the same allow-list of fields. */
function installRuntime(log: Logger, { bindAddress }: SdkMetrics): void {
  const levels: Record<LogLevel, 'trace' | 'debug' | 'info' | 'warn' | 'error'> = {
    TRACE: 'trace',
    DEBUG: 'debug',
    INFO: 'info',
    WARN: 'warn',
    ERROR: 'error',
  };
  const logger = new DefaultLogger('INFO', ({ level, message, meta }) => {
    log[levels[level]](meta ?? {}, message);
  });
  const metrics = {
    prometheus: { bindAddress, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true },
  };
  Runtime.install({ logger, shutdownSignals: [], telemetryOptions: { metrics } });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : 'The worker failed.');
  process.exitCode = 1;
  releaseParent();
});
