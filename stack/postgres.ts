import { execFile } from 'node:child_process';
import { chownSync, existsSync, realpathSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { giveTo, type PostgresHome } from './postgres-home';
import { commandOf, isAlive, startTimeOf } from './process-identity';
import { explained, StackError } from './stack-error';
import { flushFolder, readIfThere } from './state-folder';
import type { ProcessPlan } from './supervisor';

const run = promisify(execFile);

/**
 * Makes the database cluster unless it is there: UTF-8, checksums, passwords for everybody, also on the loopback.
 *
 * It is made aside and moved into its place when it is whole: a cluster that was left half made looks like a finished
 * one and never starts.
 */
export async function initializePostgres(home: PostgresHome, password: string): Promise<void> {
  const { data, user } = home;
  const installed = await majorVersion(home);
  const found = readIfThere(join(data, 'PG_VERSION'))?.trim();
  if (found === installed) return;
  if (found !== undefined) {
    throw new StackError(
      `The database in ${data} is of PostgreSQL ${found}, the installed one is ${installed}.`,
      'Run `npm run reset` and start again.',
    );
  }
  const making = `${data}.making`;
  const passwordFile = `${data}.password`;
  rmSync(making, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  try {
    giveTo(making, user ?? { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
    writeFileSync(passwordFile, password, { mode: 0o600, flag: 'wx' });
    if (user) chownSync(passwordFile, user.uid, user.gid);
    await initdb(home, making, passwordFile);
    rmdirSync(data);
    renameSync(making, data);
    flushFolder(dirname(data));
  } catch (error) {
    throw explained(error, `making the first database in ${data}`);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(making, { recursive: true, force: true });
  }
}

async function initdb({ bin, user }: PostgresHome, data: string, passwordFile: string): Promise<void> {
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--encoding=UTF8'];
  const safety = ['--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--data-checksums'];
  const options = { ...user, cwd: '/', env: { PATH: process.env['PATH'], LC_ALL: 'C' } };
  try {
    await run(join(bin, 'initdb'), [`--pgdata=${data}`, '--username=postgres', ...locale, ...safety], options);
  } catch (error) {
    const said = saidBy(error);
    if (said.some((line) => line.includes('No space left'))) {
      throw explained({ code: 'ENOSPC' }, 'making the first database');
    }
    // What follows the complaint is about tidying up.
    const words = said.find((line) => /error:|FATAL:/.test(line)) ?? said.at(-1) ?? 'no word of why';
    throw new StackError(`The first database could not be made: ${words}.`, 'Run `npm run reset` and start again.');
  }
}

/** Also the proof that the programs run on this system at all, before anything rests on them. */
async function majorVersion({ bin, user }: PostgresHome): Promise<string> {
  try {
    const { stdout } = await run(join(bin, 'postgres'), ['--version'], { ...user, cwd: '/' });
    return /(\d+)(\.\d+)*\s*$/.exec(stdout)?.[1] ?? stdout.trim();
  } catch (error) {
    throw new StackError(
      `PostgreSQL from npm does not run on this system: ${saidBy(error).at(-1) ?? ''}.`,
      'Systems without glibc, such as Alpine, need docker compose.',
    );
  }
}

function saidBy(error: unknown): string[] {
  const { stderr, message } = error as { stderr?: unknown; message?: string };
  const text = typeof stderr === 'string' && stderr.trim() !== '' ? stderr : (message ?? '');
  return text
    .trim()
    .split('\n')
    .map((line) => line.trim().replace(/\.$/, ''));
}

/** How long a server that was left behind may take to write everything and stop, milliseconds. */
const STRAY_STOPS_WITHIN_MS = 15_000;

/**
 * Sees to what `postmaster.pid` names. A server that still runs on this data is ended: two on one folder destroy it,
 * and nobody supervises that one. Any other process only got the pid of one that is gone, which is common in
 * containers, and PostgreSQL would refuse to start: then the file goes.
 *
 * @param data the data folder
 */
export async function endStrayPostgres(data: string, print: (line: string) => void): Promise<void> {
  const path = join(data, 'postmaster.pid');
  const pid = Number(readIfThere(path)?.split('\n')[0]);
  if (Number.isNaN(pid)) return;
  const stray = { pid, startTime: startTimeOf(pid) };
  if (isAlive(stray)) {
    const command = commandOf(pid);
    // Unknown what it is: PostgreSQL decides for itself.
    if (command === null) return;
    if (isServerOn(command, data)) {
      print(`Ending PostgreSQL (process ${pid.toString()}), which runs on ${data} by itself.`);
      await endServer(stray);
    }
  }
  rmSync(path, { force: true });
}

function isServerOn([program = '', ...args]: string[], data: string): boolean {
  const named = args[args.indexOf('-D') + 1];
  if (!/^postgres(\.exe)?$/.test(basename(program)) || !args.includes('-D') || named === undefined) return false;
  return named === data || (existsSync(named) && realpathSync(named) === realpathSync(data));
}

/** First "fast", which ends sessions and writes everything; then "immediate", after which the log is replayed. */
async function endServer(stray: { pid: number; startTime: string | null }): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    try {
      process.kill(stray.pid, signal);
    } catch (error) {
      if ((error as { code?: string }).code === 'ESRCH') return;
      throw new StackError(
        `PostgreSQL (process ${stray.pid.toString()}) runs on this database as another user.`,
        'Stop it as that user, and start again.',
      );
    }
    for (let waitedMs = 0; waitedMs < STRAY_STOPS_WITHIN_MS && isAlive(stray); waitedMs += 50) await pause(50);
    if (!isAlive(stray)) return;
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
