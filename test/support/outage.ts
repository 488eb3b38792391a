import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A way to a server that can be cut, as when a network or a host is gone, and mended. */
export type Line = {
  /** Where to connect to instead of the server. */
  readonly port: number;
  /** Whoever is connected is cut off, and nobody gets through any more. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Of who is connected by now nothing gets through any more, and nobody is told. */
  silence(): void;
  close(): Promise<void>;
};

export async function openLine(to: { readonly host: string; readonly port: number }): Promise<Line> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const onward = connect(to.port, to.host);
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
  const cut = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    });
  const silence = (): void => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return { port, cut, mend: () => listen(port), silence, close: cut };
}
