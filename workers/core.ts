import type { CoreSecrets, CoreSettings } from '../config/environment';
import { connectTemporal } from '../config/temporal';
import { openHeadsFolder } from '../journal/heads-folder';
import type { Database } from '../prisma/database';
import { documentSigner } from '../vault/document-signature';
import { startDeletion } from '../workflows/biometric-deletion/start';
import type { Integrated } from './integration';
import { ensureSchedules } from './schedules';
import { coreActivities } from './worker';

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
    startDeletion: (request, integration) => startDeletion(client, request, integration),
  });
  return { activities, close: () => client.connection.close() };
}
