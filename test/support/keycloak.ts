import { cpSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as ask } from 'node:http';
import { createServer, type Server } from 'node:https';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream';
import { parseEnv } from 'node:util';
import { Client } from 'pg';
import { fetch } from 'undici';
import { projectFile } from '../../config/project-root';
import { openStateFolder } from '../../stack/state-folder';
import { createSupervisor } from '../../stack/supervisor';
import { composeWith } from './compose';
import { serverUrl } from './database';
import { freePorts } from './free-ports';
import { until } from './until';
import type { StaffProvider, Surroundings } from './harness';

/** Two cores, a first start: it builds itself and makes its tables. */
const READY_WITHIN_MS = 240_000;
const DATABASE_PASSWORD = 'keycloak-only-for-tests';
const ADMIN_PASSWORD = 'administrator-only-for-tests';
/** What the image has and where; here it lies elsewhere. */
const HOME = '/opt/keycloak';
const SECRETS = '/run/secrets';

export type Keycloak = StaffProvider & {
  readonly issuer: string;
  /** As an administrator, in the realm of staff. @throws an Error for what is refused */
  operate(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<{ id: string | null; body: unknown }>;
  /** Kills it, and waits until it is back. */
  startAgain(): Promise<void>;
};

/**
 * The service `identity-provider` of docker-compose.yml without its container: its environment, its start.sh, its realm,
 * behind a gateway with TLS, on a database of its own.
 *
 * @param distribution as `findKeycloak` found it
 */
export async function startKeycloak(distribution: string, own: Surroundings): Promise<Keycloak> {
  const { apiUrl, ports, certificates, secrets, stateFolder } = own;
  const url = `https://localhost:${ports.identityProvider.toString()}`;
  const issuer = `${url}/realms/staff`;
  const example = parseEnv(readFileSync(projectFile('deploy/example.env'), 'utf8'));
  const variables = { ...example, API_PUBLIC_URL: apiUrl, STAFF_IDP_URL: url, STAFF_ISSUER: issuer };
  const { services } = composeWith(variables);
  const { environment = {}, volumes = [] } = services['identity-provider'] ?? {};

  const home = join(stateFolder, 'keycloak');
  cpSync(distribution, home, { recursive: true });
  const mounted = join(stateFolder, 'keycloak-secrets');
  mkdirSync(mounted);
  writeFileSync(join(mounted, 'keycloak_database_password'), `${DATABASE_PASSWORD}\n`);
  writeFileSync(join(mounted, 'keycloak_admin_password'), `${ADMIN_PASSWORD}\n`);
  writeFileSync(join(mounted, 'staff_client_secret'), secrets.staffClient.value);
  for (const [from = '', to = ''] of volumes.map((volume) => volume.split(':'))) {
    if (!to.startsWith(`${HOME}/`)) continue;
    const path = to.replace(HOME, home);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(projectFile(from), path);
  }
  const database = new URL(await makeDatabase());

  const [port = 0, managementPort = 0] = await freePorts(2);
  const ready = async () => (await fetch(`http://127.0.0.1:${managementPort.toString()}/health/ready`)).ok;
  const supervisor = createSupervisor(openStateFolder({ DOMOVOY_STATE_DIR: stateFolder }), () => undefined);
  const script = readFileSync(projectFile('deploy/keycloak/start.sh'), 'utf8');
  await supervisor.start({
    name: 'keycloak',
    command: '/bin/sh',
    args: ['-c', script.replaceAll(SECRETS, mounted).replaceAll(HOME, home)],
    env: {
      ...environment,
      // Only where things are differs from the container.
      KC_DB_URL: (environment['KC_DB_URL'] ?? '').replace('//postgres:5432/', `//${database.host}/`),
      KC_HTTP_HOST: '127.0.0.1',
      KC_HTTP_PORT: port.toString(),
      KC_HTTP_MANAGEMENT_PORT: managementPort.toString(),
      // As operations.md has it for an API whose certificate no public authority signed.
      KC_TRUSTSTORE_PATHS: certificates.companyCa,
    },
    node: false,
    ready,
    readyWithinMs: READY_WITHIN_MS,
  });
  const gateway = await serveGateway(ports.identityProvider, port, {
    cert: readFileSync(certificates.identityProvider.certificate),
    key: readFileSync(certificates.identityProvider.key),
  });

  const plain = `http://127.0.0.1:${port.toString()}`;
  const behind = { 'x-forwarded-proto': 'https', 'x-forwarded-host': new URL(url).host };
  const {
    STAFF_CLIENT_ID = '',
    STAFF_ROLES_CLAIM = '',
    STAFF_MFA_ACR = '',
    STAFF_MFA_AMR = '',
  } = services['api']?.environment ?? {};
  const words = (text: string): string[] => text.split(',').filter((word) => word !== '');
  return {
    issuer,
    settings: {
      STAFF_ISSUER: issuer,
      STAFF_CLIENT_ID,
      STAFF_ROLES_CLAIM,
      STAFF_MFA_ACR: words(STAFF_MFA_ACR),
      STAFF_MFA_AMR: words(STAFF_MFA_AMR),
    },
    async operate(method, path, body) {
      const answer = await fetch(`${plain}/admin/realms/staff${path}`, {
        method,
        headers: { ...behind, authorization: `Bearer ${await token()}`, 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status.toString()} ${text}`);
      const id = answer.headers.get('location')?.split('/').at(-1) ?? null;
      return { id, body: text === '' ? null : JSON.parse(text) };
    },
    async startAgain() {
      const pid = supervisor.pidOf('keycloak');
      if (pid !== null) process.kill(pid, 'SIGKILL');
      const isBack = async () => supervisor.pidOf('keycloak') !== pid && (await ready().catch(() => false));
      await until('Keycloak is back', isBack, READY_WITHIN_MS);
    },
    async close() {
      gateway.close();
      gateway.closeAllConnections();
      await supervisor.stop();
      for (const folder of [home, mounted]) rmSync(folder, { recursive: true, force: true });
    },
  };

  /** The first administrator's, from the file: good for a minute. */
  async function token(): Promise<string> {
    const username = environment['KC_BOOTSTRAP_ADMIN_USERNAME'] ?? '';
    const form = { grant_type: 'password', client_id: 'admin-cli', username, password: ADMIN_PASSWORD };
    const answer = await fetch(`${plain}/realms/master/protocol/openid-connect/token`, {
      method: 'POST',
      headers: { ...behind, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    });
    const { access_token: made } = (await answer.json()) as { access_token?: string };
    if (made === undefined) throw new Error(`no token for the administrator: ${answer.status.toString()}`);
    return made;
  }
}

/** As deploy/postgres/logins.sh makes it. @returns the server's address */
async function makeDatabase(): Promise<string> {
  const url = serverUrl('postgres');
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`CREATE ROLE keycloak LOGIN PASSWORD '${DATABASE_PASSWORD}'`);
    await client.query('CREATE DATABASE keycloak OWNER keycloak');
  } finally {
    await client.end();
  }
  return url;
}

/** Ends TLS and says so, as operations.md wants of the gateway in front. */
async function serveGateway(port: number, plainPort: number, tls: { cert: Buffer; key: Buffer }): Promise<Server> {
  const server = createServer(tls, (incoming, answer) => {
    const { method, url: path, headers, socket } = incoming;
    const forwarded = {
      'x-forwarded-for': socket.remoteAddress,
      'x-forwarded-proto': 'https',
      'x-forwarded-host': headers.host,
    };
    const passed = { host: '127.0.0.1', port: plainPort, method, path, headers: { ...headers, ...forwarded } };
    const asked = ask(passed, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      pipeline(answered, answer, () => undefined);
    });
    asked.on('error', () => answer.destroy());
    pipeline(incoming, asked, () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}
