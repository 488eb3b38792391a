import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isAlive, startTimeOf } from './process-identity';
import { openStateFolder, type StateFolder } from './state-folder';
import { createSupervisor, endOrphans, type ProcessPlan, type Supervisor } from './supervisor';

const root = mkdtempSync(join(tmpdir(), 'domovoy-supervisor-'));
const supervisors: Supervisor[] = [];
afterEach(async () => {
  await Promise.all(supervisors.splice(0).map((supervisor) => supervisor.stop()));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function fresh() {
  const folder = openStateFolder({ DOMOVOY_STATE_DIR: mkdtempSync(join(root, 'f-')) });
  const lines: string[] = [];
  const supervisor = createSupervisor(folder, (line) => lines.push(line));
  supervisors.push(supervisor);
  return { folder, lines, supervisor };
}

/** A Node program that writes its name into a file when it is up, and again when it is told to end. */
function program(folder: StateFolder, name: string, more = ''): ProcessPlan {
  const [up, ends] = [join(folder.sandbox, `${name}.up`), join(folder.sandbox, 'ends')];
  const script = `const fs = require('node:fs');
    process.on('SIGTERM', () => { fs.appendFileSync(${JSON.stringify(ends)}, ${JSON.stringify(`${name} `)}); process.exit(0); });
    process.on('disconnect', () => process.exit(0));
    setInterval(() => {}, 1000);
    ${more}
    fs.writeFileSync(${JSON.stringify(up)}, String(process.pid));`;
  const ready = () =>
    Promise.resolve(existsSync(up) && isAlive({ pid: Number(readFileSync(up, 'utf8')), startTime: null }));
  return { name, command: process.execPath, args: ['-e', script], node: false, ready, readyWithinMs: 60_000 };
}

const alive = (pid: number | null) => pid !== null && isAlive({ pid, startTime: null });

async function until(what: () => boolean): Promise<void> {
  for (let waitedMs = 0; !what(); waitedMs += 20) {
    if (waitedMs > 60_000) throw new Error('It did not come to that.');
    await pause(20);
  }
}

describe('the supervisor', () => {
  it('starts a process and waits until it is ready', async () => {
    const { folder, supervisor } = fresh();
    await supervisor.start(program(folder, 'one'));
    expect(alive(supervisor.pidOf('one'))).toBe(true);
    expect(readdirSync(folder.run)).toEqual(['one.pid']);
  });

  it('starts a killed process again and says why', async () => {
    const { folder, supervisor, lines } = fresh();
    await supervisor.start(program(folder, 'one'));
    const first = supervisor.pidOf('one') ?? 0;
    process.kill(first, 'SIGKILL');
    await until(() => alive(supervisor.pidOf('one')) && supervisor.pidOf('one') !== first);
    expect(lines).toEqual(['one ended (SIGKILL); starting it again.']);
  });

  it('ends our own programs first, then the servers, last started first, and leaves nothing', async () => {
    const { folder, supervisor } = fresh();
    for (const name of ['database', 'temporal']) await supervisor.start(program(folder, name));
    await supervisor.start({ ...program(folder, 'api'), node: true });
    const pids = ['database', 'temporal', 'api'].map((name) => supervisor.pidOf(name));
    await Promise.all([supervisor.stop(), supervisor.stop()]);
    expect(readFileSync(join(folder.sandbox, 'ends'), 'utf8')).toBe('api temporal database ');
    expect(pids.some(alive)).toBe(false);
    expect(readdirSync(folder.run)).toEqual([]);
  });

  it('kills what does not end in time', async () => {
    const { folder, supervisor, lines } = fresh();
    const deaf = `process.removeAllListeners('SIGTERM'); process.on('SIGTERM', () => {});`;
    await supervisor.start({ ...program(folder, 'deaf', deaf), stopWithinMs: 100 });
    const pid = supervisor.pidOf('deaf');
    await supervisor.stop();
    expect(alive(pid)).toBe(false);
    expect(lines).toEqual(['deaf does not end; killing it.']);
  });

  it('kills at once when it is told to, and what the process started with it', async () => {
    const { folder, supervisor } = fresh();
    const child = join(folder.sandbox, 'child');
    const parent = `fs.writeFileSync(${JSON.stringify(child)}, String(require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']).pid));`;
    await supervisor.start(program(folder, 'parent', parent));
    const pids = [supervisor.pidOf('parent'), Number(readFileSync(child, 'utf8'))];
    expect(pids.every(alive)).toBe(true);
    const stopped = supervisor.stop();
    supervisor.kill();
    await stopped;
    await until(() => !pids.some(alive));
  });

  it('starts nothing once it is stopping', async () => {
    const { folder, supervisor } = fresh();
    await supervisor.stop();
    await expect(supervisor.start(program(folder, 'late'))).rejects.toThrow('Stopped while starting.');
    expect(supervisor.pidOf('late')).toBeNull();
  });

  it('stops waiting for a process when everything is stopped', async () => {
    const { folder, supervisor } = fresh();
    const starting = supervisor.start({ ...program(folder, 'slow'), ready: () => Promise.resolve(false) });
    await until(() => alive(supervisor.pidOf('slow')));
    void supervisor.stop();
    await expect(starting).rejects.toThrow('Stopped while starting.');
  });

  it('says at once that a program cannot be started', async () => {
    const { folder, supervisor } = fresh();
    const startedMs = Date.now();
    const missing = { ...program(folder, 'missing'), command: '/no/such/program' };
    await expect(supervisor.start(missing)).rejects.toThrow(/missing cannot be started.*ENOENT/);
    expect(Date.now() - startedMs).toBeLessThan(30_000);
  });

  it('does not wait for ever for an answer', async () => {
    const { folder, supervisor } = fresh();
    const hangs = () => new Promise<boolean>(() => undefined);
    const plan = { ...program(folder, 'hangs'), ready: hangs, readyWithinMs: 1_000 };
    await expect(supervisor.start(plan)).rejects.toThrow('hangs did not become ready.');
  });

  it('gives up on a process that ends again and again, with its last words', async () => {
    const { folder, supervisor } = fresh();
    const plan = program(folder, 'broken', `console.error('no luck today'); process.exit(3);`);
    await expect(supervisor.start(plan)).rejects.toThrow(/did not become ready.*no luck today/s);
  });

  it('sets a long log aside', async () => {
    const { folder, supervisor } = fresh();
    writeFileSync(join(folder.logs, 'one.log'), Buffer.alloc(10_000_001));
    await supervisor.start(program(folder, 'one'));
    expect(readdirSync(folder.logs).sort()).toEqual(['one.log', 'one.log.1']);
  });
});

describe('processes that a killed stack left', () => {
  async function left(folder: StateFolder, startTime?: string) {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const { pid = 0 } = child;
    const record = { name: 'old', pid, startTime: startTime ?? startTimeOf(pid), stopSignal: 'SIGTERM', node: false };
    writeFileSync(join(folder.run, 'old.pid'), JSON.stringify(record));
    return child;
  }

  it('are ended by the next one', async () => {
    const { folder, lines } = fresh();
    const child = await left(folder);
    await endOrphans(folder, (line) => lines.push(line));
    expect(isAlive({ pid: child.pid ?? 0, startTime: null })).toBe(false);
    expect(lines).toEqual([`Ending old (process ${String(child.pid)}), left by an earlier start.`]);
    expect(readdirSync(folder.run)).toEqual([]);
  });

  it('are not mistaken for another process with the same pid', async () => {
    const { folder, lines } = fresh();
    const child = await left(folder, 'long ago');
    await endOrphans(folder, (line) => lines.push(line));
    expect(isAlive({ pid: child.pid ?? 0, startTime: null })).toBe(true);
    expect(lines).toEqual([]);
    child.kill('SIGKILL');
  });

  it('do not keep the next one from starting when their record is damaged', async () => {
    const { folder } = fresh();
    writeFileSync(join(folder.run, 'old.pid'), '{"pid":');
    await expect(endOrphans(folder, () => undefined)).resolves.toBeUndefined();
  });
});
