import type { Client } from '@temporalio/client';
import type { CoreSecrets, CoreSettings } from '../config/environment';
import { connectTemporal } from '../config/temporal';
import type { DeletionRequest } from '../contracts/deletions';
import type { Integration } from '../contracts/ids';
import type { SaleRequest } from '../contracts/property-sales';
import { openHeadsFolder } from '../journal/heads-folder';
import type { Database } from '../prisma/database';
import { documentSigner } from '../vault/document-signature';
import { startDeletion } from '../workflows/biometric-deletion/start';
import { tellConsentEnded } from '../workflows/consent/ended';
import { resumeSale } from '../workflows/property-sale/start';
import { tellVehicleAccess, type PlatePartner } from '../workflows/vehicle-access/start';
import type { Integrated } from './integration';
import { ensureSchedules } from './schedules';
import { coreActivities } from './worker';

/** The processes that this worker begins or tells something. */
export const processesOf = (client: Client) => ({
  startDeletion: (request: DeletionRequest, integration: Integration) => startDeletion(client, request, integration),
  resumeSale: (request: SaleRequest) => resumeSale(client, request),
  tellVehicle: (vehicleId: string, partner: PlatePartner) => tellVehicleAccess(client, vehicleId, [partner]),
  tellConsent: (consentId: string) => tellConsentEnded(client, consentId),
});

/** Everything that the worker is made of which belongs to no integration, and the schedules that it serves. */
export async function composeCore(
  database: Database,
  settings: Pick<CoreSettings, 'JOURNAL_HEADS_DIR'>,
  secrets: Pick<CoreSecrets, 'DOCUMENT_SIGNING_KEY' | 'PAYLOAD_KEYS'>,
): Promise<Integrated> {
  const signer = documentSigner(secrets.DOCUMENT_SIGNING_KEY);
  const outside = openHeadsFolder(settings.JOURNAL_HEADS_DIR);
  const client = await connectTemporal(secrets.PAYLOAD_KEYS);
  await ensureSchedules(client);
  const activities = coreActivities({
    database,
    signer,
    outside,
    ...processesOf(client),
  });
  return { activities, close: () => client.connection.close() };
}
