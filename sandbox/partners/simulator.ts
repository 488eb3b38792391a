import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import path from 'node:path';
import type { Express } from 'express';
import type { Dispatcher } from 'undici';
import { openAppendLog } from '../append-log';
import { openControlPort } from '../control-port';
import { createAccessTokens } from './access-tokens';
import { createCallLog } from './call-log';
import { createCompanyClient, type Credentials } from './company-client';
import { basicProof, bearerCredentials, requestToken, type TokenClient } from './company-tokens';
import type { PartnersConfig } from './config';
import { partnersControl } from './control';
import type { House, Settings } from './custody';
import { openCustody } from './custody-store';
import { createEffects } from './effects';
import { createFaults } from './faults';
import { knownCredentials, type ConfiguredCredentials } from './known-credentials';
import { publishedKeys, signedCredentials } from './kluch/company-credentials';
import { openNonces } from './kluch/nonces';
import { kluchApp } from './kluch/server';
import { createOutbox } from './outbox';
import { tryAtCompany } from './own-credential';
import type { Partner, PartnerName } from './partner';
import { thumbprintOf } from './shlagbaum/client-certificate';
import { createLogins } from './shlagbaum/logins';
import { shlagbaumApp } from './shlagbaum/server';
import { ownSigningKey, privateKey } from './signing-key';
import { openTlsPort, type Certificate } from '../tls-port';
import { vizorApp } from './vizor/server';

export type Simulator = {
  readonly controlPort: number;
  readonly partners: Readonly<Record<PartnerName, Partner>>;
  close(): Promise<void>;
};

/** Starts the three partners and their control port. `onFatal` is told when a partner can no longer write its data. */
export async function startSimulator(config: PartnersConfig, onFatal: (error: unknown) => void): Promise<Simulator> {
  const now = () => new Date();
  const opened: Partner[] = [];
  try {
    const kluch = await startKluch(config, now, onFatal);
    opened.push(kluch);
    const vizor = await startVizor(config, now, onFatal);
    opened.push(vizor);
    const shlagbaum = await startShlagbaum(config, now, onFatal);
    opened.push(shlagbaum);
    const partners = { kluch, vizor, shlagbaum };
    const control = await openControlPort(
      partnersControl(partners, config.logExportKeys),
      config.controlPort,
      'control port',
    );
    opened.forEach(({ effects }) => effects.resume());
    return {
      controlPort: control.port,
      partners,
      close: async () => {
        await control.close();
        await Promise.all(opened.map((partner) => partner.close()));
      },
    };
  } catch (error) {
    await Promise.all(opened.map((partner) => partner.close()));
    throw error;
  }
}

type Start = { readonly config: PartnersConfig; readonly now: () => Date; readonly onFatal: (error: unknown) => void };

/** What every profile has: data, faults, effects, outbox, a client of the company. */
async function createGround(
  { config, now, onFatal }: Start,
  options: {
    readonly name: PartnerName;
    readonly houses: readonly House[];
    readonly configured: ConfiguredCredentials;
    readonly clientCertificate?: Certificate;
    readonly credentials: (agent: Dispatcher) => Credentials;
  },
) {
  const log = await openAppendLog(path.join(config.dataDir, `${options.name}.jsonl`));
  const settings: Settings = {
    processingMs: config.processingMs,
    enrollment: 'automatic',
    deletionWebhooks: 'pending',
  };
  const store = openCustody(log, { houses: options.houses, settings }, onFatal);
  const faults = createFaults();
  const company = createCompanyClient({
    baseUrl: config.company.baseUrl,
    ca: config.company.ca,
    ...(options.clientCertificate === undefined ? {} : { clientCertificate: options.clientCertificate }),
    credentials: options.credentials,
  });
  const outbox = createOutbox({ store: () => store, faults, call: (call, how) => company.call(call, how) });
  const effects = createEffects({
    store,
    now,
    announce: (eventId) => void outbox.send(eventId).catch(() => undefined),
  });
  const onUnexpected = (error: unknown) => {
    const place =
      error instanceof Error ? error.stack?.split('\n').find((line) => line.trimStart().startsWith('at ')) : '';
    const kind = error instanceof Error ? error.name : 'unknown';
    console.error(JSON.stringify({ partner: options.name, unexpected: kind, place: place?.trim() }));
  };
  return {
    store,
    faults,
    effects,
    company,
    outbox,
    calls: createCallLog(),
    credentials: knownCredentials(options.configured, () => store.credentials),
    now,
    onUnexpected,
    release: async () => {
      effects.stop();
      outbox.stop();
      await company.close();
      await log.close();
    },
  };
}
type Ground = Awaited<ReturnType<typeof createGround>>;

/** Opens the port and puts the partner together. */
async function opened(
  { config }: Start,
  ground: Ground,
  options: {
    readonly name: PartnerName;
    readonly custody: Partner['custody'];
    readonly app: Express;
    readonly stop: () => void;
    readonly port: number;
    readonly certificate: Certificate;
    readonly clientCa?: string;
    readonly expired: Certificate | undefined;
    readonly origin: Origin;
    readonly identify: Partner['identify'];
    readonly useAtCompany: Partner['useAtCompany'];
    readonly usedAtCompany?: Partner['usedAtCompany'];
    readonly revokeTokens?: Partner['revokeTokens'];
    readonly endLogins?: Partner['endLogins'];
    readonly release?: () => void;
  },
): Promise<Partner> {
  const { name, certificate, expired, origin } = options;
  const port = await openTlsPort(options.app, {
    port: options.port,
    host: config.host,
    certificate,
    ...(options.clientCa === undefined ? {} : { clientCa: options.clientCa }),
    what: name,
  }).catch(async (error: unknown) => {
    await ground.release();
    options.release?.();
    throw error;
  });
  origin.listens(port.port);
  let presentsExpired = false;
  const { store, effects, faults, calls, credentials, company, outbox } = ground;
  return {
    name,
    url: origin.url(),
    custody: options.custody,
    store,
    effects,
    faults,
    calls,
    credentials,
    company,
    outbox,
    identify: options.identify,
    useAtCompany: options.useAtCompany,
    usedAtCompany: options.usedAtCompany ?? (() => ({})),
    revokeTokens: options.revokeTokens ?? null,
    endLogins: options.endLogins ?? null,
    presentExpired: (wanted) => {
      if (wanted && expired === undefined) return false;
      if (wanted !== presentsExpired) port.present(wanted && expired !== undefined ? expired : certificate);
      presentsExpired = wanted;
      return true;
    },
    close: async () => {
      options.stop();
      await port.close();
      await ground.release();
      options.release?.();
    },
  };
}

/** Where a partner is called; the port is known once it listens. */
type Origin = ReturnType<typeof createOrigin>;
function createOrigin(publicUrl: string | undefined) {
  let port = 0;
  const url = () => publicUrl?.replace(/\/$/, '') ?? `https://localhost:${String(port)}`;
  return {
    listens: (opened: number) => {
      port = opened;
    },
    url,
    authorities: () => [
      new URL(url()).host,
      `localhost:${String(port)}`,
      `127.0.0.1:${String(port)}`,
      `[::1]:${String(port)}`,
    ],
  };
}

async function startKluch(
  config: PartnersConfig,
  now: () => Date,
  onFatal: (error: unknown) => void,
): Promise<Partner> {
  const start = { config, now, onFatal };
  const name = 'kluch';
  const own = config.partners.kluch;
  const { messageKeysUrl } = config.company;
  let signing = { keyid: own.signing.keyid, key: privateKey(own.signing.privateKey, "kluch's signing key") };
  let atCompany: Readonly<Record<'username' | 'password', string>> = own.atCompany;
  const ground = await createGround(start, {
    name,
    houses: own.houses,
    configured: {
      passwords: own.accepts.basic.map((each, index) => ({ ...each, id: each.id ?? `basic-${String(index + 1)}` })),
      secrets: [],
      keys: own.accepts.keys.map((each, index) => ({ ...each, id: each.id ?? `key-${String(index + 1)}` })),
    },
    credentials: (agent) =>
      signedCredentials(
        () => ({ ...atCompany, signing }),
        now,
        messageKeysUrl === undefined ? undefined : publishedKeys(agent, messageKeysUrl, now),
      ),
  });
  atCompany = { ...atCompany, ...ground.store.own };
  const origin = createOrigin(own.publicUrl);
  const nonces = openNonces(path.join(config.dataDir, 'kluch-nonces.jsonl'), now);
  const { app, stop } = kluchApp({
    ...ground,
    nonces,
    signing: () => signing,
    wrongKey: { keyid: own.signing.keyid, key: generateKeyPairSync('ed25519').privateKey },
    authorities: () => [...origin.authorities(), ...own.authorities],
    adopted: () => {
      atCompany = { ...atCompany, ...ground.store.own };
      tryAtCompany(ground.company);
    },
  });
  return opened(start, ground, {
    name,
    custody: 'partner',
    app,
    stop,
    port: own.port,
    certificate: own.tls,
    expired: own.expired,
    origin,
    identify: null,
    usedAtCompany: () => atCompany,
    useAtCompany: ({ signingKeyId, signingKey, ...given }) => {
      atCompany = { ...atCompany, ...given };
      if (signingKeyId !== undefined && signingKey !== undefined) {
        signing = { keyid: signingKeyId, key: privateKey(signingKey, "kluch's new signing key") };
      }
    },
    release: () => nonces.close(),
  });
}

async function startVizor(
  config: PartnersConfig,
  now: () => Date,
  onFatal: (error: unknown) => void,
): Promise<Partner> {
  const start = { config, now, onFatal };
  const name = 'vizor';
  const own = config.partners.vizor;
  let atCompany: Readonly<Record<'clientId' | 'clientSecret', string>> = own.atCompany;
  const tokenClient = (): TokenClient => ({
    tokenUrl: config.company.tokenUrl,
    resource: config.company.resource,
    proof: basicProof(atCompany.clientId, atCompany.clientSecret),
  });
  let cached: Credentials | undefined;
  const ground = await createGround(start, {
    name,
    houses: own.houses,
    configured: {
      passwords: [],
      secrets: own.accepts.clients.flatMap(({ clientId, secrets }) =>
        secrets.map(({ id, secret }, index) => ({ id: id ?? `${clientId}-${String(index + 1)}`, clientId, secret })),
      ),
      keys: [],
    },
    credentials: (agent) => (cached = bearerCredentials(agent, tokenClient)),
  });
  atCompany = { ...atCompany, ...ground.store.own };
  const origin = createOrigin(own.publicUrl);
  const tokens = await createAccessTokens({
    issuer: () => origin.url(),
    audience: () => `${origin.url()}/api/v1`,
    key: ownSigningKey(path.join(config.dataDir, 'vizor-token-key.pem')),
    now,
  });
  const { app, stop } = vizorApp({
    ...ground,
    tokens,
    publicUrl: origin.url,
    adopted: () => {
      atCompany = { ...atCompany, ...ground.store.own };
      cached?.renew();
      tryAtCompany(ground.company);
    },
  });
  return opened(start, ground, {
    name,
    custody: 'company',
    app,
    stop,
    port: own.port,
    certificate: own.tls,
    expired: own.expired,
    origin,
    identify: async (what) => (await requestToken(ground.company.agent, tokenClient(), { ...what })).token,
    usedAtCompany: () => atCompany,
    useAtCompany: (given) => {
      atCompany = { ...atCompany, ...given };
      cached?.renew();
    },
    revokeTokens: () => tokens.revokeAll(),
  });
}

const configuredCertificate = ({
  clientId,
  certificate = '',
}: {
  clientId: string;
  certificate?: string | undefined;
}) => ({
  id: 'certificate-1',
  clientId,
  thumbprint: thumbprintOf(new X509Certificate(certificate)),
});

async function startShlagbaum(
  config: PartnersConfig,
  now: () => Date,
  onFatal: (error: unknown) => void,
): Promise<Partner> {
  const start = { config, now, onFatal };
  const name = 'shlagbaum';
  const own = config.partners.shlagbaum;
  const { clientId, cert, key } = own.atCompany;
  const tokenClient = (): TokenClient => ({
    tokenUrl: config.company.tokenUrl,
    resource: config.company.resource,
    proof: { headers: {}, form: { client_id: clientId } },
  });
  const ground = await createGround(start, {
    name,
    houses: own.houses,
    configured: {
      passwords: own.accepts.accounts.map((each, index) => ({
        ...each,
        id: each.id ?? `account-${String(index + 1)}`,
      })),
      secrets: [],
      keys: [],
      certificates: own.accepts.certificate === undefined ? [] : [configuredCertificate(own.accepts)],
    },
    clientCertificate: { cert, key },
    credentials: (agent) => bearerCredentials(agent, tokenClient),
  });
  const origin = createOrigin(own.publicUrl);
  const tokens = await createAccessTokens({
    issuer: () => `${origin.url()}/oidc`,
    audience: () => `${origin.url()}/v1`,
    key: ownSigningKey(path.join(config.dataDir, 'shlagbaum-token-key.pem')),
    now,
  });
  const logins = createLogins(ground.store, now);
  const { app, stop } = shlagbaumApp({
    ...ground,
    tokens,
    logins,
    client: { clientId: own.accepts.clientId, sanDns: own.accepts.sanDns },
    authority: own.authority,
    publicUrl: origin.url,
  });
  const { clientCa, ...certificate } = own.tls;
  return opened(start, ground, {
    name,
    custody: 'partner',
    app,
    stop,
    port: own.port,
    certificate,
    clientCa,
    expired: own.expired,
    origin,
    identify: null,
    useAtCompany: () => undefined,
    revokeTokens: () => tokens.revokeAll(),
    endLogins: () => logins.endAll(),
  });
}
