import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { LOCKOUTS, REFUSALS_BORNE, type BorneRefusals, type LockoutAttempts } from '../contracts/lockout';
import { parseHeldRole } from '../contracts/staff';

/**
 * The only reader of the environment; everything else receives the part it needs as an argument. Settings and secrets
 * are different types, so that a function that takes settings has no secret to log. A secret `NAME` may also come as
 * `NAME_FILE`, the path of a file that holds it (R4.4).
 */

const Port = z.coerce.number().int().min(1).max(65_535);
const DurationMs = z.coerce.number().int().positive();

const SharedSettings = z.object({
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  HEALTH_PORT: Port,
  HEALTH_HOST: z.string().default('127.0.0.1'),
  DATABASE_POOL_SIZE: z.coerce.number().int().min(1).max(100).default(10),
  /** How long an opening may take from its arrival to the device, milliseconds (design rule 4). */
  OPEN_WITHIN_MS: DurationMs.max(30_000).default(5_000),
  /** What wraps data keys: keys of a secret file, or the transit engine of HashiCorp Vault or OpenBao (R0.13). */
  KEY_ENCRYPTION: z.enum(['local', 'transit']).default('local'),
  TRANSIT_URL: z
    .url({ protocol: /^https$/ })
    .transform((url) => url.replace(/\/+$/, ''))
    .optional(),
  TRANSIT_MOUNT: z
    .string()
    .regex(/^[\w-]+(?:\/[\w-]+)*$/)
    .default('transit'),
  TRANSIT_KEY: z
    .string()
    .regex(/^[\w.-]+$/)
    .default('domovoy'),
  TRANSIT_CA_FILE: z.string().optional(),
  /** The file that an agent keeps a token in; read for each request. */
  TRANSIT_TOKEN_FILE: z.string().optional(),
  TRANSIT_TIMEOUT_MS: DurationMs.max(30_000).default(2_000),
  /** Where log lines rest, encrypted (vault/log-segments.ts); left out: they go to the standard output as they are. */
  LOG_SEGMENTS_DIR: z.string().min(1).optional(),
  /** After how long they are deleted (docs/retention.md). */
  LOG_SEGMENTS_DAYS: z.coerce.number().int().min(1).max(3_660).default(90),
  /**
   * A folder of this process's kind for what waits to be written in the journal, so that a process that is killed loses
   * none of it (journal/spool.ts); left out: it waits in memory.
   */
  JOURNAL_SPOOL_DIR: z.string().min(1).optional(),
  /** Where traces go, OTLP over HTTP, such as http://collector:4318/v1/traces; left out: there are none (docs/adr/0050). */
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  /** Of the requests that begin a trace, the share that is told of. */
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(0.1),
});

export type KeyRing = { readonly keys: ReadonlyMap<string, Buffer>; readonly currentId: string };

/**
 * Reads `id:base64` pairs, comma separated; the first is the one in use, the others still read what they wrote.
 *
 * @throws an Error that shows no value
 */
export function parseKeyRing(text: string): KeyRing {
  const keys = new Map<string, Buffer>();
  for (const pair of text.trim().split(',')) {
    const [id = '', base64 = ''] = pair.trim().split(':');
    const key = Buffer.from(base64, 'base64');
    if (id === '' || key.length !== 32) throw new Error('wants id:base64 of 32 bytes');
    keys.set(id, key);
  }
  return { keys, currentId: text.trim().split(':')[0] ?? '' };
}

const KeyRingText = z.string().transform((text, context) => {
  try {
    return parseKeyRing(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

const Key = z
  .base64()
  .min(44)
  .transform((text) => Buffer.from(text, 'base64'));
const PrivateKeyPem = z.string().includes('PRIVATE KEY');

/** No defaults here: a process without its secrets must not start. */
const SharedSecrets = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** The database with the other halves of subjects' keys, and of backups of its own (docs/adr/0090). */
  KEY_STORE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** With KEY_ENCRYPTION=local. */
  KEY_ENCRYPTION_KEYS: KeyRingText.optional(),
  PAYLOAD_KEYS: KeyRingText,
});

/** Words, separated by commas. */
const Words = z.string().transform((text) => text.split(',').flatMap((word) => word.trim() || []));

/** https://www.standardwebhooks.com: what both sides know of a webhook. */
const WEBHOOK_SECRET = /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/;

/** JSON object: value of the roles' claim → roles, as contracts/staff.ts writes them. */
const RolesOfClaim = z.string().transform((text, context) => {
  try {
    const roles = z.record(z.string(), z.array(z.string().refine((role) => parseHeldRole(role) !== null)));
    return roles.parse(JSON.parse(text));
  } catch {
    context.addIssue({ code: 'custom', message: 'is not a JSON object of lists of known roles' });
    return z.NEVER;
  }
});

const StaffSettings = {
  /** OpenID Connect issuer of staff, its certificate authority, and our name there (R4.8). */
  STAFF_ISSUER: z.url({ protocol: /^https$/ }),
  /** Left out: the authorities that Node.js trusts. */
  STAFF_ISSUER_CA_FILE: z.string().optional(),
  STAFF_CLIENT_ID: z.string().min(1),
  STAFF_ROLES_CLAIM: z.string().min(1).default('groups'),
  STAFF_ROLES: RolesOfClaim,
  /**
   * What the ID token must say for the second factor to count as verified (R4.9): one of these `acr`, and all of these
   * `amr` (RFC 8176). One of the two may be empty.
   */
  STAFF_MFA_ACR: Words.default([]),
  STAFF_MFA_AMR: Words.default(['mfa']),
  /** Where a browser goes after signing in; a path of this API. */
  STAFF_HOME: z.string().startsWith('/').default('/staff/v1/session'),
  /** Origin of the Temporal UI, whose pages may ask for payloads to be decoded; left out: none may. */
  TEMPORAL_UI_ORIGIN: z
    // From a page without TLS a browser does not send the session's cookie: to it the API is another site.
    .url({ protocol: /^https$/ })
    .transform((url) => new URL(url).origin)
    .optional(),
};

/** How long the law gives for an erasure (152-FZ, article 21, parts 5 and 5.1). Counsel confirms them. */
const ErasureClocks = z.object({
  ERASURE_WITHDRAWAL_DAYS: z.coerce.number().int().min(1).max(30).default(30),
  ERASURE_DEMAND_WORKING_DAYS: z.coerce.number().int().min(1).max(10).default(10),
  ERASURE_PROLONG_WORKING_DAYS: z.coerce.number().int().min(1).max(5).default(5),
  /** How many days before the time is over a person is called; at most half of it. */
  ERASURE_WARN_DAYS: z.coerce.number().int().min(1).max(29).default(3),
});
/** Name and address of the company, as receipts and certificates show them (152-FZ, article 9 part 4). */
const Operator = z.object({ OPERATOR_NAME: z.string().min(1).max(200), OPERATOR_ADDRESS: z.string().min(1).max(500) });

const Attempts = z.coerce.number().int().min(1).max(10_000);
/** Failed identifications that are borne at a device, of a client, of a network and in a series; the next one locks (R2.6). */
const Lockouts = {
  LOCKOUT_DEVICE_ATTEMPTS: Attempts.default(LOCKOUTS.device.attempts),
  LOCKOUT_CLIENT_ATTEMPTS: Attempts.default(LOCKOUTS.client.attempts),
  LOCKOUT_NETWORK_ATTEMPTS: Attempts.default(LOCKOUTS.network.attempts),
  LOCKOUT_NEAR_MISS_ATTEMPTS: Attempts.default(LOCKOUTS['near-miss'].attempts),
  LOCKOUT_PLATE_WALK_ATTEMPTS: Attempts.default(LOCKOUTS['plate-walk'].attempts),
};
/** Refusals at the door that are borne in a minute, of one name that comes from one network and of all names from there. */
const Refusals = {
  REFUSALS_OF_NAME_PER_MINUTE: Attempts.default(REFUSALS_BORNE.ofName),
  REFUSALS_OF_NETWORK_PER_MINUTE: Attempts.default(REFUSALS_BORNE.ofNetwork),
};

const ApiSettings = SharedSettings.extend({
  ...StaffSettings,
  ...Lockouts,
  ...Refusals,
  ...ErasureClocks.shape,
  ...Operator.shape,
  API_HOST: z.string().default('127.0.0.1'),
  API_PORT: Port.default(8443),
  /** Origin under which clients reach the API; issuer and audiences of tokens are made from it. */
  API_PUBLIC_URL: z.url({ protocol: /^https$/ }),
  API_TLS_CERT_FILE: z.string(),
  /** Certificate authority of partners' client certificates (R3.1). */
  CLIENT_CA_FILE: z.string(),
  /** Name of our first message-signing key, as partners of profile basic-signed know it. */
  MESSAGE_KEY_ID: z.string().min(1).default('domovoy'),
  /** What each of the company's own backends may ask; partners' limits are in their rows (R4.13). */
  OWN_REQUESTS_PER_SECOND: z.coerce.number().int().min(1).default(500),
  OWN_CONCURRENT_REQUESTS: z.coerce.number().int().min(1).default(128),
  /** What one network may ask of the addresses that know nobody: the token endpoint, sign-in, public documents. */
  ANYONE_REQUESTS_PER_SECOND: z.coerce.number().int().min(1).default(100),
  /** How long before a demand for erasure the app may have identified whoever asks. */
  ERASURE_PROOF_MAX_AGE_MINUTES: z.coerce.number().int().min(1).max(60).default(15),
  FACE_THRESHOLD: z.coerce.number().min(0).max(1).default(0.6),
  FACE_MARGIN: z.coerce.number().min(0).max(1).default(0.05),
  PHOTO_MAX_BYTES: z.coerce.number().int().positive().default(10_000_000),
  PHOTO_MAX_PIXELS: z.coerce.number().int().positive().default(50_000_000),
}).refine(({ STAFF_MFA_ACR, STAFF_MFA_AMR }) => STAFF_MFA_ACR.length + STAFF_MFA_AMR.length > 0, {
  path: ['STAFF_MFA_AMR'],
  message: 'and STAFF_MFA_ACR are both empty: a second factor is mandatory',
});
const ApiSecrets = SharedSecrets.extend({
  API_TLS_KEY: z.string().min(1),
  /** What we present to the staff identity provider. */
  STAFF_CLIENT_SECRET: z.string().min(16),
  /**
   * JSON array of private Ed25519 JWKs, taken in at the first start, when the vault has none: the first one signs, all
   * are published. Their successors are made by rotation (vault/own-keys.ts).
   */
  TOKEN_SIGNING_KEYS: z.string().transform((text, context) => {
    try {
      return z
        .array(z.looseObject({ kid: z.string() }))
        .min(1)
        .parse(JSON.parse(text));
    } catch {
      context.addIssue({ code: 'custom', message: 'is not a JSON array of keys' });
      return z.NEVER;
    }
  }),
  /**
   * Ed25519, PEM: signs our answers to partners of profile basic-signed (R0.8). Taken in at the first start, when the
   * vault has none; its successors are made by rotation (vault/own-keys.ts).
   */
  MESSAGE_SIGNING_KEY: PrivateKeyPem,
  /** Ed25519, PEM: signs documents that people keep, such as consent receipts (vault/document-signature.ts). */
  DOCUMENT_SIGNING_KEY: PrivateKeyPem,
  HIDDEN_ID_KEY: Key,
  /** Plates are found by an HMAC under it (vault/plate-index.ts). Its loss or change means registering them anew. */
  PLATE_INDEX_KEY: Key,
});

/** A worker of an integration. */
const WorkerSettings = SharedSettings.extend({
  BILLING_URL: z.url({ protocol: /^https$/ }),
  BILLING_CA_FILE: z.string(),
  BILLING_TIMEOUT_MS: DurationMs.default(800),
  /** How old a remembered billing answer may be while billing is out, milliseconds. */
  BILLING_MAX_AGE_MS: DurationMs.default(24 * 3_600_000),
});
const WorkerSecrets = SharedSecrets.extend({ BILLING_SECRET: z.string().min(16) });

/** The worker that belongs to no integration: it seals the journal and erases people. */
const CoreSettings = SharedSettings.extend({
  ...ErasureClocks.shape,
  ...Operator.shape,
  /** Where it is kept who was erased: a place that is not restored together with the database. */
  ERASURES_DIR: z.string().min(1),
  /** After how many days a backup of the database is destroyed. Acts of destruction say it: no default would be true. */
  BACKUP_RETENTION_DAYS: z.coerce.number().int().min(1).max(3_660),
  /** The same of the key store; 0: it is replicated and not backed up. Until then a backup there may undo a destruction. */
  KEY_STORE_BACKUP_DAYS: z.coerce.number().int().min(0).max(3_660),
  /** The person who answers for destructions, as acts name them (order 179). */
  ERASURE_RESPONSIBLE_NAME: z.string().min(1).max(200),
  ERASURE_RESPONSIBLE_POSITION: z.string().min(1).max(200),
  /**
   * Folders whose files are searched before an erasure is certified, such as logs; comma separated. No default: what is
   * not searched would count as clean.
   */
  ERASURE_SEARCH_DIRS: Words.refine((paths) => paths.length > 0, { message: 'names no folder' }),
  /** How long after the certificate holders are asked once more, milliseconds. */
  ERASURE_FOLLOW_UP_MS: DurationMs.default(7 * 24 * 3_600_000),
  /** Where signed heads of the journal go: best a place where the database's administrators cannot write. */
  JOURNAL_HEADS_DIR: z.string().min(1),
  /** What becomes of entries without a code (docs/adr/0087): `placed` only while processes that write none are replaced. */
  JOURNAL_UNAUTHENTICATED: z.enum(['refused', 'placed']).default('refused'),
  /** How long a key for tokens is published before it signs: longer than anybody keeps `/oauth/jwks`. */
  TOKEN_KEY_LEAD_MINUTES: z.coerce.number().int().min(10).max(1_440).default(60),
  /** Where security alerts are told (Standard Webhooks), and the authority of its certificate; left out: nowhere. */
  SECURITY_WEBHOOK_URL: z.url({ protocol: /^https$/ }).optional(),
  SECURITY_WEBHOOK_CA_FILE: z.string().optional(),
});
const CoreSecrets = SharedSecrets.extend({
  /** The same key that the API signs documents with; integrations do not have it. */
  DOCUMENT_SIGNING_KEY: PrivateKeyPem,
  /** `whsec_` and base64 of 24 to 64 bytes, comma separated, newest first. */
  SECURITY_WEBHOOK_SECRETS: Words.refine((words) => words.every((word) => WEBHOOK_SECRET.test(word)), {
    message: 'wants whsec_ and base64',
  }).optional(),
});

export type ErasureSettings = z.infer<typeof ErasureClocks>;
export type ProcessSettings = z.infer<typeof SharedSettings>;
export type ProcessSecrets = z.infer<typeof SharedSecrets>;
export type CoreSettings = z.infer<typeof CoreSettings>;
export type CoreSecrets = z.infer<typeof CoreSecrets>;
export type ApiSettings = z.infer<typeof ApiSettings>;
export type ApiSecrets = z.infer<typeof ApiSecrets>;
export type WorkerSettings = z.infer<typeof WorkerSettings>;
export type WorkerSecrets = z.infer<typeof WorkerSecrets>;

export const lockoutAttempts = (settings: ApiSettings): LockoutAttempts => ({
  device: settings.LOCKOUT_DEVICE_ATTEMPTS,
  client: settings.LOCKOUT_CLIENT_ATTEMPTS,
  network: settings.LOCKOUT_NETWORK_ATTEMPTS,
  'near-miss': settings.LOCKOUT_NEAR_MISS_ATTEMPTS,
  'plate-walk': settings.LOCKOUT_PLATE_WALK_ATTEMPTS,
});

export const borneRefusals = (settings: ApiSettings): BorneRefusals => ({
  ofName: settings.REFUSALS_OF_NAME_PER_MINUTE,
  ofNetwork: settings.REFUSALS_OF_NETWORK_PER_MINUTE,
});

type Configuration<S, K> = { readonly settings: S; readonly secrets: K };

/** @throws an Error that names every variable at fault and shows no value */
export const readApiConfiguration = (env: NodeJS.ProcessEnv): Configuration<ApiSettings, ApiSecrets> =>
  read(env, ApiSettings, ApiSecrets);

/** @throws an Error that names every variable at fault and shows no value */
export const readWorkerConfiguration = (env: NodeJS.ProcessEnv): Configuration<WorkerSettings, WorkerSecrets> =>
  read(env, WorkerSettings, WorkerSecrets);

/** @throws an Error that names every variable at fault and shows no value */
export const readCoreConfiguration = (env: NodeJS.ProcessEnv): Configuration<CoreSettings, CoreSecrets> =>
  read(env, CoreSettings, CoreSecrets);

const AuditSecrets = z.object({ DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }) });

/** Connection string of whoever reads the journal with the command (cli/). */
export const readAuditConfiguration = (env: NodeJS.ProcessEnv): z.infer<typeof AuditSecrets> =>
  read(env, z.object({}), AuditSecrets).secrets;

const KeyEncryptionSettings = SharedSettings.pick({
  KEY_ENCRYPTION: true,
  TRANSIT_URL: true,
  TRANSIT_MOUNT: true,
  TRANSIT_KEY: true,
  TRANSIT_CA_FILE: true,
  TRANSIT_TOKEN_FILE: true,
  TRANSIT_TIMEOUT_MS: true,
});

/** What whoever reads encrypted logs with the command (cli/) has to hold: what wraps their keys. */
export const readLogReaderConfiguration = (env: NodeJS.ProcessEnv) =>
  read(env, KeyEncryptionSettings, SharedSecrets.pick({ KEY_ENCRYPTION_KEYS: true }));

const OwnerSecrets = z.object({ OWNER_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }) });
const MigrationSecrets = OwnerSecrets.extend({ OWNER_KEY_STORE_URL: z.url({ protocol: /^postgres(ql)?$/ }) });

/** Connection string of the tables' owner; no other process has it. */
export const readOwnerConfiguration = (env: NodeJS.ProcessEnv): z.infer<typeof OwnerSecrets> =>
  read(env, z.object({}), OwnerSecrets).secrets;

/** The same of both databases. */
export const readMigrationConfiguration = (env: NodeJS.ProcessEnv): z.infer<typeof MigrationSecrets> =>
  read(env, z.object({}), MigrationSecrets).secrets;

/** What is empty would be read as zero: a threshold of nothing takes anybody for somebody. */
function emptyNumbers(env: NodeJS.ProcessEnv, { shape }: z.ZodObject): string[] {
  return Object.entries(shape).flatMap(([name, schema]) =>
    env[name]?.trim() === '' && typeof (schema as z.ZodType).safeParse('').data === 'number' ? [name] : [],
  );
}

function read<S extends z.ZodObject, K extends z.ZodObject>(
  env: NodeJS.ProcessEnv,
  settingsSchema: S,
  secretsSchema: K,
): Configuration<z.infer<S>, z.infer<K>> {
  const settings = settingsSchema.safeParse(env);
  const secrets = secretsSchema.safeParse(withSecretFiles(env, Object.keys(secretsSchema.shape)));
  const empty = emptyNumbers(env, settingsSchema);
  if (settings.success && secrets.success && empty.length === 0) {
    return { settings: settings.data, secrets: secrets.data };
  }
  const faults = [settings, secrets].flatMap(({ error }) => error?.issues ?? []);
  const lines = [
    ...empty.map((name) => `  ${name}: is empty`),
    ...faults.map(({ path, message }) => `  ${path.join('.')}: ${message}`),
  ];
  throw new Error(`The configuration is not usable:\n${lines.join('\n')}`);
}

function withSecretFiles(env: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(
    names.map((name) => {
      const path = env[`${name}_FILE`];
      return [name, path === undefined ? env[name] : readFileSync(path, 'utf8').trim()];
    }),
  );
}
