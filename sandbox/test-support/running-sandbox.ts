import 'reflect-metadata';
import { randomBytes, webcrypto, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as x509 from '@peculiar/x509';
import express, { type Request, type Response } from 'express';
import { Agent, request, type Dispatcher } from 'undici';
import { PartnersConfig, type PartnersConfigInput } from '../partners/config';
import { signRequest, type SigningKey } from '../partners/kluch/signatures';
import { startSimulator, type Simulator } from '../partners/simulator';

/** What the sandbox's own tests stand on: certificates, a running simulator, and a company that writes down. */

x509.cryptoProvider.set(webcrypto);
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

export type Authority = { readonly pem: string; issue(cn: string, options?: LeafOptions): Promise<Leaf> };
export type Leaf = { readonly cert: string; readonly key: string };
type LeafOptions = { readonly dns?: readonly string[]; readonly client?: boolean; readonly expired?: boolean };

export async function createAuthority(name: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const from = new Date(Date.now() - 10 * DAY_MS);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    notBefore: from,
    notAfter: new Date(Date.now() + DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  return {
    pem: authority.toString('pem'),
    async issue(cn, { dns = ['localhost'], client = false, expired = false } = {}) {
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: randomBytes(8).toString('hex'),
        subject: `CN=${cn}`,
        issuer: authority.subject,
        notBefore: from,
        notAfter: new Date(Date.now() + (expired ? -DAY_MS : DAY_MS)),
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.ExtendedKeyUsageExtension([client ? '1.3.6.1.5.5.7.3.2' : '1.3.6.1.5.5.7.3.1'], true),
          new x509.SubjectAlternativeNameExtension([
            ...dns.map((value) => ({ type: 'dns' as const, value })),
            ...(client ? [] : [{ type: 'ip' as const, value: '127.0.0.1' }]),
          ]),
        ],
      });
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64');
      return {
        cert: certificate.toString('pem'),
        key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
      };
    },
  };
}

export type Heard = { readonly path: string; readonly headers: Request['headers']; readonly body: string };

/** A company of a few lines, over TLS: tokens for whoever asks, and an answer that a test chooses. */
export async function startCompany(authority: Authority) {
  const heard: Heard[] = [];
  let answer: (req: Request, res: Response) => void = (_req, res) => res.json({ outcome: 'opened' });
  const app = express();
  app.use(express.text({ type: () => true, limit: '1mb' }));
  app.use((req, res) => {
    heard.push({ path: req.path, headers: req.headers, body: typeof req.body === 'string' ? req.body : '' });
    if (req.path === '/oauth/token') res.json({ access_token: `token-${String(heard.length)}`, expires_in: 300 });
    else answer(req, res);
  });
  const leaf = await authority.issue('company');
  const server = createServer({ ...leaf, ca: authority.pem, requestCert: true, rejectUnauthorized: false }, app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    heard,
    url: `https://localhost:${String(port)}`,
    answers: (next: typeof answer) => {
      answer = next;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export const SECRETS = {
  kluchPassword: randomBytes(24).toString('base64url'),
  vizorSecret: `${randomBytes(24).toString('base64url')}:+ %`,
  shlagbaumPassword: randomBytes(24).toString('base64url'),
};

/** A simulator on free ports with its data in a new folder, and what a test needs to call it. */
export async function startSandbox(options: { processingMs?: number } = {}) {
  const authority = await createAuthority('Sandbox test authority');
  const company = await startCompany(authority);
  const dataDir = await mkdtemp(path.join(tmpdir(), 'sandbox-'));
  const companyKey: SigningKey = { keyid: 'company-1', key: generateKeyPairSync('ed25519').privateKey };
  const kluchKey = generateKeyPairSync('ed25519').privateKey;
  const server = await authority.issue('partners');
  const expired = await authority.issue('partners', { expired: true });
  const clientLeaf = await authority.issue('domovoy', { client: true, dns: ['domovoy.example'] });
  const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const houses = [
    {
      id: 'house-1',
      devices: [
        { id: 'door-1', kind: 'door' as const, name: 'Entrance 1' },
        { id: 'barrier-1', kind: 'barrier' as const, name: 'Yard' },
      ],
    },
  ];
  const config = PartnersConfig.parse({
    dataDir,
    controlPort: 0,
    processingMs: options.processingMs ?? 0,
    company: {
      baseUrl: company.url,
      tokenUrl: `${company.url}/oauth/token`,
      resource: `${company.url}/partner/v1`,
      ca: authority.pem,
    },
    partners: {
      kluch: {
        port: 0,
        tls: server,
        expired,
        houses,
        accepts: {
          basic: [{ username: 'domovoy', password: SECRETS.kluchPassword }],
          keys: [{ keyid: companyKey.keyid, publicKey: publicJwk(companyKey.key) }],
        },
        signing: { keyid: 'kluch-1', privateKey: pem(kluchKey) },
        atCompany: { username: 'kluch', password: 'kluch-at-the-company' },
      },
      vizor: {
        port: 0,
        tls: server,
        houses,
        accepts: { clients: [{ clientId: 'domovoy', secrets: [{ secret: SECRETS.vizorSecret }] }] },
        atCompany: { clientId: 'vizor', clientSecret: 'vizor-at-the-company' },
      },
      shlagbaum: {
        port: 0,
        tls: { ...server, clientCa: authority.pem },
        houses,
        accepts: {
          clientId: 'domovoy',
          sanDns: 'domovoy.example',
          accounts: [{ username: 'svc-domovoy', password: SECRETS.shlagbaumPassword }],
        },
        atCompany: {
          clientId: 'shlagbaum',
          ...(await authority.issue('shlagbaum', { client: true, dns: ['shlagbaum.example'] })),
        },
      },
    },
  } satisfies PartnersConfigInput);

  let simulator: Simulator = await startSimulator(config, (error) => {
    throw error;
  });
  let lastSignature = '';
  const agents: Agent[] = [];
  const agentWith = (more: Partial<Leaf> = {}): Dispatcher => {
    const agent = new Agent({ connect: { ca: authority.pem, ...more } });
    agents.push(agent);
    return agent;
  };
  const agent = agentWith();

  return {
    authority,
    company,
    config,
    dataDir,
    companyKey,
    kluchKey,
    clientLeaf,
    agent,
    agentWith,
    url: (name: keyof Simulator['partners']) => simulator.partners[name].url,
    /** Asks the control port. */
    async control(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', target: string, body?: unknown): Promise<Reply> {
      return reply(
        await request(`http://127.0.0.1:${String(simulator.controlPort)}${target}`, {
          method,
          ...(Buffer.isBuffer(body)
            ? { body, headers: { 'content-type': 'image/jpeg' } }
            : body === undefined
              ? {}
              : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        }),
      );
    },
    /** Calls `kluch` as the company does; `spoil` changes the request after it was signed. */
    async kluch(method: 'GET' | 'POST', target: string, body?: unknown, how: KluchCall = {}): Promise<Reply> {
      const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body));
      const url = `${simulator.partners.kluch.url}/smart-home/v1${target}`;
      const plain: Record<string, string> = {
        ...(bytes.length === 0 ? {} : { 'content-type': 'application/json' }),
        ...(how.key === undefined ? {} : { 'idempotency-key': how.key }),
      };
      const proof = await signRequest(
        { method, url, headers: Object.entries(plain), body: bytes },
        how.signing ?? companyKey,
        how.at ?? new Date(),
      );
      const basic = Buffer.from(`domovoy:${how.password ?? SECRETS.kluchPassword}`).toString('base64');
      const signed: Sent = { headers: { authorization: `Basic ${basic}`, ...plain, ...proof }, body: bytes };
      const { headers, body: sent } = how.spoil?.(signed) ?? signed;
      lastSignature = headers['signature'] ?? '';
      const send = async () =>
        reply(await request(url, { method, headers, ...(sent.length === 0 ? {} : { body: sent }), dispatcher: agent }));
      if (how.twice === true) await send();
      return send();
    },
    /** The `Signature` of the last call to `kluch`, to which its answer is bound. */
    lastSignature: () => lastSignature,
    async restart(): Promise<void> {
      await simulator.close();
      simulator = await startSimulator(config, (error) => {
        throw error;
      });
    },
    async stop(): Promise<void> {
      await Promise.all(agents.map((each) => each.destroy()));
      await simulator.close();
      await company.close();
      await rm(dataDir, { recursive: true });
    },
  };
}
export type Sandbox = Awaited<ReturnType<typeof startSandbox>>;

type Sent = { readonly headers: Record<string, string>; readonly body: Buffer };
type KluchCall = {
  readonly key?: string;
  readonly signing?: SigningKey;
  readonly password?: string;
  readonly at?: Date;
  readonly twice?: boolean;
  readonly spoil?: (request: Sent) => Sent;
};

export type Reply = {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly body: unknown;
  readonly raw: Buffer;
};

export async function reply(answer: Dispatcher.ResponseData): Promise<Reply> {
  const raw = Buffer.from(await answer.body.arrayBuffer());
  let body: unknown = null;
  try {
    body = JSON.parse(raw.toString());
  } catch {
    body = null;
  }
  return { status: answer.statusCode, headers: answer.headers, body, raw };
}

/** Asks until the answer fits: what is waited for has no other sign. */
export async function until<T>(ask: () => Promise<T>, fits: (value: T) => boolean, withinMs = 5_000): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const value = await ask();
    if (fits(value)) return value;
    if (Date.now() > end) throw new Error(`it did not come about within ${String(withinMs)} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function publicJwk(key: KeyObject): string {
  return JSON.stringify({ ...key.export({ format: 'jwk' }), d: undefined });
}
