import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { temporal as protocol } from '@temporalio/proto';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { createHousekeepingActivities } from '../../activities/housekeeping';
import { createPropertySaleActivities } from '../../activities/property-sale';
import { createOwnKeyActivities } from '../../activities/own-key-rotation';
import { createStack } from '../../api/composition';
import { createFaceIdentifier, type FaceIdentifier } from '../../api/face-identification';
import { createIdentificationGuard } from '../../api/identification-guard';
import { createRefusalLimits } from '../../api/refusal-limits';
import { createRequestLimits } from '../../api/request-limits';
import { createApiServer } from '../../api/server';
import { openOpeningAnswers } from '../../api/opening-answers';
import { createPluginTokenGuesses } from '../../api/plugin-token-guesses';
import { openRestoreGate } from '../../api/restore-gate';
import { createIdentityProvider } from '../../api/staff/identity-provider';
import { configuredKey, openOwnKeys } from '../../api/own-keys';
import {
  borneRefusals,
  lockoutAttempts,
  parseKeyRing,
  type ApiSecrets,
  type ApiSettings,
} from '../../config/environment';
import { createLogger } from '../../config/logger';
import { dataConverterWith, WORKFLOW_INTERCEPTORS } from '../../config/temporal';
import type { DataConverter } from '@temporalio/common';
import { INTEGRATIONS } from '../../contracts/ids';
import { LOCKOUTS, type LockoutAttempts } from '../../contracts/lockout';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { openErasureLedger } from '../../erasure/ledger';
import { createEntryAuthenticator } from '../../journal/authenticity';
import { createExchangeJournal } from '../../journal/exchanges';
import { authenticateEntriesWith } from '../../journal/journal';
import { callNotes } from '../../partners/journaled-calls';
import { openDatabase, type Database } from '../../prisma/database';
import { startBilling } from '../../sandbox/billing/service';
import { BillingConfig } from '../../sandbox/billing/config';
import { readConfig } from '../../sandbox/config-file';
import { IdentityProviderConfig } from '../../sandbox/identity-provider/config';
import { startIdentityProvider } from '../../sandbox/identity-provider/service';
import { PartnersConfig } from '../../sandbox/partners/config';
import { startSimulator } from '../../sandbox/partners/simulator';
import type { Certificates } from '../../stack/certificates';
import { writeSandboxConfiguration } from '../../stack/sandbox-configuration';
import type { Ports } from '../../stack/ports';
import type { StackSecrets } from '../../stack/secrets';
import { createAppBackend, createRegistryBackend, type AppBackend } from '../../stack/story/app-backend';
import { createSandbox, type Sandbox } from '../../stack/story/sandbox-control';
import { findTemporalCli } from '../../stack/temporal-cli';
import { QUICK_SETTINGS } from '../../stack/temporal-server';
import { findTestServer } from '../../stack/test-server/find';
import { APP_CLIENT_ID, STAFF_CLIENT_ID, STAFF_GROUPS } from '../../stack/town';
import { localKeyEncryption } from '../../vault/key-encryption';
import type { OwnKey } from '../../vault/own-keys';
import { openKeyStore, type KeyStore } from '../../vault/key-store';
import { createSubjectVault, type SubjectVault } from '../../vault/subject-keys';
import { processesOf } from '../../workers/core';
import { composeIntegration } from '../../workers/integration';
import { createWorker } from '../../workers/worker';
import type { KeyStoreRole } from '../../prisma/logins';
import { createTestDatabase, type TestDatabase } from './database';
import { freePorts, freeStackPorts } from './free-ports';
import { openLine, type Line } from './outage';
import { copyTown, movePartnersTo } from './town-template';
import { workflowBundle } from './workflow-bundle';

/**
 * The whole product in one process, for one suite: API over TLS, both integrations' workers, the sandbox with its
 * partners and billing, a PostgreSQL database of its own, and a Temporal server that skips time. Everything is real but
 * the clock.
 */
export type Harness = {
  readonly apiUrl: string;
  readonly caPem: string;
  readonly app: AppBackend;
  /** The property registry, with a token of its own. */
  readonly registry: AppBackend;
  readonly sandbox: Sandbox;
  readonly billingControlUrl: string;
  readonly sandboxControlUrl: string;
  readonly identityProviderControlUrl: string;
  readonly temporal: TestWorkflowEnvironment;
  /** As the tables' owner: tests look at everything. */
  readonly owner: Database;
  readonly db: TestDatabase;
  readonly secrets: StackSecrets;
  readonly certificates: Certificates;
  /** What everything listens on, or would: a suite may start processes of its own beside it. */
  readonly ports: Ports;
  /** The keys of residents, as the processes have them. */
  readonly subjects: SubjectVault;
  /** The other halves of those keys, as the owner of the store. */
  readonly keyStore: KeyStore;
  /** By which everything that was started here reaches that store. */
  readonly keyStoreLine: Line;
  /** Connection string of the store for a role, by that line. */
  keyStoreUrlFor(role: KeyStoreRole): string;
  readonly logLines: string[];
  /** Of which houses and partners the first API process has faces in memory. */
  readonly facesInMemory: FaceIdentifier['held'];
  /** What the stack keeps on disk: secrets, certificates and the sandbox's own data. */
  readonly stateFolder: string;
  /**
   * Another API process on the same database and Temporal.
   *
   * @param options.restoreGate shut while the database may be a restored backup, as the process itself is
   */
  startAnotherApi(options?: { restoreGate?: boolean }): Promise<{ apiUrl: string }>;
  /** Ends the workers as a crash would: nobody polls any more until `startWorkers`. */
  stopWorkers(): Promise<void>;
  startWorkers(): Promise<void>;
  close(): Promise<void>;
};

/** What is made for a suite before anything of it runs. */
export type Surroundings = Pick<Harness, 'apiUrl' | 'ports' | 'secrets' | 'certificates' | 'stateFolder'>;
export type StaffProvider = {
  /** By which the API knows it. */
  readonly settings: Partial<ApiSettings>;
  readonly close: () => Promise<void>;
};

const KEYWORD = protocol.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD;

/**
 * @param options.server `real` for what the time-skipping server cannot do, such as listing executions
 * @param options.settings more dynamic settings of a real server
 * @param options.core with the worker of what belongs to no integration, without its schedules and the journal's sealing
 * @param options.tokenKeyLeadMs how long a key of ours is published before it signs; half an hour, which can be skipped
 * @param options.openWithinMs time of an opening, milliseconds; long, because the first one meets cold workers on a busy machine
 * @param options.attempts failed identifications that are borne, where it is not the usual number
 * @param options.wrap what stands between the workers and their activities
 * @param options.identityProvider starts another one for staff than the sandbox's, on its port
 */
export async function createHarness(
  options: {
    openWithinMs?: number;
    server?: 'real' | 'skipping';
    settings?: readonly string[];
    core?: boolean;
    attempts?: Partial<LockoutAttempts>;
    tokenKeyLeadMs?: number;
    wrap?: <T extends object>(activities: T) => T;
    identityProvider?: (own: Surroundings) => Promise<StaffProvider>;
  } = {},
): Promise<Harness> {
  const closers: (() => Promise<unknown>)[] = [];
  const { state, secrets, certificates } = await copyTown();
  const ports = await freeStackPorts();
  const apiUrl = `https://localhost:${ports.api.toString()}`;
  const logLines: string[] = [];
  const log = createLogger('test', 'debug', { write: (line: string) => void logLines.push(line) });

  const db = await createTestDatabase('town');
  closers.push(() => db.drop());
  const owner = openDatabase(db.ownerUrl, 3);
  closers.push(() => owner.$disconnect());
  await movePartnersTo(ports, { owner, secrets, certificates });

  const configuration = writeSandboxConfiguration({ folder: state, secrets, certificates, ports, apiUrl });
  const billing = await startBilling(readConfig(configuration.billing, BillingConfig));
  closers.push(() => billing.close());
  const startStaffProvider = options.identityProvider ?? sandboxProvider(configuration.identityProvider);
  const staffProvider = await startStaffProvider({ apiUrl, ports, secrets, certificates, stateFolder: state.path });
  closers.push(() => staffProvider.close());
  const simulator = await startSimulator(readConfig(configuration.partners, PartnersConfig), (error) => {
    throw error instanceof Error ? error : new Error('the simulator failed');
  });
  closers.push(() => simulator.close());

  const ring = parseKeyRing(secrets.keyEncryptionKeys.value);
  const keyStore = openKeyStore(db.keyStoreOwnerUrl, 2);
  closers.push(() => keyStore.close());
  const { hostname, port: serverPort } = new URL(db.keyStoreOwnerUrl);
  const keyStoreLine = await openLine({ host: hostname, port: Number(serverPort) });
  closers.push(() => keyStoreLine.close());
  const keyStoreUrlFor = (role: KeyStoreRole): string => {
    const url = new URL(db.keyStoreUrlFor(role));
    url.port = keyStoreLine.port.toString();
    return url.toString();
  };
  const subjects = createSubjectVault(localKeyEncryption(ring.keys, ring.currentId), keyStore);
  const payloadKeys = parseKeyRing(secrets.payloadKeys.value);
  const dataConverter = dataConverterWith(payloadKeys);
  authenticateEntriesWith(createEntryAuthenticator(payloadKeys));
  const temporal = await (options.server === 'real'
    ? startRealServer(dataConverter, options.settings ?? [])
    : startSkippingServer(dataConverter));
  closers.push(() => temporal.teardown());

  const workers = createWorkers();
  await workers.start();
  closers.push(() => workers.stop());

  async function startApi(port: number, { restoreGate: isGated = false } = {}): Promise<FaceIdentifier> {
    const database = openDatabase(db.urlFor('domovoy_api'), 8);
    const ownKeyStore = openKeyStore(keyStoreUrlFor('domovoy_keys_api'), 4);
    const ownSubjects = createSubjectVault(localKeyEncryption(ring.keys, ring.currentId), ownKeyStore);
    const settings = {
      ...apiSettings(apiUrl, certificates, options.openWithinMs ?? 15_000, ports.identityProvider),
      ...staffProvider.settings,
    };
    const identificationGuard = createIdentificationGuard({
      databaseUrl: db.urlFor('domovoy_api'),
      database,
      key: Buffer.from(secrets.hiddenIdKey.value, 'base64'),
      attempts: { ...lockoutAttempts(settings), ...options.attempts },
      log,
    });
    const faces = createFaceIdentifier({
      database,
      subjects: ownSubjects,
      threshold: settings.FACE_THRESHOLD,
      margin: settings.FACE_MARGIN,
      log,
      sweepEveryMs: 200,
    });
    const requestLimits = createRequestLimits({
      databaseUrl: db.urlFor('domovoy_api'),
      anyonePerSecond: settings.ANYONE_REQUESTS_PER_SECOND,
      key: Buffer.from(secrets.hiddenIdKey.value, 'base64'),
    });
    const openingAnswers = await openOpeningAnswers({ databaseUrl: db.urlFor('domovoy_api'), log });
    const refusalLimits = createRefusalLimits({
      databaseUrl: db.urlFor('domovoy_api'),
      key: Buffer.from(secrets.hiddenIdKey.value, 'base64'),
      borne: borneRefusals(settings),
    });
    const pluginTokenGuesses = createPluginTokenGuesses(db.urlFor('domovoy_api'));
    const exchanges = createExchangeJournal(database, () => undefined, undefined, { refusalsEveryMs: 500 });
    const note = callNotes(exchanges, { integration: null, process: 'api' });
    const identityProvider = createIdentityProvider(settings, secrets.staffClient.value, note);
    const keyEncryption = localKeyEncryption(ring.keys, ring.currentId);
    const ownKeys = await openOwnKeys({
      database,
      keyEncryption,
      configured: {
        token: JSON.parse(secrets.tokenSigningKeys.value) as OwnKey[],
        message: [configuredKey(settings.MESSAGE_KEY_ID, secrets.messageSigningKey.value)],
      },
      log,
      lookEveryMs: 500,
    });
    const restoreGate = isGated ? await openRestoreGate({ database, log }) : undefined;
    const app = createStack({
      identityProvider,
      ...(restoreGate && { restoreGate }),
      ownKeys,
      settings,
      secrets: apiSecrets(secrets),
      database,
      temporal: temporal.client,
      keyEncryption,
      subjects: ownSubjects,
      identificationGuard,
      faces,
      requestLimits,
      openingAnswers,
      refusalLimits,
      pluginTokenGuesses,
      exchanges,
      log,
    });
    const keys = {
      key: readFileSync(certificates.api.key),
      cert: readFileSync(certificates.api.certificate),
      clientCa: readFileSync(certificates.clientCa),
    };
    const server = createApiServer(keys).on('request', app);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    closers.push(
      () => database.$disconnect(),
      () => ownKeyStore.close(),
      ownKeys.close,
      async () => restoreGate?.close(),
      identificationGuard.close,
      faces.close,
      requestLimits.close,
      openingAnswers.close,
      refusalLimits.close,
      pluginTokenGuesses.close,
      exchanges.close,
      identityProvider.close,
      () => closeServer(server),
    );
    return faces;
  }
  const faces = await startApi(ports.api);

  const caPem = readFileSync(certificates.companyCa, 'utf8');
  const clientSecret = secrets.appClient.value;
  const app = createAppBackend({ apiUrl, caPem, clientId: APP_CLIENT_ID, clientSecret });
  const registry = createRegistryBackend({
    apiUrl,
    caPem,
    clientSecret: secrets.registryClient.value,
    signingKeyPem: secrets.registrySigningKey.value,
  });
  const sandboxControlUrl = `http://127.0.0.1:${ports.sandboxControl.toString()}`;
  const sandbox = createSandbox({ controlUrl: sandboxControlUrl });
  closers.push(
    () => app.close(),
    () => registry.close(),
    () => sandbox.close(),
  );

  return {
    apiUrl,
    caPem,
    app,
    registry,
    sandbox,
    sandboxControlUrl,
    identityProviderControlUrl: `http://127.0.0.1:${ports.identityProviderControl.toString()}`,
    subjects,
    keyStore,
    keyStoreLine,
    keyStoreUrlFor,
    billingControlUrl: `http://127.0.0.1:${ports.billingControl.toString()}`,
    temporal,
    owner,
    db,
    secrets,
    certificates,
    ports,
    logLines,
    facesInMemory: faces.held,
    stateFolder: state.path,
    async startAnotherApi(more) {
      const [port = 0] = await freePorts(1);
      await startApi(port, more);
      return { apiUrl: `https://localhost:${port.toString()}` };
    },
    stopWorkers: () => workers.stop(),
    startWorkers: () => workers.start(),
    async close() {
      for (const close of closers.toReversed()) await close();
    },
  };

  function createWorkers() {
    let stops: (() => Promise<void>)[] = [];
    return {
      async start() {
        for (const integration of INTEGRATIONS) {
          const role = integration === 'smart-home' ? 'domovoy_smart_home' : 'domovoy_communal';
          const database = openDatabase(db.urlFor(role), 8);
          const keysOf = integration === 'smart-home' ? 'domovoy_keys_smart_home' : 'domovoy_keys_communal';
          const ownKeyStore = openKeyStore(keyStoreUrlFor(keysOf), 2);
          const journal = createExchangeJournal(database, () => undefined);
          const integrated = composeIntegration(
            integration,
            database,
            {
              BILLING_URL: `https://localhost:${ports.billing.toString()}`,
              BILLING_CA_FILE: certificates.companyCa,
              BILLING_TIMEOUT_MS: 800,
              BILLING_MAX_AGE_MS: 24 * 3_600_000,
            },
            { BILLING_SECRET: secrets.billing.value },
            localKeyEncryption(ring.keys, ring.currentId),
            ownKeyStore,
            new Registry(),
            journal,
          );
          const worker = await createWorker({
            connection: temporal.nativeConnection,
            namespace: temporal.namespace ?? 'default',
            taskQueue: integration,
            activities: options.wrap?.(integrated.activities) ?? integrated.activities,
            workflows: { workflowBundle: workflowBundle() },
            dataConverter,
            identity: `${integration}-${randomUUID()}`,
          });
          const running = worker.run();
          stops.push(async () => {
            worker.shutdown();
            await running;
            await integrated.close();
            await journal.close();
            await database.$disconnect();
            await ownKeyStore.close();
          });
        }
        if (options.core !== true) return;
        const database = openDatabase(db.urlFor('domovoy_core'), 4);
        const activities = coreWithoutJournal({
          database,
          keyEncryption: localKeyEncryption(ring.keys, ring.currentId),
          subjects,
          tokenKeyLeadMs: options.tokenKeyLeadMs ?? 30 * 60_000,
          ledger: openErasureLedger(join(state.path, 'erasures')),
          backupDays: 30,
          ...processesOf(temporal.client),
        });
        const worker = await createWorker({
          connection: temporal.nativeConnection,
          namespace: temporal.namespace ?? 'default',
          taskQueue: 'core',
          activities: options.wrap?.(activities) ?? activities,
          workflows: { workflowBundle: workflowBundle() },
          dataConverter,
          identity: `core-${randomUUID()}`,
        });
        const running = worker.run();
        stops.push(async () => {
          worker.shutdown();
          await running;
          await database.$disconnect();
        });
      },
      async stop() {
        const stopping = stops;
        stops = [];
        await Promise.all(stopping.map((stop) => stop()));
      },
    };
  }
}

const sandboxProvider = (configuration: string) => async (): Promise<StaffProvider> => {
  const { close } = await startIdentityProvider(readConfig(configuration, IdentityProviderConfig));
  return { settings: {}, close };
};

const coreWithoutJournal = (
  deps: Parameters<typeof createHousekeepingActivities>[0] &
    Parameters<typeof createPropertySaleActivities>[0] &
    Parameters<typeof createOwnKeyActivities>[0],
) => ({
  ...createHousekeepingActivities(deps),
  ...createPropertySaleActivities(deps),
  ...createOwnKeyActivities(deps),
});

function apiSettings(
  apiUrl: string,
  certificates: Certificates,
  openWithinMs: number,
  identityProviderPort: number,
): ApiSettings {
  return {
    LOG_LEVEL: 'debug',
    LOG_SEGMENTS_DAYS: 90,
    OTEL_TRACES_SAMPLER_ARG: 0,
    HEALTH_PORT: 1,
    HEALTH_HOST: '127.0.0.1',
    DATABASE_POOL_SIZE: 8,
    OPEN_WITHIN_MS: openWithinMs,
    KEY_ENCRYPTION: 'local',
    TRANSIT_MOUNT: 'transit',
    TRANSIT_KEY: 'domovoy',
    TRANSIT_TIMEOUT_MS: 2_000,
    API_HOST: '127.0.0.1',
    API_PORT: Number(new URL(apiUrl).port),
    API_PUBLIC_URL: apiUrl,
    API_TLS_CERT_FILE: certificates.api.certificate,
    CLIENT_CA_FILE: certificates.clientCa,
    MESSAGE_KEY_ID: 'domovoy',
    OWN_REQUESTS_PER_SECOND: 500,
    OWN_CONCURRENT_REQUESTS: 128,
    ANYONE_REQUESTS_PER_SECOND: 1_000,
    LOCKOUT_DEVICE_ATTEMPTS: LOCKOUTS.device.attempts,
    LOCKOUT_CLIENT_ATTEMPTS: LOCKOUTS.client.attempts,
    LOCKOUT_NETWORK_ATTEMPTS: LOCKOUTS.network.attempts,
    LOCKOUT_NEAR_MISS_ATTEMPTS: LOCKOUTS['near-miss'].attempts,
    LOCKOUT_PLATE_WALK_ATTEMPTS: LOCKOUTS['plate-walk'].attempts,
    REFUSALS_OF_NAME_PER_MINUTE: 10_000,
    REFUSALS_OF_NETWORK_PER_MINUTE: 10_000,
    FACE_THRESHOLD: 0.8,
    FACE_MARGIN: 0.05,
    PHOTO_MAX_BYTES: 1_000_000,
    PHOTO_MAX_PIXELS: 50_000_000,
    STAFF_ISSUER: `https://localhost:${identityProviderPort.toString()}`,
    STAFF_ISSUER_CA_FILE: certificates.companyCa,
    STAFF_CLIENT_ID,
    STAFF_ROLES_CLAIM: 'groups',
    STAFF_ROLES: Object.fromEntries(Object.entries(STAFF_GROUPS).map(([group, roles]) => [group, [...roles]])),
    STAFF_MFA_ACR: ['urn:sandbox:acr:two-factor'],
    STAFF_MFA_AMR: ['mfa'],
    STAFF_HOME: '/staff/v1/session',
    TEMPORAL_UI_ORIGIN: 'https://temporal.company.example',
    ERASURE_PROOF_MAX_AGE_MINUTES: 15,
    ERASURE_WITHDRAWAL_DAYS: 30,
    ERASURE_DEMAND_WORKING_DAYS: 10,
    ERASURE_PROLONG_WORKING_DAYS: 5,
    ERASURE_WARN_DAYS: 3,
    OPERATOR_NAME: 'PropDevelopment (tests)',
    OPERATOR_ADDRESS: '1 Example Street, Moscow',
  };
}

function apiSecrets(secrets: StackSecrets): ApiSecrets {
  return {
    DATABASE_URL: '',
    KEY_STORE_URL: '',
    KEY_ENCRYPTION_KEYS: parseKeyRing(secrets.keyEncryptionKeys.value),
    PAYLOAD_KEYS: parseKeyRing(secrets.payloadKeys.value),
    API_TLS_KEY: '',
    STAFF_CLIENT_SECRET: secrets.staffClient.value,
    TOKEN_SIGNING_KEYS: JSON.parse(secrets.tokenSigningKeys.value) as ApiSecrets['TOKEN_SIGNING_KEYS'],
    MESSAGE_SIGNING_KEY: secrets.messageSigningKey.value,
    DOCUMENT_SIGNING_KEY: secrets.documentSigningKey.value,
    HIDDEN_ID_KEY: Buffer.from(secrets.hiddenIdKey.value, 'base64'),
    PLATE_INDEX_KEY: Buffer.from(secrets.plateIndexKey.value, 'base64'),
  };
}

/** The SDK gives a server five seconds to start, which a busy machine may not keep. */
async function patiently<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt === 10) throw error;
    }
  }
}

/** It knows no search attribute until it is told. */
export async function startSkippingServer(dataConverter: DataConverter): Promise<TestWorkflowEnvironment> {
  const path = await findTestServer(process.env, () => undefined);
  const environment = await patiently(() =>
    TestWorkflowEnvironment.createTimeSkipping({
      server: { executable: { type: 'existing-path', path } },
      client: { dataConverter, interceptors: { workflow: WORKFLOW_INTERCEPTORS } },
    }),
  );
  await environment.connection.operatorService
    .addSearchAttributes({
      namespace: environment.namespace ?? 'default',
      searchAttributes: { DomovoyIntegration: KEYWORD, DomovoyProcess: KEYWORD, DomovoyState: KEYWORD },
    })
    .catch(() => undefined);
  return environment;
}

async function startRealServer(
  dataConverter: DataConverter,
  settings: readonly string[],
): Promise<TestWorkflowEnvironment> {
  const path = await findTemporalCli(process.env, () => undefined);
  return patiently(() =>
    TestWorkflowEnvironment.createLocal({
      server: {
        executable: { type: 'existing-path', path },
        searchAttributes: [INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE],
        extraArgs: [...QUICK_SETTINGS, ...settings].flatMap((setting) => ['--dynamic-config-value', setting]),
      },
      client: { dataConverter, interceptors: { workflow: WORKFLOW_INTERCEPTORS } },
    }),
  );
}

const closeServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
