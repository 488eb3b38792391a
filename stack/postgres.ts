import { execFile } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { PostgresHome } from './postgres-home';
import { isAlive, startTimeOf } from './process-identity';
import { StackError } from './stack-error';
import type { ProcessPlan } from './supervisor';

const run = promisify(execFile);

/** Makes the database cluster unless it is there: UTF-8, checksums, passwords for everybody, also on the loopback. */
export async function initializePostgres({ bin, data, user }: PostgresHome, password: string): Promise<void> {
  if (existsSync(join(data, 'PG_VERSION'))) return;
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-initdb-'));
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user) for (const path of [folder, passwordFile]) chownSync(path, user.uid, user.gid);
  try {
    await run(
      join(bin, 'initdb'),
      [
        `--pgdata=${data}`,
        '--username=postgres',
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C',
        '--data-checksums',
      ],
      { ...user, cwd: '/', env: { PATH: process.env['PATH'], LC_ALL: 'C' } },
    );
  } catch (error) {
    const words =
      String((error as { stderr?: unknown }).stderr)
        .trim()
        .split('\n')
        .at(-1) ?? '';
    throw new StackError(`The first database could not be made: ${words}.`, 'Run `npm run reset` and start again.');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Removes the lock file of a server that is gone. PostgreSQL does so itself unless another process got the same pid
 * meanwhile, which is common in containers.
 */
export function clearStaleLock({ data }: PostgresHome): void {
  const path = join(data, 'postmaster.pid');
  if (!existsSync(path)) return;
  const pid = Number(readFileSync(path, 'utf8').split('\n')[0]);
  const alive = isAlive({ pid, startTime: startTimeOf(pid) });
  if (!alive || !commandOf(pid).includes('postgres')) rmSync(path, { force: true });
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid.toString()}/cmdline`, 'utf8');
  } catch {
    return 'postgres';
  }
}

/**
 * @param options.durable `false` trades safety for speed; for databases of tests only
 * @param options.maxConnections how many clients at once
 */
export function postgresPlan(
  home: PostgresHome,
  port: number,
  password: string,
  options: { durable: boolean; maxConnections: number } = { durable: true, maxConnections: 200 },
): ProcessPlan {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: options.maxConnections,
    ...(options.durable ? {} : { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }),
  };
  return {
    name: 'postgres',
    command: join(home.bin, 'postgres'),
    args: ['-D', home.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${String(value)}`])],
    env: { LC_ALL: 'C' },
    node: false,
    ...(home.user && { user: home.user }),
    // "Fast": end sessions, write everything, stop.
    stopSignal: 'SIGINT',
    ready: () => answers(postgresUrl(port, password, 'postgres')),
  };
}

export const postgresUrl = (port: number, password: string, database: string, user = 'postgres'): string =>
  `postgresql://${user}:${encodeURIComponent(password)}@127.0.0.1:${port.toString()}/${database}`;

export async function ensureDatabase(port: number, password: string, name: string): Promise<void> {
  const client = new Client({ connectionString: postgresUrl(port, password, 'postgres') });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (rowCount === 0) await client.query(`CREATE DATABASE "${name}"`);
  } finally {
    await client.end();
  }
}

async function answers(connectionString: string): Promise<boolean> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } finally {
    await client.end().catch(() => undefined);
  }
}
