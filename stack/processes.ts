import { join } from 'node:path';
import { projectFile } from '../config/project-root';
import type { Integration, TaskQueue } from '../contracts/ids';
import type { Certificates } from './certificates';
import type { Ports } from './ports';
import { postgresUrl } from './postgres';
import type { SandboxConfiguration } from './sandbox-configuration';
import type { StackSecrets } from './secrets';
import { NAMESPACE } from './temporal-server';
import { temporalUiOrigin } from './temporal-ui';
import type { ProcessPlan } from './supervisor';
import { STAFF_CLIENT_ID, STAFF_GROUPS } from './town';

type Parts = {
  readonly secrets: StackSecrets;
  readonly certificates: Certificates;
  readonly ports: Ports;
  readonly apiUrl: string;
  /** Folder for the journal's signed heads. */
  readonly journalHeads: string;
  /** Folder of what processes noted for the journal and have not written yet, with one for each program. */
  readonly journalSpools: string;
  /** Folder of who was erased. */
  readonly erasures: string;
  /** Folder of the processes' logs. */
  readonly logs: string;
};

export const DATABASE = 'domovoy';
export const LOGINS = {
  api: 'domovoy_api_login',
  'smart-home': 'domovoy_smart_home_login',
  communal: 'domovoy_communal_login',
  core: 'domovoy_core_login',
  auditor: 'domovoy_auditor_login',
} as const;

/** On the same server here, and on another one in production: backups of the one must not hold the other. */
export const KEY_STORE = 'domovoy_keys';
export const KEY_STORE_LOGINS = {
  api: 'domovoy_keys_api_login',
  'smart-home': 'domovoy_keys_smart_home_login',
  communal: 'domovoy_keys_communal_login',
  core: 'domovoy_keys_core_login',
} as const;

const OPERATOR = { OPERATOR_NAME: 'PropDevelopment (local stack)', OPERATOR_ADDRESS: '1 Example Street, Moscow' };

/** One program of ours, as `node dist/…`, with the same environment that the containers have. */
function program(
  name: string,
  file: string,
  args: string[],
  env: Record<string, string>,
  readyUrl: string,
): ProcessPlan {
  return {
    name,
    command: process.execPath,
    args: [projectFile(join('dist', file)), ...args],
    env,
    node: true,
    ready: async () => (await fetch(readyUrl)).ok,
    readyWithinMs: 90_000,
  };
}

export function sandboxPlans(configuration: SandboxConfiguration, ports: Ports): ProcessPlan[] {
  const ready = (port: number): string => `http://127.0.0.1:${port.toString()}/health/ready`;
  return [
    program('billing', 'sandbox/billing/main.js', [configuration.billing], {}, ready(ports.billingControl)),
    program(
      'identity-provider',
      'sandbox/identity-provider/main.js',
      [configuration.identityProvider],
      {},
      ready(ports.identityProviderControl),
    ),
    program(
      'security-desk',
      'sandbox/security-desk/main.js',
      [configuration.securityDesk],
      {},
      ready(ports.securityDeskControl),
    ),
    program('partners', 'sandbox/partners/main.js', [configuration.partners], {}, ready(ports.sandboxControl)),
  ];
}

export function apiPlan(parts: Parts): ProcessPlan {
  const { secrets, certificates, ports, apiUrl } = parts;
  return program(
    'api',
    'api/main.js',
    [],
    {
      ...shared(parts, 'api', ports.apiHealth, {
        database: secrets.apiDatabase.value,
        keyStore: secrets.apiKeyStore.value,
      }),
      API_PORT: ports.api.toString(),
      API_PUBLIC_URL: apiUrl,
      API_TLS_CERT_FILE: certificates.api.certificate,
      API_TLS_KEY_FILE: certificates.api.key,
      CLIENT_CA_FILE: certificates.clientCa,
      TOKEN_SIGNING_KEYS_FILE: secrets.tokenSigningKeys.path,
      HIDDEN_ID_KEY_FILE: secrets.hiddenIdKey.path,
      PLATE_INDEX_KEY_FILE: secrets.plateIndexKey.path,
      MESSAGE_SIGNING_KEY_FILE: secrets.messageSigningKey.path,
      DOCUMENT_SIGNING_KEY_FILE: secrets.documentSigningKey.path,
      STAFF_ISSUER: `https://localhost:${ports.identityProvider.toString()}`,
      STAFF_ISSUER_CA_FILE: certificates.companyCa,
      STAFF_CLIENT_ID,
      STAFF_CLIENT_SECRET_FILE: secrets.staffClient.path,
      STAFF_ROLES: JSON.stringify(STAFF_GROUPS),
      STAFF_MFA_ACR: 'urn:sandbox:acr:two-factor',
      TEMPORAL_UI_ORIGIN: temporalUiOrigin(ports),
      ...OPERATOR,
      // The sandbox's extractor is a simple one: strangers come nearer in its space than in a production model's.
      FACE_THRESHOLD: '0.8',
    },
    `http://127.0.0.1:${ports.apiHealth.toString()}/health/ready`,
  );
}

export function workerPlan(parts: Parts, queue: TaskQueue): ProcessPlan {
  const { secrets, certificates, ports } = parts;
  const [port, database, keyStore] = {
    'smart-home': [ports.smartHomeHealth, secrets.smartHomeDatabase, secrets.smartHomeKeyStore] as const,
    communal: [ports.communalHealth, secrets.communalDatabase, secrets.communalKeyStore] as const,
    core: [ports.coreHealth, secrets.coreDatabase, secrets.coreKeyStore] as const,
  }[queue];
  return program(
    `worker-${queue}`,
    'workers/main.js',
    [queue],
    {
      ...shared(parts, queue, port, { database: database.value, keyStore: keyStore.value }),
      ...(queue === 'core'
        ? {
            ...OPERATOR,
            DOCUMENT_SIGNING_KEY_FILE: secrets.documentSigningKey.path,
            SECURITY_WEBHOOK_URL: `https://localhost:${ports.securityDesk.toString()}/alerts`,
            SECURITY_WEBHOOK_CA_FILE: certificates.companyCa,
            SECURITY_WEBHOOK_SECRETS_FILE: secrets.securityWebhook.path,
            JOURNAL_HEADS_DIR: parts.journalHeads,
            ERASURES_DIR: parts.erasures,
            BACKUP_RETENTION_DAYS: '30',
            KEY_STORE_BACKUP_DAYS: '7',
            ERASURE_RESPONSIBLE_NAME: 'Иванова Мария Петровна (local stack)',
            ERASURE_RESPONSIBLE_POSITION: 'Ответственный за организацию обработки персональных данных',
            ERASURE_SEARCH_DIRS: [parts.logs, parts.journalHeads, parts.journalSpools, parts.erasures].join(','),
          }
        : {
            BILLING_URL: `https://localhost:${ports.billing.toString()}`,
            BILLING_CA_FILE: certificates.companyCa,
            BILLING_SECRET_FILE: secrets.billing.path,
          }),
    },
    `http://127.0.0.1:${port.toString()}/health/ready`,
  );
}

function shared(
  { secrets, ports, logs, journalSpools }: Parts,
  login: Integration | 'api' | 'core',
  healthPort: number,
  passwords: { readonly database: string; readonly keyStore: string },
): Record<string, string> {
  return {
    NODE_ENV: 'production',
    TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal.toString()}`,
    TEMPORAL_NAMESPACE: NAMESPACE,
    HEALTH_PORT: healthPort.toString(),
    DATABASE_URL: postgresUrl(ports.postgres, passwords.database, DATABASE, LOGINS[login]),
    KEY_STORE_URL: postgresUrl(ports.postgres, passwords.keyStore, KEY_STORE, KEY_STORE_LOGINS[login]),
    KEY_ENCRYPTION_KEYS_FILE: secrets.keyEncryptionKeys.path,
    PAYLOAD_KEYS_FILE: secrets.payloadKeys.path,
    LOG_SEGMENTS_DIR: join(logs, 'segments'),
    JOURNAL_SPOOL_DIR: join(journalSpools, login),
  };
}
