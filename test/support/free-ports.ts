import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { PORT_NAMES, type Ports } from '../../stack/ports';

/** Below the range from which systems take ports for outgoing connections: those come and go while a suite starts. */
const RANGE = { from: 12_000, to: 32_000 };

/** @returns that many ports of the loopback, all different, chosen at random and free */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(RANGE.from, RANGE.to);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

/** @returns a free port for everything that the stack listens on */
export async function freeStackPorts(): Promise<Ports> {
  const ports = await freePorts(PORT_NAMES.length);
  return Object.fromEntries(PORT_NAMES.map((name, index) => [name, ports[index] ?? 0])) as Ports;
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe
      .once('error', () => {
        resolve(false);
      })
      .listen(port, '127.0.0.1', () => {
        probe.close(() => {
          resolve(true);
        });
      });
  });
