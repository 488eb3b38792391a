import 'reflect-metadata';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import * as x509 from '@peculiar/x509';
import type { Express, RequestHandler, Router } from 'express';
import type { JWK } from 'jose';
import { Agent, request as send } from 'undici';
import { createApp } from '../../api/app';
import { exactRouter } from '../../api/exact-paths';
import { requirePartner } from '../../api/authentication/partner';
import { requireToken } from '../../api/authentication/token';
import { createAuthorizationServer, type AuthorizationServer } from '../../api/oauth/router';
import { SCOPES } from '../../api/oauth/resources';
import { createRefusalLimits } from '../../api/refusal-limits';
import { createRequestLimits } from '../../api/request-limits';
import { noteRefusals } from '../../api/refusals';
import { createApiServer, SERVER_PATIENCE } from '../../api/server';
import { hashSecret } from '../../vault/secret-hash';
import { createLogger } from '../../config/logger';
import type { BorneRefusals } from '../../contracts/lockout';
import type { Exchange } from '../../journal/exchanges';
import type { Refusal } from '../../journal/refusals';
import type { SigningKey } from '../../partners/message-signature';
import type { PartnerProfile } from '../../partners/profile';
import { openDatabase, type Database } from '../../prisma/database';
import { ensureCertificates } from '../../stack/certificates';
import { issueClientCertificate } from '../support/client-certificates';
import { createTestDatabase } from '../support/database';

/** What a client presents in the handshake, PEM. */
export type Credential = { readonly cert: string; readonly key: string };

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The body as JSON, `{}` if it is none. */
  readonly body: Readonly<Record<string, unknown>>;
};

export type Call = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  readonly certificate?: Credential;
  /** Another instance than the first, by its address. */
  readonly at?: string;
  /** Another address of this machine to come from than the usual one: `127.0.0.1`. */
  readonly from?: string;
};

/** One API process of the suite: an address, and its own view of the keys. */
export type Instance = { readonly localUrl: string; readonly server: AuthorizationServer };

export type AuthorizationApp = {
  readonly publicUrl: string;
  /** The authority that signed our server. */
  readonly caPem: string;
  readonly instance: Instance;
  readonly owner: Database;
  readonly hiddenIdKey: Buffer;
  readonly signingKeys: readonly JWK[];
  /** Signs our answers to partners of profile `basic-signed`. */
  readonly messageKey: SigningKey;
  readonly certificates: {
    readonly shlagbaum: Credential;
    /** Of our authority, for another partner. */
    readonly otherPartner: Credential;
    /** For the right name, of an authority that we do not know. */
    readonly otherAuthority: Credential;
    /** Of our authority; the name stands in the subject only. */
    readonly subjectOnly: Credential;
  };
  /** Everything that was logged so far, one JSON line after another. */
  log(): string;
  /** What became of the requests that were noted for the journal so far. */
  readonly noted: readonly Exchange[];
  /** Who was counted as not let in so far. */
  readonly counted: readonly Refusal[];
  call(path: string, call?: Call): Promise<Answer>;
  /** Another API process on the same database, behind the same public address. */
  startAnother(borne?: BorneRefusals): Promise<Instance>;
  close(): Promise<void>;
};

/**
 * Authorization server and one operation behind each kind of authentication, over TLS and PostgreSQL as in
 * `api/main.ts`: `/app/v1/echo`, `/registry/v1/echo` and `/partner/v1/echo` say who called and with what.
 */
export async function startAuthorizationApp({ patience = SERVER_PATIENCE } = {}): Promise<AuthorizationApp> {
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-authorization-'));
  const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')];
  for (const each of [ours, theirs]) mkdirSync(each);
  const certificates = await ensureCertificates(ours);
  const strangers = await ensureCertificates(theirs);
  const db = await createTestDatabase();
  const owner = openDatabase(db.ownerUrl, 2);
  const lines: string[] = [];
  const noted: Exchange[] = [];
  const counted: Refusal[] = [];
  const log = createLogger('test', 'debug', { write: (line: string) => void lines.push(line) });
  const hiddenIdKey = randomBytes(32);
  const signingKeys = [newSigningKey('first')];
  const messageKey = { keyId: 'domovoy-answers', key: generateKeyPairSync('ed25519').privateKey };
  const closers: (() => Promise<unknown>)[] = [];
  let publicUrl: string | undefined;

  async function start(borne: BorneRefusals = { ofName: 10_000, ofNetwork: 10_000 }): Promise<Instance> {
    const database = openDatabase(db.urlFor('domovoy_api'), 4);
    const keys = {
      key: readFileSync(certificates.api.key),
      cert: readFileSync(certificates.api.certificate),
      clientCa: readFileSync(certificates.clientCa),
    };
    const https = createApiServer(keys, patience);
    await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
    const refusals = createRefusalLimits({ databaseUrl: db.urlFor('domovoy_api'), key: hiddenIdKey, borne });
    const requests = createRequestLimits({
      databaseUrl: db.urlFor('domovoy_api'),
      anyonePerSecond: 1_000,
      key: hiddenIdKey,
    });
    closers.push(
      () => database.$disconnect(),
      refusals.close,
      requests.close,
      () => new Promise((resolve) => https.close(resolve).closeAllConnections()),
    );
    const localUrl = `https://localhost:${(https.address() as AddressInfo).port.toString()}`;
    publicUrl ??= localUrl;
    const server = createAuthorizationServer({
      publicUrl,
      database,
      signingKeys,
      hiddenIdKey,
      identify: () => Promise.resolve(null),
      refusals,
      exchanges: { note: (exchange) => void noted.push(exchange) },
      log,
    });
    const checks = {
      publicUrl,
      publicKeys: server.publicKeys,
      hiddenIdKey,
      database,
      refusals,
      requests,
      log,
      limits: { requestsPerSecond: 1_000, concurrency: 100 },
      signingKey: () => messageKey,
    };
    const app: Express = createApp({
      log,
      refusals: noteRefusals({ refused: (refusal) => void counted.push(refusal) }, hiddenIdKey),
      openApiDocument: () => ({}),
      open: [server.router],
      admitAnyone: (_req, _res, next) => {
        next();
      },
      routers: {
        '/app/v1': echo([requireToken(checks, 'app', 'app')]),
        '/registry/v1': echo([requireToken(checks, 'registry', 'property-sales:report')]),
        '/partner/v1': echo(requirePartner(checks, { scope: 'openings:request' })),
      },
    });
    https.on('request', app);
    return { localUrl, server };
  }

  const instance = await start();
  const agents = new Map<string, Agent>();
  const ca = readFileSync(certificates.companyCa, 'utf8');
  const agentWith = (certificate: Credential | undefined, from: string): Agent => {
    const id = `${from}/${certificate?.cert ?? ''}`;
    const connect = { ca, checkServerIdentity: asLocalhost, ...certificate };
    const agent = agents.get(id) ?? new Agent({ connect, localAddress: from });
    agents.set(id, agent);
    return agent;
  };

  return {
    publicUrl: instance.localUrl,
    caPem: ca,
    instance,
    owner,
    hiddenIdKey,
    signingKeys,
    messageKey,
    certificates: {
      shlagbaum: read(certificates.shlagbaumClient),
      otherPartner: await issueClientCertificate(certificates.clientCa, { dnsNames: ['kluch.partner.example'] }),
      otherAuthority: read(strangers.shlagbaumClient),
      subjectOnly: await issueClientCertificate(certificates.clientCa, {
        subject: 'CN=shlagbaum.partner.example',
        dnsNames: ['kluch.partner.example'],
      }),
    },
    log: () => lines.join(''),
    noted,
    counted,
    async call(path, { method = 'POST', headers = {}, body, certificate, at = instance.localUrl, from } = {}) {
      const answer = await send(at + path, {
        method: method as 'POST',
        headers: { ...headers },
        ...(body !== undefined && { body }),
        dispatcher: agentWith(certificate, from ?? '127.0.0.1'),
      });
      const text = await answer.body.text();
      return { status: answer.statusCode, headers: flat(answer.headers), text, body: parsed(text) };
    },
    startAnother: start,
    async close() {
      await Promise.all([...agents.values()].map((agent) => agent.close()));
      for (const close of closers.reverse()) await close();
      await owner.$disconnect();
      await db.drop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A Host header of a test's own choice is what undici would compare with. */
const asLocalhost = (_host: string, certificate: PeerCertificate) => checkServerIdentity('localhost', certificate);

function echo(authentication: RequestHandler[]): Router {
  const answer: RequestHandler = (req, res) => {
    const { caller } = res.locals as { caller?: object };
    // What a contract allows is no part of who called.
    res.json({ caller: { ...caller, limits: undefined }, got: (req.body as unknown) ?? null });
  };
  return exactRouter()
    .get('/echo', ...authentication, answer)
    .post('/echo', ...authentication, answer);
}

/** Rows of one client for each way in. Secrets are returned, hashes are stored. */
export async function seedClients(owner: Database): Promise<{ app: string; vizor: string; registry: string }> {
  const [app, vizor, registry] = [newSecret(), newSecret(), newSecret()];
  const partner = { audience: 'partner', integration: 'smart_home', scopes: [...SCOPES.partner] };
  await owner.partner.createMany({ data: [partnerRow('vizor'), partnerRow('shlagbaum')] });
  await owner.oAuthClient.createMany({
    data: [
      { id: 'app', audience: 'app', authMethod: 'client_secret_basic', ...secretRow(app), scopes: ['app'] },
      {
        id: 'registry',
        audience: 'registry',
        authMethod: 'client_secret_basic',
        ...secretRow(registry),
        scopes: [...SCOPES.registry],
      },
      { id: 'vizor', partnerId: 'vizor', ...partner, authMethod: 'client_secret_basic', ...secretRow(vizor) },
      {
        id: 'shlagbaum',
        partnerId: 'shlagbaum',
        ...partner,
        authMethod: 'tls_client_auth',
        certificateName: 'shlagbaum.partner.example',
      },
    ],
  });
  return { app, vizor, registry };
}

/** @param profile settings of the profile; none are needed to recognise who brings a token */
export const partnerRow = (id: string, profile: PartnerProfile | object = {}) => ({
  id,
  integration: 'smart_home',
  displayName: id,
  custody: 'partner',
  profile,
  agreedFields: [],
});

const secretRow = (secret: string) => ({ secretHashes: [hashSecret(secret)] });

export const newSecret = (): string => randomBytes(32).toString('base64url');

export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

export const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

export function newSigningKey(kid: string): JWK {
  const { kty, crv, x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return { kty: String(kty), crv: String(crv), x: String(x), d: String(d), kid, alg: 'EdDSA', use: 'sig' };
}

export const publicPem = (key: KeyObject): string =>
  createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();

/** The thumbprint that a bound token carries (RFC 8705, section 3.1). */
export const thumbprint = ({ cert }: Credential): string =>
  createHash('sha256')
    .update(Buffer.from(x509.PemConverter.decodeFirst(cert)))
    .digest('base64url');

const read = ({ certificate, key }: { certificate: string; key: string }): Credential => ({
  cert: readFileSync(certificate, 'utf8'),
  key: readFileSync(key, 'utf8'),
});

const flat = (headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  );

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
