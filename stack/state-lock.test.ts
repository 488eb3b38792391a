import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTimeOf } from './process-identity';
import { openStateFolder } from './state-folder';
import { lockStateFolder } from './state-lock';

const root = mkdtempSync(join(tmpdir(), 'domovoy-lock-'));
const others: ChildProcess[] = [];
afterAll(() => {
  for (const other of others) other.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});
const fresh = () => openStateFolder({ DOMOVOY_STATE_DIR: mkdtempSync(join(root, 'f-')) });

async function anotherProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  others.push(child);
  await once(child, 'spawn');
  return child.pid ?? 0;
}

const lockedBy = (pid: number, startTime: string | null) => {
  const folder = fresh();
  writeFileSync(join(folder.run, 'stack.lock'), JSON.stringify({ pid, startTime }));
  return folder;
};

describe('the lock of a state folder', () => {
  it('keeps a second stack off and names the first', async () => {
    const pid = await anotherProcess();
    const folder = lockedBy(pid, startTimeOf(pid));
    expect(() => lockStateFolder(folder)).toThrow(`Another stack (process ${pid.toString()}) runs on ${folder.path}.`);
  });

  it('is taken over when its process is gone', () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    const folder = lockedBy(pid, '1');
    lockStateFolder(folder);
    expect(readFileSync(join(folder.run, 'stack.lock'), 'utf8')).toContain(`"pid":${process.pid.toString()}`);
  });

  it('is taken over when its pid now belongs to another process', async () => {
    const folder = lockedBy(await anotherProcess(), 'long ago');
    expect(() => lockStateFolder(folder)).not.toThrow();
  });

  it('is taken over when it was left half written', () => {
    const folder = fresh();
    writeFileSync(join(folder.run, 'stack.lock'), '{"pid":');
    expect(() => lockStateFolder(folder)).not.toThrow();
  });

  it('can be had again once it is given back, and leaves nothing', () => {
    const folder = fresh();
    lockStateFolder(folder)();
    expect(readdirSync(folder.run)).toEqual([]);
    expect(() => lockStateFolder(folder)).not.toThrow();
  });
});
