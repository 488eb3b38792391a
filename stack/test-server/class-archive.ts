import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Beside the jars: the classes that the server loads as it starts, as Java keeps them in memory. */
export const CLASS_ARCHIVE = 'classes.jsa';

const START_WITHIN_MS = 30_000;

/**
 * Starts the server once so that Java archives the classes it loads (application class-data sharing, JEP 350): every
 * start after that takes less than half of the processor's time. Without an archive, in Java before 13 for example, it
 * only starts slower: nothing here throws.
 *
 * @param server Java's arguments that run the server, without its port
 */
export async function archiveClasses(folder: string, java: string, server: readonly string[]): Promise<void> {
  const archive = join(folder, CLASS_ARCHIVE);
  if (existsSync(archive)) return;
  const temporary = `${archive}.${process.pid.toString()}`;
  const port = await freePort();
  const child = spawn(java, [`-XX:ArchiveClassesAtExit=${temporary}`, ...server, port.toString()], {
    cwd: folder,
    stdio: 'ignore',
  });
  const over = new AbortController();
  const ended = new Promise<void>((resolve) => {
    over.signal.addEventListener('abort', () => {
      resolve();
    });
  });
  for (const event of ['error', 'close']) {
    child.once(event, () => {
      over.abort();
    });
  }
  const untilMs = Date.now() + START_WITHIN_MS;
  while (!over.signal.aborted && Date.now() < untilMs && !(await answers(port))) await pause(100);
  child.kill('SIGTERM');
  await ended;
  if (existsSync(temporary)) renameSync(temporary, archive);
  rmSync(temporary, { force: true });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (isOpen: boolean) => (): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', end(true)).once('error', end(false));
  });
}
