import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { projectFile } from '../../config/project-root';
import { createAuthority } from '../../sandbox/test-support/running-sandbox';
import { findOpenBao } from '../../stack/openbao/find';
import type { TransitSettings } from '../../vault/transit-key-encryption';
import { startTransitEngine, type TransitEngine } from './transit-engine';

/** `documented`: may do what docs/operations.md says; `other`: may do nothing here; `revoked`: until a test revokes it. */
export const TOKENS = ['documented', 'other', 'revoked'] as const;
export type TokenName = (typeof TOKENS)[number];

type Asked = { readonly method: string; readonly path: string; readonly token: string; readonly body: object | null };
type Answered = { readonly status: number; readonly body: unknown };
type Exchange = { readonly asked: Asked; readonly answered: Answered };
type Recording = { readonly server: string; readonly exchanges: Readonly<Record<string, readonly Exchange[]>> };

/** What a test of the contract talks with: a server, or what one said. */
export type Contract = {
  readonly server: string;
  readonly settings: TransitSettings;
  readonly tokens: Readonly<Record<TokenName, string>>;
  /** Begins with a new key and the token that operations.md asks for. */
  begin(sentence: string): Promise<void>;
  /** What an operator does at a server; where its answers are recorded, it was done then. */
  operate(work: (engine: TransitEngine) => Promise<unknown>): Promise<void>;
  /** What was asked otherwise than it is recorded, or not at all. */
  strayed(): readonly unknown[];
  /** Ends the server. */
  stop(): Promise<void>;
  close(): Promise<void>;
};

const RECORDING = projectFile('vault/transit-contract.json');

/** A server where one can be had, and what one said where none can. With RECORD_TRANSIT=1 the recording is written anew. */
export async function contractOfServer(): Promise<Contract> {
  const isRecording = process.env['RECORD_TRANSIT'] === '1';
  const program = await findOpenBao(process.env, (line) => process.stderr.write(`${line}\n`));
  if (program !== null) return contractOf(program, isRecording);
  if (isRecording) throw new Error('There is no server to record.');
  return contractOfRecording();
}

async function contractOf(program: string, isRecording: boolean): Promise<Contract> {
  const engine = await startTransitEngine(program);
  const tokens = {
    documented: engine.token,
    other: await engine.tokenFor(['nothing']),
    revoked: await engine.tokenFor(['domovoy']),
  };
  const named = (token: string): string => TOKENS.find((name) => tokens[name] === token) ?? 'unknown';
  const exchanges: Record<string, Exchange[]> = {};
  let current: Exchange[] = [];
  const wire = isRecording
    ? await startWire(async (asked) => {
        const { method, path, token, body } = asked;
        const answered = await engine.send(token, method as 'GET' | 'POST', path, body);
        current.push({ asked: { ...asked, token: named(token) }, answered });
        return answered;
      })
    : undefined;
  return {
    server: engine.server,
    settings: { ...engine.settings, ...wire?.at },
    tokens,
    async begin(sentence) {
      await engine.beginAnew();
      exchanges[sentence] = current = [];
      writeFileSync(engine.settings.tokenFile, tokens.documented);
    },
    async operate(work) {
      await work(engine);
    },
    strayed: () => [],
    async stop() {
      await wire?.close();
      await engine.stop();
    },
    async close() {
      await wire?.close();
      await engine.close();
      if (!isRecording) return;
      const recording: Recording = { server: engine.server, exchanges };
      writeFileSync(RECORDING, `${JSON.stringify(recording, null, 2)}\n`);
    },
  };
}

export async function contractOfRecording(): Promise<Contract> {
  const { server, exchanges } = JSON.parse(readFileSync(RECORDING, 'utf8')) as Recording;
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-transit-recorded-'));
  const tokenFile = join(folder, 'token');
  let left: Exchange[] = [];
  let strayed: unknown[] = [];
  const wire = await startWire((asked) => {
    const next = left.shift();
    if (next && isDeepStrictEqual(asked, next.asked)) return Promise.resolve(next.answered);
    strayed.push({ asked, recorded: next?.asked });
    return Promise.resolve({ status: 501, body: {} });
  });
  return {
    server: `${server}, recorded`,
    settings: { ...wire.at, mount: 'transit', keyName: 'domovoy', tokenFile, timeoutMs: 5_000 },
    // As they are called in the recording: no token of a server is in the repository.
    tokens: { documented: 'documented', other: 'other', revoked: 'revoked' },
    begin(sentence) {
      left = [...(exchanges[sentence] ?? [])];
      strayed = [];
      writeFileSync(tokenFile, 'documented');
      return Promise.resolve();
    },
    operate: () => Promise.resolve(),
    strayed: () => [...strayed, ...left],
    stop: wire.close,
    async close() {
      await wire.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** An end of TLS of its own, which shows a test what is asked. */
async function startWire(answer: (asked: Asked) => Promise<Answered>) {
  const authority = await createAuthority('Key service authority');
  const server = createServer(await authority.issue('transit'), (req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const { method = '', url = '', headers } = req;
      const text = Buffer.concat(chunks).toString();
      const body = text === '' ? null : (JSON.parse(text) as object);
      const token = headers['x-vault-token']?.toString() ?? '';
      void answer({ method, path: url.replace('/v1/', ''), token, body }).then(({ status, body: said }) =>
        res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said)),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    at: { url: `https://localhost:${port.toString()}`, caPem: authority.pem },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
