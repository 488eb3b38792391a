import { createServer, request, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { serveHealth, type Health } from './health';

describe('the port of health and metrics', () => {
  let health: Health;
  let port = 0;
  let isUp = true;
  beforeAll(async () => {
    port = await freePort();
    const checks = { database: () => (isUp ? Promise.resolve() : Promise.reject(new Error('canary-password'))) };
    health = await serveHealth({ host: '127.0.0.1', port, registry: new Registry(), checks });
  });
  afterAll(() => health.close());
  beforeEach(() => {
    isUp = true;
  });

  function ask(path: string, method = 'GET', body?: Buffer): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const asking = request({ host: '127.0.0.1', port, path, method }, (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, text });
        });
      });
      asking.on('error', reject).end(body);
    });
  }

  it('says that the process is alive, whether or not what it rests on is', async () => {
    isUp = false;
    expect(await ask('/health/live')).toEqual({ status: 200, text: '{"live":true}' });
  });

  it('says which check keeps it from being ready, and nothing about why', async () => {
    expect(await ask('/health/ready')).toEqual({ status: 200, text: '{"ready":true,"checks":{"database":true}}' });
    isUp = false;
    expect(await ask('/health/ready')).toEqual({ status: 503, text: '{"ready":false,"checks":{"database":false}}' });
  });

  it('shows metrics', async () => {
    expect((await ask('/metrics')).text).toContain('process_cpu_seconds_total');
  });

  it.each(['/', '/health', '/health/live/', '/HEALTH/LIVE', '/metrics/../etc/passwd', '/%00', '/%', '//metrics', '*'])(
    'has nothing at %s',
    async (path) => {
      expect((await ask(path)).status).toBe(404);
    },
  );

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'TRACE'])('reads only: %s is refused', async (method) => {
    for (const path of ['/health/live', '/health/ready', '/metrics'])
      expect((await ask(path, method)).status).toBe(405);
  });

  it('goes on after what is no HTTP at all', async () => {
    for (const garbage of [
      '\0\0\0\0',
      'GET /metrics HTTP/9.9\r\n\r\n',
      `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
    ]) {
      const answer = await new Promise<string>((resolve) => {
        let text = '';
        const socket = connect(port, '127.0.0.1', () => socket.end(garbage));
        socket
          .on('data', (chunk) => (text += chunk.toString()))
          .on('close', () => {
            resolve(text);
          });
      });
      expect(answer).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    }
    expect((await ask('/health/live')).status).toBe(200);
  });
});

async function freePort(): Promise<number> {
  const probe: Server = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
