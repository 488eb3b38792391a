import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseKeyRing } from '../../config/environment';
import { dataConverterWith } from '../../config/temporal';
import { createExchangeJournal } from '../../journal/exchanges';
import { openDatabase } from '../../prisma/database';
import { localKeyEncryption } from '../../vault/key-encryption';
import { openKeyStore } from '../../vault/key-store';
import { composeCoreActivities } from '../../workers/core';
import { createWorker } from '../../workers/worker';
import type { Harness } from './harness';
import { workflowBundle } from './workflow-bundle';

export type CoreWorker = { readonly stop: () => Promise<void> };

/** Folder that keeps who was erased, outside of the database. */
export const erasuresFolder = (h: Harness): string => join(h.stateFolder, 'erasures');
/** For who tidies up where nobody was erased. */
export const noLedger = { ledger: { retire: () => 0 }, backupDays: 30 };
/** Folder that is searched before an erasure is certified. */
export const searchedFolder = (h: Harness): string => join(h.stateFolder, 'logs');

/** The worker `core`, with the rights of its role and no others, started as its process starts it. */
export async function startCore(
  h: Harness,
  options: {
    followUpMs?: number;
    keyStoreBackupDays?: number;
    securityWebhookUrl?: string;
    wrap?: <T extends object>(activities: T) => T;
  } = {},
): Promise<CoreWorker> {
  const database = openDatabase(h.db.urlFor('domovoy_core'), 4);
  const keyStore = openKeyStore(h.keyStoreUrlFor('domovoy_keys_core'), 2);
  mkdirSync(searchedFolder(h), { recursive: true });
  const ring = parseKeyRing(h.secrets.keyEncryptionKeys.value);
  const journal = createExchangeJournal(database, () => undefined);
  const { activities, eraseAgain, close } = composeCoreActivities(
    database,
    h.temporal.client,
    {
      JOURNAL_HEADS_DIR: join(h.stateFolder, 'journal-heads'),
      JOURNAL_UNAUTHENTICATED: 'refused',
      ERASURES_DIR: erasuresFolder(h),
      ERASURE_SEARCH_DIRS: [searchedFolder(h)],
      TOKEN_KEY_LEAD_MINUTES: 30,
      BACKUP_RETENTION_DAYS: 30,
      KEY_STORE_BACKUP_DAYS: options.keyStoreBackupDays ?? 7,
      ERASURE_RESPONSIBLE_NAME: 'Мария Иванова',
      ERASURE_RESPONSIBLE_POSITION: 'Ответственный за обработку персональных данных',
      ERASURE_FOLLOW_UP_MS: options.followUpMs ?? 7 * 86_400_000,
      ...ERASURE_CLOCKS,
      OPERATOR_NAME: 'PropDevelopment (tests)',
      OPERATOR_ADDRESS: '1 Example Street, Moscow',
      ...(options.securityWebhookUrl !== undefined && {
        SECURITY_WEBHOOK_URL: options.securityWebhookUrl,
        SECURITY_WEBHOOK_CA_FILE: h.certificates.companyCa,
      }),
    },
    {
      DOCUMENT_SIGNING_KEY: h.secrets.documentSigningKey.value,
      PAYLOAD_KEYS: parseKeyRing(h.secrets.payloadKeys.value),
      SECURITY_WEBHOOK_SECRETS: [h.secrets.securityWebhook.value],
    },
    localKeyEncryption(ring.keys, ring.currentId),
    keyStore,
    journal,
  );
  await eraseAgain();
  const worker = await createWorker({
    connection: h.temporal.nativeConnection,
    namespace: h.temporal.namespace ?? 'default',
    taskQueue: 'core',
    activities: options.wrap?.(activities) ?? activities,
    workflows: { workflowBundle: workflowBundle() },
    dataConverter: dataConverterWith(parseKeyRing(h.secrets.payloadKeys.value)),
  });
  const running = worker.run();
  return {
    async stop() {
      worker.shutdown();
      await running;
      await close();
      await journal.close();
      await database.$disconnect();
      await keyStore.close();
    },
  };
}

const ERASURE_CLOCKS = {
  ERASURE_WITHDRAWAL_DAYS: 30,
  ERASURE_DEMAND_WORKING_DAYS: 10,
  ERASURE_PROLONG_WORKING_DAYS: 5,
  ERASURE_WARN_DAYS: 3,
};
