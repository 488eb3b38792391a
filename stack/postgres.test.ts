import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endStrayPostgres, postgresPlan, postgresUrl } from './postgres';
import { isOpenToOthers, postgresPlaces, removePostgres } from './postgres-home';
import { isAlive } from './process-identity';

const root = mkdtempSync(join(tmpdir(), 'domovoy-postgres-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fresh = () => mkdtempSync(join(root, 'f-'));

/** A process that looks like a server on that folder: the name and the argument are what it is known by. */
async function lookalike(data: string, name = 'postgres') {
  const program = join(fresh(), name);
  symlinkSync(process.execPath, program);
  const script = join(fresh(), 'script.js');
  writeFileSync(script, 'setInterval(() => {}, 1000)');
  const child = spawn(program, [script, '-D', data], { stdio: 'ignore' });
  await once(child, 'spawn');
  return child;
}

const lockFile = (data: string, pid: number | string) => {
  writeFileSync(join(data, 'postmaster.pid'), `${String(pid)}\n${data}\n`);
  return join(data, 'postmaster.pid');
};

describe('a server that was left behind', () => {
  it('is ended when it runs on this data', async () => {
    const data = fresh();
    const child = await lookalike(data);
    const path = lockFile(data, child.pid ?? 0);
    const lines: string[] = [];
    await endStrayPostgres(data, (line) => lines.push(line));
    expect(isAlive({ pid: child.pid ?? 0, startTime: null })).toBe(false);
    expect(existsSync(path)).toBe(false);
    expect(lines).toEqual([`Ending PostgreSQL (process ${String(child.pid)}), which runs on ${data} by itself.`]);
  });

  it.each([
    ['a server on other data', 'postgres', () => fresh()],
    ['another program', 'other', (data: string) => data],
  ])('is not mistaken for %s that got its pid', async (_case, name, folderOf) => {
    const data = fresh();
    const child = await lookalike(folderOf(data), name);
    const path = lockFile(data, child.pid ?? 0);
    await endStrayPostgres(data, () => undefined);
    expect(isAlive({ pid: child.pid ?? 0, startTime: null })).toBe(true);
    expect(existsSync(path)).toBe(false);
    child.kill('SIGKILL');
  });

  it('needs nothing when there is none', async () => {
    await expect(endStrayPostgres(fresh(), () => undefined)).resolves.toBeUndefined();
  });
});

describe('the server', () => {
  const home = { bin: '/bin-folder', data: '/data-folder' };

  it('listens on the loopback only, and writes to the disk before it says so', () => {
    const { args } = postgresPlan(home, 5_000, 'secret');
    expect(args).toEqual(expect.arrayContaining(['listen_addresses=127.0.0.1', 'max_connections=200']));
    expect(args.join(' ')).not.toMatch(/fsync|synchronous_commit|secret/);
  });

  it('may forget in tests, where that is asked for', () => {
    const { args } = postgresPlan(home, 5_000, 'secret', { durable: false, maxConnections: 50 });
    expect(args).toEqual(expect.arrayContaining(['fsync=off', 'full_page_writes=off', 'synchronous_commit=off']));
  });

  it('has passwords that may hold any character', () => {
    expect(new URL(postgresUrl(1, 'a/b@c:d', 'x')).password).toBe('a%2Fb%40c%3Ad');
  });
});

describe('the data', () => {
  it('can be reached by others only when every folder above is open', () => {
    const closed = join(fresh(), 'closed');
    mkdirSync(join(closed, 'open'), { recursive: true });
    chmodSync(closed, 0o700);
    expect(isOpenToOthers(join(closed, 'open'))).toBe(false);
    expect(isOpenToOthers('/')).toBe(true);
  });

  it('is looked for and removed where the note says, if we made that folder', () => {
    const state = fresh();
    const wanted = join(state, 'postgres');
    const base = join(state, 'domovoy-postgres-0123456789ab');
    mkdirSync(join(base, 'data'), { recursive: true });
    writeFileSync(`${wanted}.moved-to`, `${base}\n`);
    expect(postgresPlaces(wanted)).toEqual([wanted, join(base, 'data')]);
    removePostgres(wanted);
    expect(existsSync(base)).toBe(false);
  });

  it('is never removed from a folder of another name', () => {
    const state = fresh();
    const wanted = join(state, 'postgres');
    const precious = join(state, 'precious');
    mkdirSync(precious);
    writeFileSync(`${wanted}.moved-to`, `${precious}\n`);
    removePostgres(wanted);
    expect(existsSync(precious)).toBe(true);
  });
});
