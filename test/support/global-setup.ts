import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectFile } from '../../config/project-root';
import { ensureLogins } from '../../prisma/logins';
import { migrate } from '../../prisma/migrate';
import { ensureDatabase, initializePostgres, postgresPlan, postgresUrl } from '../../stack/postgres';
import { preparePostgresHome, removePostgres } from '../../stack/postgres-home';
import { openStateFolder } from '../../stack/state-folder';
import { createSupervisor } from '../../stack/supervisor';
import { findTemporalCli } from '../../stack/temporal-cli';
import { findOpenBao, NO_OPENBAO } from '../../stack/openbao/find';
import { findPromtool } from '../../stack/promtool/find';
import { findTestServer } from '../../stack/test-server/find';
import { copyDatabase, KEY_STORE_TEMPLATES, serverUrl, TEMPLATES, TEST_LOGINS } from './database';
import { freePorts, freeStackPorts } from './free-ports';
import { prepareTown } from './town-template';
import { bundleWorkflows } from './workflow-bundle';

declare global {
  var domovoyTestServer: { stop(): Promise<void> } | undefined;
}

/**
 * One PostgreSQL server for the run, templates in it; each suite makes a database of its own from one. The
 * workflows are bundled once for all suites.
 */
export default async function globalSetup(): Promise<void> {
  if (process.env['DOMOVOY_TEST_POSTGRES'] !== undefined) return;
  // What has to be fetched or built is, before the clock of any test runs; workers inherit where it is.
  process.env['TEMPORAL_TEST_SERVER'] = await findTestServer(process.env, console.log);
  process.env['DOMOVOY_TEMPORAL_CLI'] = await findTemporalCli(process.env, console.log);
  process.env['DOMOVOY_PROMTOOL'] = await findPromtool(process.env, console.log);
  process.env['DOMOVOY_OPENBAO'] = (await findOpenBao(process.env, console.log)) ?? NO_OPENBAO;
  const password = randomBytes(16).toString('hex');
  const [port = 0] = await freePorts(1);
  const state = join(tmpdir(), `domovoy-test-${randomBytes(6).toString('hex')}`);
  const folder = openStateFolder({ DOMOVOY_STATE_DIR: state });
  const bundling = bundleWorkflows(join(folder.path, 'workflow-bundle.js'));
  const home = preparePostgresHome(folder.postgres, () => undefined);
  await initializePostgres(home, password);
  const supervisor = createSupervisor(folder, () => undefined);
  await supervisor.start(postgresPlan(home, port, password, { durable: false, maxConnections: 300 }));
  globalThis.domovoyTestServer = {
    async stop() {
      await supervisor.stop();
      removePostgres(folder.postgres);
      rmSync(folder.path, { recursive: true, force: true });
    },
  };
  const migrated = async (name: string, migrations: string): Promise<string> => {
    await ensureDatabase(port, password, name);
    const url = postgresUrl(port, password, name);
    await migrate(url, projectFile(migrations));
    return url;
  };
  await migrated(KEY_STORE_TEMPLATES.empty, 'prisma/key-store-migrations');
  await ensureLogins(await migrated(TEMPLATES.empty, 'prisma/migrations'), TEST_LOGINS);
  process.env['DOMOVOY_TEST_POSTGRES'] = `postgresql://postgres:${password}@127.0.0.1:${port.toString()}`;
  await copyDatabase(TEMPLATES.empty, TEMPLATES.town);
  await copyDatabase(KEY_STORE_TEMPLATES.empty, KEY_STORE_TEMPLATES.town);
  const urls = { ownerUrl: serverUrl(TEMPLATES.town), keyStoreOwnerUrl: serverUrl(KEY_STORE_TEMPLATES.town) };
  await prepareTown(join(folder.path, 'town'), urls, await freeStackPorts());
  await bundling;
}
