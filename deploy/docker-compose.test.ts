import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { parse } from 'yaml';
import { callbackUrl } from '../api/staff/identity-provider';
import {
  readApiConfiguration,
  readCoreConfiguration,
  readMigrationConfiguration,
  readWorkerConfiguration,
} from '../config/environment';
import { createKeyEncryption } from '../config/key-encryption';
import { projectFile } from '../config/project-root';
import { ensureCertificates } from '../stack/certificates';
import { VERSION as KEYCLOAK_VERSION } from '../stack/keycloak/find';
import { stackPorts } from '../stack/ports';
import { apiPlan, KEY_STORE_LOGINS, LOGINS, workerPlan } from '../stack/processes';
import { stackSecrets, type StackSecrets } from '../stack/secrets';
import { openStateFolder } from '../stack/state-folder';
import { NOT_DECODED } from '../stack/temporal-ui';
import { STAFF_CLIENT_ID } from '../stack/town';
import { composeText, composeWith, type Service } from '../test/support/compose';

const read = (path: string): string => readFileSync(projectFile(path), 'utf8');
const example = parseEnv(read('deploy/example.env'));
const compose = composeWith(example);
const root = mkdtempSync(join(tmpdir(), 'domovoy-compose-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const folder = openStateFolder({ DOMOVOY_STATE_DIR: join(root, 'state') });
const secrets: StackSecrets = stackSecrets(folder);

/** In the forms of docs/operations.md. */
const databaseUrl = (login: string) => `postgresql://${login}:a%2Fpassword@postgres:5432/domovoy`;
const keyStoreUrl = (login: string) => `postgresql://${login}:a%2Fpassword@keys-db:5432/domovoy_keys`;
const VALUES: Readonly<Record<string, string>> = {
  owner_database_url: databaseUrl('domovoy_owner'),
  api_database_url: databaseUrl(LOGINS.api),
  smart_home_database_url: databaseUrl(LOGINS['smart-home']),
  communal_database_url: databaseUrl(LOGINS.communal),
  core_database_url: databaseUrl(LOGINS.core),
  owner_key_store_url: keyStoreUrl('domovoy_keys_owner'),
  api_key_store_url: keyStoreUrl(KEY_STORE_LOGINS.api),
  smart_home_key_store_url: keyStoreUrl(KEY_STORE_LOGINS['smart-home']),
  communal_key_store_url: keyStoreUrl(KEY_STORE_LOGINS.communal),
  core_key_store_url: keyStoreUrl(KEY_STORE_LOGINS.core),
  key_encryption_keys: secrets.keyEncryptionKeys.value,
  payload_keys: secrets.payloadKeys.value,
  token_signing_keys: secrets.tokenSigningKeys.value,
  hidden_id_key: secrets.hiddenIdKey.value,
  plate_index_key: secrets.plateIndexKey.value,
  message_signing_key: secrets.messageSigningKey.value,
  document_signing_key: secrets.documentSigningKey.value,
  staff_client_secret: secrets.staffClient.value,
  billing_secret: secrets.billing.value,
  security_webhook_secrets: secrets.securityWebhook.value,
};

const serviceOf = (name: string): Service => compose.services[name] ?? {};

/**
 * What the process in the container finds: its environment, and of `/run/secrets` the files that the service was given.
 * Certificates are only pointed to here; who reads them is started elsewhere.
 */
function environmentOf(name: string, service = serviceOf(name)): Record<string, string> {
  const mounted = join(root, name);
  mkdirSync(mounted, { recursive: true });
  for (const secret of service.secrets ?? []) writeFileSync(join(mounted, secret), VALUES[secret] ?? 'a certificate');
  return Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([variable, value]) => [
      variable,
      value.replace('/run/secrets', mounted),
    ]),
  );
}

const READERS = {
  migrate: (env: NodeJS.ProcessEnv) => readMigrationConfiguration(env),
  api: (env: NodeJS.ProcessEnv) => configured(readApiConfiguration(env)),
  'worker-smart-home': (env: NodeJS.ProcessEnv) => configured(readWorkerConfiguration(env)),
  'worker-communal': (env: NodeJS.ProcessEnv) => configured(readWorkerConfiguration(env)),
  'worker-core': (env: NodeJS.ProcessEnv) => configured(readCoreConfiguration(env)),
} as const;

function configured<
  C extends ReturnType<typeof readWorkerConfiguration | typeof readApiConfiguration | typeof readCoreConfiguration>,
>(configuration: C): C['settings'] {
  createKeyEncryption(configuration.settings, configuration.secrets);
  return configuration.settings;
}
const OURS = Object.keys(READERS) as (keyof typeof READERS)[];

describe('docker-compose.yml', () => {
  it('wants what deploy/example.env names, and nothing else', () => {
    const wanted = Array.from(composeText().matchAll(/\$\{(\w+):\?/g), ([, name]) => name);
    expect(new Set(wanted)).toEqual(new Set(Object.keys(example)));
    for (const name of Object.keys(example)) {
      expect(() => composeWith({ ...example, [name]: '' })).toThrow(`${name} is missing`);
    }
  });

  it('builds our processes, which are all known here', () => {
    const built = Object.entries(compose.services).filter(([, { build }]) => build !== undefined);
    expect(built.map(([name]) => name)).toEqual(OURS);
  });

  it.each(OURS)('configures %s so that it starts', (name) => {
    const env = environmentOf(name);
    READERS[name](env);
    const files = Object.values(env).filter((value) => value.startsWith(root));
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
    expect(existsSync(projectFile(serviceOf(name).command?.[1]?.replace(/^dist\/(.*)\.js$/, '$1.ts') ?? '-'))).toBe(
      true,
    );
  });

  it('configures by the same variables as the local stack does', async () => {
    const certificates = await ensureCertificates(folder.certificates);
    const { journalHeads, journalSpools, erasures, logs } = folder;
    const folders = { journalHeads, journalSpools, erasures, logs };
    const parts = { secrets, certificates, ports: stackPorts({}), apiUrl: 'https://x', ...folders };
    // Its addresses are its own affair, and it trusts an authority of its own.
    const isKept = (name: string) => !['DATABASE_URL', 'KEY_STORE_URL', 'STAFF_ISSUER_CA_FILE'].includes(name);
    for (const plan of [
      apiPlan(parts),
      ...(['smart-home', 'communal', 'core'] as const).map((queue) => workerPlan(parts, queue)),
    ]) {
      const names = Object.keys(serviceOf(plan.name).environment ?? {});
      expect(names).toEqual(expect.arrayContaining(Object.keys(plan.env ?? {}).filter(isKept)));
      expect(names).toEqual(expect.arrayContaining(['DATABASE_URL_FILE', 'KEY_STORE_URL_FILE']));
    }
  });

  it('leaves defaults as the product has them', () => {
    const defaulted = Array.from(composeText().matchAll(/^ +(\w+): \$\{\1:?-/gm), ([, name = '']) => name);
    expect(defaulted).toEqual(
      expect.arrayContaining(['FACE_THRESHOLD', 'FACE_MARGIN', 'KEY_ENCRYPTION', 'TRANSIT_KEY']),
    );
    // These fit the provider that comes with it, or have no default.
    const own = ['STAFF_MFA_AMR', 'STAFF_CLIENT_ID'];
    for (const name of ['api', 'worker-core', 'worker-communal'] as const) {
      const env = environmentOf(name);
      const bare = Object.entries(env).filter(([variable]) => !defaulted.includes(variable) || own.includes(variable));
      expect(READERS[name](env)).toEqual(READERS[name](Object.fromEntries(bare)));
    }
  });

  it('hands on what chooses a transit engine, and leaves it out otherwise', () => {
    const ca = join(root, 'transit-ca.pem');
    writeFileSync(ca, '');
    const transit = {
      TRANSIT_URL: 'https://vault.example',
      TRANSIT_CA_FILE: ca,
      TRANSIT_TOKEN_FILE: join(root, 'token'),
    };
    const chosen = composeWith({ ...example, KEY_ENCRYPTION: 'transit', ...transit });
    for (const name of OURS.filter((each) => each !== 'migrate')) {
      expect(READERS[name](environmentOf(name, chosen.services[name]))).toMatchObject({
        KEY_ENCRYPTION: 'transit',
        ...transit,
      });
      expect(serviceOf(name).environment).not.toHaveProperty('TRANSIT_URL');
    }
  });

  it('searches every folder that the worker core keeps before it certifies an erasure', () => {
    const { environment = {}, volumes = [] } = serviceOf('worker-core');
    const kept = volumes.map((volume) => volume.split(':')[1]);
    expect(new Set(environment['ERASURE_SEARCH_DIRS']?.split(','))).toEqual(new Set(kept));
  });

  it('has every secret in a file of its own, given to who names it', () => {
    const used = new Set(Object.values(compose.services).flatMap((service) => service.secrets ?? []));
    expect([...used].sort()).toEqual(Object.keys(compose.secrets).sort());
    for (const [name, { file }] of Object.entries(compose.secrets)) expect(file).toBe(`deploy/secrets/${name}`);
    for (const [name, service] of Object.entries(compose.services)) {
      const scripts = mountedFiles(service).filter((file) => statSync(projectFile(file)).isFile());
      const words = [...Object.values(service.environment ?? {}), ...(service.entrypoint ?? []), ...scripts.map(read)];
      const named = words.flatMap((text) =>
        Array.from(text.matchAll(/\/run\/secrets\/(\w+)/g), ([, secret]) => secret),
      );
      expect([name, named.filter((secret) => !service.secrets?.includes(secret ?? ''))]).toEqual([name, []]);
    }
  });

  it('holds no secret itself', () => {
    // The name of a key, and not a key.
    const isSecret = (name: string) =>
      /(PASSWORD|SECRETS?|KEYS?|DATABASE_URL|KEY_STORE_URL)$/.test(name) && name !== 'TRANSIT_KEY';
    const shown = Object.values(compose.services).flatMap(({ environment = {} }) =>
      Object.keys(environment).filter(isSecret),
    );
    expect(shown).toEqual([]);
  });

  it('keeps the halves of keys apart: no volume, secret or password of the one database is of the other', () => {
    const [main, keys] = [serviceOf('postgres'), serviceOf('keys-db')];
    const held = ({ volumes = [], secrets: given = [] }: Service) => [
      ...volumes.map((volume) => volume.split(':')[0]),
      ...given,
    ];
    expect(held(main).filter((each) => held(keys).includes(each))).toEqual([]);
    const mounting = Object.entries(compose.services).filter(([, service]) => held(service).includes('keys-db'));
    expect(mounting.map(([name]) => name)).toEqual(['keys-db']);
  });

  it('mounts files that are there, and volumes that it declares', () => {
    for (const service of Object.values(compose.services)) {
      expect(mountedFiles(service).filter((file) => !existsSync(projectFile(file)))).toEqual([]);
      const named = (service.volumes ?? []).flatMap((volume) =>
        volume.startsWith('./') ? [] : [volume.split(':')[0] ?? ''],
      );
      expect(named.filter((volume) => !Object.hasOwn(compose.volumes, volume))).toEqual([]);
    }
  });

  it('tells the Temporal UI of the codec server, and where to sign in for it, as the local stack does', () => {
    const api = example['API_PUBLIC_URL'] ?? '';
    expect(serviceOf('temporal-ui').environment).toMatchObject({
      TEMPORAL_CODEC_ENDPOINT: `${api}/staff/v1/codec`,
      TEMPORAL_CODEC_INCLUDE_CREDENTIALS: 'true',
      TEMPORAL_CODEC_DEFAULT_ERROR_MESSAGE: NOT_DECODED,
      TEMPORAL_CODEC_DEFAULT_ERROR_LINK: `${api}/staff/login`,
    });
  });

  it('has every process that Prometheus asks', () => {
    const { scrape_configs: jobs } = parse(read('deploy/prometheus/prometheus.yml')) as {
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    const hosts = jobs.flatMap((job) =>
      job.static_configs.flatMap(({ targets }) => targets.map((each) => each.split(':')[0])),
    );
    expect(hosts).toEqual(expect.arrayContaining(OURS.filter((name) => name !== 'migrate')));
    expect(hosts.filter((host) => !Object.hasOwn(compose.services, host ?? ''))).toEqual([]);
  });
});

/** Files and folders of the repository that are bound into the container. */
const mountedFiles = ({ volumes = [] }: Service): string[] =>
  volumes.flatMap((volume) => (volume.startsWith('./') ? [volume.split(':')[0]?.slice(2) ?? ''] : []));

type Realm = {
  readonly browserFlow: string;
  readonly authenticationFlows: readonly {
    readonly alias: string;
    readonly authenticationExecutions: readonly {
      readonly requirement: string;
      readonly authenticatorConfig: string;
    }[];
  }[];
  readonly authenticatorConfig: readonly {
    readonly alias: string;
    readonly config: Readonly<Record<string, string>>;
  }[];
  readonly clients: readonly {
    readonly clientId: string;
    readonly secret: string;
    readonly publicClient: boolean;
    readonly redirectUris: readonly string[];
    readonly attributes: Readonly<Record<string, string>>;
    readonly defaultClientScopes: readonly string[];
    readonly protocolMappers: readonly {
      readonly protocolMapper: string;
      readonly config: Readonly<Record<string, string>>;
    }[];
  }[];
};

/** What it does with a real Keycloak: test/keycloak/staff-sign-in.test.ts. */
describe('the realm for staff', () => {
  const { environment = {} } = serviceOf('identity-provider');
  const filled = { ...environment, STAFF_CLIENT_SECRET: secrets.staffClient.value };
  const text = read('deploy/keycloak/staff-realm.json').replaceAll(
    /\$\{(\w+)\}/g,
    (_, name: string) => (filled as Record<string, string>)[name] ?? `${name} is missing`,
  );
  const realm = JSON.parse(text) as Realm;
  const [client] = realm.clients;
  const settings = readApiConfiguration(environmentOf('api')).settings;

  it('is tried with a Keycloak of the line that is run', () => {
    expect(serviceOf('identity-provider').image).toBe(
      `quay.io/keycloak/keycloak:${KEYCLOAK_VERSION.split('.').slice(0, 2).join('.')}`,
    );
  });

  it('has the API as a confidential client, at its callback, with PKCE', () => {
    expect(client).toMatchObject({
      clientId: settings.STAFF_CLIENT_ID,
      secret: secrets.staffClient.value,
      publicClient: false,
      redirectUris: [callbackUrl(settings).href],
      attributes: {
        'pkce.code.challenge.method': 'S256',
        'backchannel.logout.url': `${settings.API_PUBLIC_URL}/back-channel-logout`,
      },
      // Of the scopes that Keycloak has, the one with `sub` and `auth_time`; none has a name in it.
      defaultClientScopes: ['basic'],
    });
    expect(settings.STAFF_CLIENT_ID).toBe(STAFF_CLIENT_ID);
    expect(settings.STAFF_ISSUER).toBe(`${environment['KC_HOSTNAME'] ?? ''}/realms/staff`);
  });

  it('says groups and amr in the ID token, under the names that the API looks for', () => {
    const inIdToken = (mapper: string) =>
      client?.protocolMappers.find(
        ({ protocolMapper, config }) => protocolMapper === mapper && config['id.token.claim'] === 'true',
      );
    expect(inIdToken('oidc-group-membership-mapper')?.config).toMatchObject({
      'claim.name': settings.STAFF_ROLES_CLAIM,
      'full.path': 'false',
    });
    expect(inIdToken('oidc-amr-mapper')).toBeDefined();
  });

  it('lets nobody in without both factors, and says so in the words that the API wants', () => {
    const flow = realm.authenticationFlows.find(({ alias }) => alias === realm.browserFlow);
    expect(flow?.authenticationExecutions.map(({ requirement }) => requirement)).toEqual(['REQUIRED', 'REQUIRED']);
    const said = flow?.authenticationExecutions.map(
      ({ authenticatorConfig }) =>
        realm.authenticatorConfig.find(({ alias }) => alias === authenticatorConfig)?.config['default.reference.value'],
    );
    expect(said).toEqual(settings.STAFF_MFA_AMR);
    expect(settings.STAFF_MFA_ACR).toEqual([]);
  });
});
