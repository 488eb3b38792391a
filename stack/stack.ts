import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { projectFile } from '../config/project-root';
import { ensureLogins } from '../prisma/logins';
import { migrate } from '../prisma/migrate';
import { ensureCertificates, type Certificates } from './certificates';
import { assertPortsFree, stackPorts, type Ports } from './ports';
import { endStrayPostgres, ensureDatabase, initializePostgres, postgresPlan, postgresUrl } from './postgres';
import { preparePostgresHome } from './postgres-home';
import { apiPlan, DATABASE, KEY_STORE, KEY_STORE_LOGINS, LOGINS, sandboxPlans, workerPlan } from './processes';
import { runStep } from './progress';
import { writeSandboxConfiguration } from './sandbox-configuration';
import { stackSecrets, type StackSecrets } from './secrets';
import { seedTown, type OwnerUrls } from './seed';
import { StackError } from './stack-error';
import { assertSpace, openStateFolder, type StateFolder } from './state-folder';
import { lockStateFolder } from './state-lock';
import { createSupervisor, endOrphans, type ProcessPlan, type Supervisor } from './supervisor';
import { findTemporalCli } from './temporal-cli';
import { NAMESPACE, temporalPlan, type Histories } from './temporal-server';
import { serveTemporalUi, temporalUiOrigin } from './temporal-ui';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS, STAFF } from './town';

export type Stack = {
  readonly apiUrl: string;
  readonly companyCaPem: string;
  readonly companyCaFile: string;
  readonly secrets: StackSecrets;
  readonly ports: Ports;
  /** Connection strings of the tables' owner. */
  readonly ownerUrl: string;
  readonly keyStoreOwnerUrl: string;
  readonly gaveUp: Promise<StackError>;
  /** Folder of the journal's signed heads. */
  readonly journalHeads: string;
  /** Folder of what the processes print, and of their encrypted logs. */
  readonly logs: string;
  linkTo(workflowId: string): string;
  printAddresses(): void;
  /** Process ids of what runs, by name. */
  pids(): ReadonlyMap<string, number>;
  /** One process more, which lives and ends with the stack. */
  start(plan: ProcessPlan): Promise<void>;
  stop(): Promise<void>;
};

/** Brings the whole local stack up, step by step, and says what it does. Whatever it started ends when it fails. */
export async function runStack(
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
  ending: AbortSignal,
  histories: Histories = 'kept',
): Promise<Stack> {
  const ports = stackPorts(env);
  const folder = openStateFolder(env);
  assertSpace(folder);
  const unlock = lockStateFolder(folder);
  const supervisor = createSupervisor(folder, print);
  const others: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(others.splice(0).map((close) => close()));
    await supervisor.stop();
    unlock();
  };
  const alsoStop = (close: () => Promise<void>): void => {
    others.push(close);
  };
  ending.addEventListener('abort', () => void supervisor.stop());
  try {
    await endOrphans(folder, print);
    await assertPortsFree(ports);
    return { ...(await startEverything({ env, print, ports, folder, supervisor, ending, histories, alsoStop })), stop };
  } catch (error) {
    await stop();
    // What was under way when its servers were stopped complains of that, each in its own way.
    if (ending.aborted) throw new StackError('Stopped while starting.', 'Start again.');
    throw error;
  }
}

async function startEverything(parts: {
  env: NodeJS.ProcessEnv;
  print: (line: string) => void;
  ports: Ports;
  folder: StateFolder;
  supervisor: Supervisor;
  ending: AbortSignal;
  histories: Histories;
  /** What runs in this process, and ends with the stack. */
  alsoStop: (close: () => Promise<void>) => void;
}): Promise<Omit<Stack, 'stop'>> {
  const { env, print, ports, folder, supervisor } = parts;
  const step = async (what: string, work: () => Promise<void>): Promise<void> => {
    if (parts.ending.aborted) throw new StackError('Stopped while starting.', 'Start again.');
    await runStep(what, work);
  };
  const cli = await findTemporalCli(env, print, parts.ending);
  const certificates = await ensureCertificates(folder.certificates);
  const secrets = stackSecrets(folder);
  const apiUrl = `https://localhost:${ports.api.toString()}`;

  await step('PostgreSQL', () => startPostgres({ folder, ports, secrets, supervisor, print }));
  const urls = ownerUrls(ports, secrets);
  await step('databases', () => prepareDatabases(urls, { ports, secrets, certificates }));
  await step('Temporal', async () => {
    await supervisor.start(temporalPlan(cli, folder, ports, parts.histories));
    const codecEndpoint = `${apiUrl}/staff/v1/codec`;
    const { temporalUi: port, temporalUiPlain: plainPort } = ports;
    const signInUrl = `${apiUrl}/staff/login`;
    const certificate = certificates.temporalUi;
    const ui = await serveTemporalUi({ port, plainPort, certificate, codecEndpoint, signInUrl });
    parts.alsoStop(ui.close);
  });
  await step('billing, partners and staff identity provider', async () => {
    const configuration = writeSandboxConfiguration({ folder, secrets, certificates, ports, apiUrl });
    await Promise.all(sandboxPlans(configuration, ports).map((plan) => supervisor.start(plan)));
  });
  const own = {
    secrets,
    certificates,
    ports,
    apiUrl,
    journalHeads: folder.journalHeads,
    journalSpools: folder.journalSpools,
    erasures: folder.erasures,
    logs: folder.logs,
  };
  await step('API and workers', async () => {
    const queues = ['smart-home', 'communal', 'core'] as const;
    const plans = [...queues.map((queue) => workerPlan(own, queue)), apiPlan(own)];
    await Promise.all(plans.map((plan) => supervisor.start(plan)));
  });

  const uiUrl = `${temporalUiOrigin(ports)}/namespaces/${NAMESPACE}/workflows`;
  return {
    apiUrl,
    companyCaPem: readFileSync(certificates.companyCa, 'utf8'),
    companyCaFile: certificates.companyCa,
    secrets,
    ports,
    ...urls,
    journalHeads: folder.journalHeads,
    logs: folder.logs,
    gaveUp: supervisor.gaveUp,
    pids: () => supervisor.pids(),
    start: (plan) => supervisor.start(plan),
    linkTo: (workflowId) => `${uiUrl}/${encodeURIComponent(workflowId)}`,
    printAddresses() {
      printAddresses({ print, apiUrl, uiUrl, folder, certificates, secrets, ports });
    },
  };
}

async function startPostgres(parts: {
  folder: StateFolder;
  ports: Ports;
  secrets: StackSecrets;
  supervisor: Supervisor;
  print: (line: string) => void;
}): Promise<void> {
  const { folder, ports, secrets, supervisor, print } = parts;
  const home = preparePostgresHome(folder.postgres, print);
  await initializePostgres(home, secrets.postgres.value);
  await endStrayPostgres(home.data, print);
  await supervisor.start(postgresPlan(home, ports.postgres, secrets.postgres.value));
  for (const name of [DATABASE, KEY_STORE]) await ensureDatabase(ports.postgres, secrets.postgres.value, name);
}

/** Connection strings of the tables' owner in the local stack. */
export const ownerUrls = ({ postgres }: Ports, secrets: StackSecrets): OwnerUrls => ({
  ownerUrl: postgresUrl(postgres, secrets.postgres.value, DATABASE),
  keyStoreOwnerUrl: postgresUrl(postgres, secrets.postgres.value, KEY_STORE),
});

async function prepareDatabases(
  urls: OwnerUrls,
  seeding: { ports: Ports; secrets: StackSecrets; certificates: Certificates },
): Promise<void> {
  const { ownerUrl, keyStoreOwnerUrl } = urls;
  await migrate(keyStoreOwnerUrl, projectFile('prisma/key-store-migrations'));
  await migrate(ownerUrl, projectFile('prisma/migrations'));
  const { secrets } = seeding;
  await ensureLogins(ownerUrl, [
    { name: LOGINS.api, password: secrets.apiDatabase.value, role: 'domovoy_api' },
    { name: LOGINS['smart-home'], password: secrets.smartHomeDatabase.value, role: 'domovoy_smart_home' },
    { name: LOGINS.communal, password: secrets.communalDatabase.value, role: 'domovoy_communal' },
    { name: LOGINS.core, password: secrets.coreDatabase.value, role: 'domovoy_core' },
    { name: LOGINS.auditor, password: secrets.auditorDatabase.value, role: 'domovoy_auditor' },
    { name: KEY_STORE_LOGINS.api, password: secrets.apiKeyStore.value, role: 'domovoy_keys_api' },
    {
      name: KEY_STORE_LOGINS['smart-home'],
      password: secrets.smartHomeKeyStore.value,
      role: 'domovoy_keys_smart_home',
    },
    { name: KEY_STORE_LOGINS.communal, password: secrets.communalKeyStore.value, role: 'domovoy_keys_communal' },
    { name: KEY_STORE_LOGINS.core, password: secrets.coreKeyStore.value, role: 'domovoy_keys_core' },
  ]);
  await seedTown(urls, seeding);
}

function printAddresses(options: {
  print: (line: string) => void;
  apiUrl: string;
  uiUrl: string;
  folder: StateFolder;
  certificates: Certificates;
  secrets: StackSecrets;
  ports: Ports;
}): void {
  const { print, apiUrl, uiUrl, folder, certificates, secrets, ports } = options;
  const [partner] = PARTNERS;
  const curl = `curl -sS --cacert '${certificates.companyCa}'`;
  print('');
  print(`API            ${apiUrl}   (document: ${apiUrl}/openapi.json, to read: ${apiUrl}/docs)`);
  print(
    `Temporal UI    ${uiUrl}   (payloads readable once you have signed in as staff; trust ${certificates.companyCa})`,
  );
  print(`Sandbox        http://127.0.0.1:${ports.sandboxControl.toString()}   (see sandbox/README.md)`);
  print(
    `Staff          ${apiUrl}/staff/login   (${STAFF.map(({ username }) => username).join(', ')}; passwords in ` +
      `${dirname(secrets.staffClient.path)}/staff-NAME-password)`,
  );
  print(
    `Staff IdP      https://localhost:${ports.identityProvider.toString()}   (codes: curl -s ` +
      `http://127.0.0.1:${ports.identityProviderControl.toString()}/control/accounts/NAME/totp)`,
  );
  print(`State          ${folder.path}   (logs in logs/; removed by: npm run reset)`);
  print('');
  print('Open a door on demand:');
  print(
    `  TOKEN=$(${curl} -u "${APP_CLIENT_ID}:$(cat '${secrets.appClient.path}')" -d grant_type=client_credentials -d scope=app ` +
      `${apiUrl}/oauth/token | node -p 'JSON.parse(require("fs").readFileSync(0)).access_token') && ` +
      `${curl} -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: $(date +%s%N)" -H 'Content-Type: application/json' ` +
      `-d '{"residentId":"${RESIDENTS.anna.id}"}' ${apiUrl}/app/v1/access-points/${partner?.doorId ?? ''}/openings`,
  );
  print('');
  print('Ctrl-C ends it.');
}
