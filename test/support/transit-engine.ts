import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { projectFile } from '../../config/project-root';
import { createAuthority } from '../../sandbox/test-support/running-sandbox';
import type { TransitSettings } from '../../vault/transit-key-encryption';
import { freePorts } from './free-ports';
import { until } from './until';

const READY_WITHIN_MS = 60_000;

/** A real OpenBao or HashiCorp Vault over TLS, in memory, with a token that may do what docs/operations.md asks for. */
export type TransitEngine = Awaited<ReturnType<typeof startTransitEngine>>;

/** @param program as `findOpenBao` found it */
export async function startTransitEngine(program: string) {
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-transit-engine-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const authority = await createAuthority('Key service authority');
  const own = await authority.issue('transit');
  const [port = 0] = await freePorts(1);
  const url = `https://localhost:${port.toString()}`;
  const configuration = {
    storage: { inmem: {} },
    listener: {
      tcp: {
        address: `127.0.0.1:${port.toString()}`,
        tls_cert_file: file('server.pem', own.cert),
        tls_key_file: file('server-key.pem', own.key),
      },
    },
    api_addr: url,
    disable_mlock: true,
  };
  const child = spawn(program, ['server', `-config=${file('server.json', JSON.stringify(configuration))}`], {
    stdio: 'ignore',
    env: { ...process.env, HOME: folder },
  });
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    end();
    await ended;
  }
  const agent = new Agent({ connect: { ca: authority.pem } });

  /** @returns the status, and what was answered */
  async function send(token: string, method: 'GET' | 'POST' | 'DELETE', path: string, json: object | null = null) {
    const headers = { 'x-vault-token': token, 'content-type': 'application/json' };
    const body = json && JSON.stringify(json);
    const answer = await request(`${url}/v1/${path}`, { dispatcher: agent, method, headers, body });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: JSON.parse(text || '{}') as Record<string, unknown> };
  }
  const health = async (): Promise<number> => (await send('', 'GET', 'sys/health').catch(() => ({ status: 0 }))).status;
  await until('the key service answers', async () => (await health()) > 0, READY_WITHIN_MS);
  const { body: made } = await send('', 'POST', 'sys/init', { secret_shares: 1, secret_threshold: 1 });
  const root = String(made['root_token']);
  const [unsealKey] = made['keys'] as [string];

  /** As an operator. @throws an Error for what is refused */
  async function operate(method: 'GET' | 'POST' | 'DELETE', path: string, json?: object) {
    const { status, body } = await send(root, method, path, json);
    if (status >= 300) throw new Error(`${path}: ${status.toString()} ${JSON.stringify(body)}`);
    return body;
  }
  async function unseal(): Promise<void> {
    await send('', 'POST', 'sys/unseal', { key: unsealKey });
    await until('the key service is open', async () => (await health()) === 200, READY_WITHIN_MS);
  }
  async function tokenFor(policies: readonly string[]): Promise<string> {
    const wish = { policies, no_default_policy: true, ttl: '1h' };
    const { auth } = (await operate('POST', 'auth/token/create', wish)) as { auth: { client_token: string } };
    return auth.client_token;
  }
  await unseal();
  const { policy, key } = documented();
  await operate('POST', 'sys/policies/acl/domovoy', { policy });
  const token = await tokenFor(['domovoy']);
  await operate('POST', 'sys/mounts/transit', { type: 'transit' });
  await operate('POST', key.path, key.parameters);

  const settings: TransitSettings = {
    url,
    mount: 'transit',
    keyName: 'domovoy',
    caPem: authority.pem,
    tokenFile: file('token', token),
    timeoutMs: 5_000,
  };
  return {
    /** `OpenBao v2.7.2` */
    server: (/^\w+ v[\w.-]+/.exec(execFileSync(program, ['version'], { encoding: 'utf8' })) ?? [''])[0],
    settings,
    token,
    tokenFor,
    operate,
    send,
    unseal,
    rotate: () => operate('POST', 'transit/keys/domovoy/rotate'),
    /** Another key in the place of the one that was used so far. */
    async beginAnew(otherwise: object = {}): Promise<void> {
      await operate('DELETE', 'sys/mounts/transit');
      await operate('POST', 'sys/mounts/transit', { type: 'transit' });
      await operate('POST', key.path, { ...key.parameters, ...otherwise });
    },
    stop,
    async close(): Promise<void> {
      await stop();
      process.off('exit', end);
      await agent.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What docs/operations.md tells an operator: the token's policy, and how the key is made. */
function documented() {
  const text = readFileSync(projectFile('docs/operations.md'), 'utf8');
  const [, policy = ''] = /```hcl\n([^`]+)```/.exec(text) ?? [];
  const [, path = '', words = ''] = /`vault write (\S+) ([^`]+)`/.exec(text) ?? [];
  const parameters = Object.fromEntries(words.split(' ').map((word) => word.split('=') as [string, string]));
  return { policy, key: { path, parameters } };
}
