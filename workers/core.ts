import { readFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import type { Registry } from 'prom-client';
import type { CoreSecrets, CoreSettings, ProcessSettings } from '../config/environment';
import type { Logger } from '../config/logger';
import { repeating } from '../config/repeating';
import { connectTemporal } from '../config/temporal';
import type { DeletionRequest } from '../contracts/deletions';
import type { AlertRequest } from '../contracts/security-alerts';
import type { Integration } from '../contracts/ids';
import type { SaleRequest } from '../contracts/property-sales';
import { acceptErasuresAgain, restoreActs } from '../erasure/again';
import { openErasureLedger } from '../erasure/ledger';
import { createEntryAuthenticator, isByCommand } from '../journal/authenticity';
import type { ExchangeJournal } from '../journal/exchanges';
import { isComparedWithLedger, noteComparedWithLedger } from '../erasure/restore-check';
import { openHeadsFolder } from '../journal/heads-folder';
import { callNotes } from '../partners/journaled-calls';
import { measuredCall } from '../partners/measured';
import { createSecurityWebhook, SECURITY_WEBHOOK, type SecurityWebhook } from '../partners/security-webhook';
import type { Database } from '../prisma/database';
import { documentSigner } from '../vault/document-signature';
import type { KeyEncryption } from '../vault/key-encryption';
import type { KeyStore } from '../vault/key-store';
import { createSubjectVault } from '../vault/subject-keys';
import { startDeletion } from '../workflows/biometric-deletion/start';
import { tellConsentEnded } from '../workflows/consent/ended';
import { startErasure } from '../workflows/erasure/start';
import { startReview, type ReviewRequest } from '../workflows/access-review/start';
import { startLogExport, type LogExportRequest } from '../workflows/log-export/start';
import { startSecurityAlert } from '../workflows/security-alert/start';
import { resumeSale } from '../workflows/property-sale/start';
import { tellVehicleAccess, type PlatePartner } from '../workflows/vehicle-access/start';
import { showWhatIsDue } from './due-metrics';
import { createErasureExecutions } from './erasure-executions';
import type { Integrated } from './integration';
import { keepKeyStore } from './key-store-keeper';
import { ensureSchedules } from './schedules';
import { coreActivities, workerName } from './worker';

/** The processes that this worker begins or tells something. */
export const processesOf = (client: Client) => ({
  startDeletion: (request: DeletionRequest, integration: Integration) => startDeletion(client, request, integration),
  resumeSale: (request: SaleRequest) => resumeSale(client, request),
  tellVehicle: (vehicleId: string, partner: PlatePartner) => tellVehicleAccess(client, vehicleId, [partner]),
  tellConsent: (consentId: string) => tellConsentEnded(client, consentId),
  startErasure: (erasureId: string) => startErasure(client, erasureId),
  startLogExport: (request: LogExportRequest) => startLogExport(client, request),
  startReview: (request: ReviewRequest) => startReview(client, request),
  startAlert: (request: AlertRequest) => startSecurityAlert(client, request),
});

type Settings = Omit<CoreSettings, keyof ProcessSettings> & Pick<ProcessSettings, 'LOG_SEGMENTS_DIR'>;
type Secrets = Pick<CoreSecrets, 'DOCUMENT_SIGNING_KEY' | 'SECURITY_WEBHOOK_SECRETS' | 'PAYLOAD_KEYS'>;

/** Everything that the worker is made of which belongs to no integration, and the schedules that it serves. */
export async function composeCore(
  database: Database,
  settings: Settings,
  secrets: Secrets,
  keyEncryption: KeyEncryption,
  keyStore: KeyStore,
  registry: Registry,
  journal: Pick<ExchangeJournal, 'called'>,
  log: Logger,
): Promise<Integrated> {
  const client = await connectTemporal(secrets.PAYLOAD_KEYS);
  await ensureSchedules(client);
  const heads = openHeadsFolder(settings.JOURNAL_HEADS_DIR);
  showWhatIsDue(registry, database, client, { heads, warnDays: settings.ERASURE_WARN_DAYS });
  const core = composeCoreActivities(database, client, settings, secrets, keyEncryption, keyStore, journal);
  await core.eraseAgain();
  const watching = keepCompared(database, core.eraseAgain, log);
  const keeping = keepKeyStore(registry, log, { database, keyStore, keyEncryption });
  const close = async (): Promise<void> => {
    await keeping.close();
    await watching.close();
    await core.close();
    await client.connection.close();
  };
  return { activities: core.activities, close };
}

const COMPARE_EVERY_MS = 2_000;

/** A database may be restored, or its server started, under a worker that runs: until it is compared the API is shut. */
function keepCompared(database: Database, compare: () => Promise<void>, log: Logger): { close: () => Promise<void> } {
  const look = async (): Promise<void> => {
    if (!(await isComparedWithLedger(database))) await compare();
  };
  return repeating(COMPARE_EVERY_MS, look, (error) => {
    log.warn({ event: 'restore-gate', error }, 'the database could not be compared with the ledger of erasures');
  });
}

/** `null`: no receiver is configured; alerts are in the API all the same. */
function securityWebhookOf(settings: Settings, { SECURITY_WEBHOOK_SECRETS: secrets }: Secrets): SecurityWebhook | null {
  const { SECURITY_WEBHOOK_URL: url, SECURITY_WEBHOOK_CA_FILE: caFile } = settings;
  if (url === undefined) return null;
  if (caFile === undefined || secrets === undefined) {
    throw new Error('SECURITY_WEBHOOK_URL wants SECURITY_WEBHOOK_CA_FILE and SECURITY_WEBHOOK_SECRETS.');
  }
  return createSecurityWebhook({ url, caPem: readFileSync(caFile, 'utf8'), secrets });
}

/** Each delivery is a call to another system like any other. */
function notedWebhook(
  webhook: SecurityWebhook | null,
  journal: Pick<ExchangeJournal, 'called'>,
): SecurityWebhook | null {
  if (!webhook) return null;
  const called = callNotes(journal, { integration: null, process: workerName('core') });
  const delivery = { partnerId: SECURITY_WEBHOOK, operation: 'deliver' };
  return {
    close: () => webhook.close(),
    deliver: (message, signal) => measuredCall(delivery, { called }, () => webhook.deliver(message, signal)),
  };
}

/** @returns what the worker may do, and what it does first: a restored backup may have brought erased people back */
export function composeCoreActivities(
  database: Database,
  client: Client,
  settings: Settings,
  secrets: Secrets,
  keyEncryption: KeyEncryption,
  keyStore: KeyStore,
  journal: Pick<ExchangeJournal, 'called'>,
): { activities: object; eraseAgain: () => Promise<void>; close: () => Promise<void> } {
  const ledger = openErasureLedger(settings.ERASURES_DIR);
  const subjects = createSubjectVault(keyEncryption, keyStore);
  const clocks = {
    withdrawalDays: settings.ERASURE_WITHDRAWAL_DAYS,
    demandWorkingDays: settings.ERASURE_DEMAND_WORKING_DAYS,
    prolongByWorkingDays: settings.ERASURE_PROLONG_WORKING_DAYS,
    warnDays: settings.ERASURE_WARN_DAYS,
  };
  const webhook = notedWebhook(securityWebhookOf(settings, secrets), journal);
  const { isAuthentic } = createEntryAuthenticator(secrets.PAYLOAD_KEYS);
  const isUnauthenticatedPlaced = settings.JOURNAL_UNAUTHENTICATED === 'placed';
  const activities = coreActivities({
    database,
    keyEncryption,
    signer: documentSigner(secrets.DOCUMENT_SIGNING_KEY),
    tokenKeyLeadMs: settings.TOKEN_KEY_LEAD_MINUTES * 60_000,
    outside: openHeadsFolder(settings.JOURNAL_HEADS_DIR),
    isAuthentic: (entry) => isAuthentic(entry) || isByCommand(entry) || (isUnauthenticatedPlaced && entry.mac === null),
    ...processesOf(client),
    operator: { name: settings.OPERATOR_NAME, address: settings.OPERATOR_ADDRESS },
    responsible: { name: settings.ERASURE_RESPONSIBLE_NAME, position: settings.ERASURE_RESPONSIBLE_POSITION },
    backupDays: settings.BACKUP_RETENTION_DAYS,
    keyStoreBackupDays: settings.KEY_STORE_BACKUP_DAYS,
    keyStore,
    clocks,
    executions: createErasureExecutions(client),
    ledger,
    subjects,
    searchedFolders: settings.ERASURE_SEARCH_DIRS,
    logSegments: settings.LOG_SEGMENTS_DIR,
    followUpMs: settings.ERASURE_FOLLOW_UP_MS,
    webhook,
  });
  const eraseAgain = async (): Promise<void> => {
    const erasureIds = await acceptErasuresAgain(database, { subjects, ledger, clocks });
    await noteComparedWithLedger(database);
    await restoreActs(database, ledger);
    for (const erasureId of erasureIds) await startErasure(client, erasureId);
  };
  const close = async (): Promise<void> => {
    await webhook?.close();
  };
  return { activities, eraseAgain, close };
}
