import { readFileSync } from 'node:fs';
import type { Registry } from 'prom-client';
import type { WorkerSecrets, WorkerSettings } from '../config/environment';
import type { Integration } from '../contracts/ids';
import { createBillingClient } from '../partners/billing';
import { createGateways } from '../partners/gateways';
import { callNotes, journaledCalls, measuredBilling } from '../partners/journaled-calls';
import { createPartnerMetrics, type PartnerPromise } from '../partners/measured';
import type { ExchangeJournal } from '../journal/exchanges';
import type { Database } from '../prisma/database';
import type { KeyEncryption } from '../vault/key-encryption';
import type { KeyStore } from '../vault/key-store';
import { createSecretStore } from '../vault/secrets';
import { createPhotoStage } from '../vault/staged-photos';
import { createSubjectVault } from '../vault/subject-keys';
import { integrationActivities, workerName } from './worker';

export type Integrated = { readonly activities: object; readonly close: () => Promise<void> };

/** Everything that one integration's worker is made of: its own gateways, secrets and sockets. */
export function composeIntegration(
  integration: Integration,
  database: Database,
  settings: Pick<WorkerSettings, 'BILLING_URL' | 'BILLING_CA_FILE' | 'BILLING_TIMEOUT_MS' | 'BILLING_MAX_AGE_MS'>,
  secrets: Pick<WorkerSecrets, 'BILLING_SECRET'>,
  keyEncryption: KeyEncryption,
  keyStore: KeyStore,
  registry: Registry,
  journal: Pick<ExchangeJournal, 'called'>,
): Integrated {
  const secretStore = createSecretStore(keyEncryption);
  const note = callNotes(journal, { integration, process: workerName(integration) });
  const measured = createPartnerMetrics(registry, () => promisesIn(database));
  const metrics = journaledCalls(measured, note);
  const gateways = createGateways({ database, secretStore, metrics, note });
  const billing = createBillingClient({
    baseUrl: settings.BILLING_URL,
    caPem: readFileSync(settings.BILLING_CA_FILE, 'utf8'),
    timeoutMs: settings.BILLING_TIMEOUT_MS,
    secret: () => Promise.resolve(secrets.BILLING_SECRET),
  });
  const activities = integrationActivities({
    integration,
    database,
    gatewayOf: gateways.get,
    billing: measuredBilling(billing, metrics),
    policy: { billingMaxAgeMs: settings.BILLING_MAX_AGE_MS },
    billingTimeoutMs: settings.BILLING_TIMEOUT_MS,
    secrets: secretStore,
    photos: createPhotoStage(keyEncryption),
    subjects: createSubjectVault(keyEncryption, keyStore),
  });
  const close = async (): Promise<void> => {
    await gateways.close();
    await billing.close();
  };
  return { activities, close };
}

/** What the partners promise whom this worker may see. */
async function promisesIn(database: Database): Promise<PartnerPromise[]> {
  const rows = await database.partner.findMany({
    where: { active: true },
    select: { id: true, slaAvailability: true, slaLatencyMs: true },
  });
  return rows.map(({ id, slaAvailability, slaLatencyMs }) => ({
    partnerId: id,
    availability: slaAvailability,
    latencyMs: slaLatencyMs,
  }));
}
