import type { Server } from 'node:net';
import { StartFailure, systemCode } from './start-failure';

/** Listens and says which port it got (`port` 0 asks the system for a free one). */
export async function listen(server: Server, port: number, host: string, what: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  }).catch((error: unknown) => {
    const code = systemCode(error);
    throw new StartFailure(
      code === 'EADDRINUSE'
        ? `port ${String(port)} (${what}) is taken; end the program that holds it or choose another port`
        : `cannot listen on ${host}:${String(port)} (${what}): ${code ?? 'unknown reason'}`,
    );
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new StartFailure(`${what} has no port`);
  return address.port;
}
