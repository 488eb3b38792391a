import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { commandOf, isAlive, startTimeOf } from './process-identity';

describe('a process', () => {
  it('is known by its pid and the time it started', () => {
    const identity = { pid: process.pid, startTime: startTimeOf(process.pid) };
    expect(identity.startTime).not.toBeNull();
    expect(isAlive(identity)).toBe(true);
  });

  it('is not another one that got its pid', () => {
    expect(isAlive({ pid: process.pid, startTime: 'long ago' })).toBe(false);
  });

  it('is gone when it has ended', () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    expect(isAlive({ pid, startTime: null })).toBe(false);
  });

  it.each([0, -1, Number.NaN])('is never %s, which would mean a group', (pid) => {
    expect(isAlive({ pid, startTime: null })).toBe(false);
  });

  it('tells its arguments', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'some word'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const command = commandOf(child.pid ?? 0);
    child.kill('SIGKILL');
    expect(command?.join(' ')).toContain('some word');
  });
});
