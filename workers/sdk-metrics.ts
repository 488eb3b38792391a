import { createServer, type AddressInfo } from 'node:net';

/** Where the SDK's own exporter listens: on the loopback only, read by our `/metrics` and by nobody else. */
export type SdkMetrics = { readonly bindAddress: string; readonly read: () => Promise<string> };

/** The SDK takes an address and does not say which port it got, so one that is free is looked for. */
export async function sdkMetrics(): Promise<SdkMetrics> {
  const bindAddress = `127.0.0.1:${(await freePort()).toString()}`;
  return {
    bindAddress,
    async read() {
      const answer = await fetch(`http://${bindAddress}/metrics`, { signal: AbortSignal.timeout(2_000) });
      return answer.text();
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
      .once('error', reject)
      .listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as AddressInfo;
        probe.close(() => {
          resolve(port);
        });
      });
  });
}
