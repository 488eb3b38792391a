import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificates, type Certificates } from '../../stack/certificates';
import type { Ports } from '../../stack/ports';
import { stackSecrets, type StackSecrets } from '../../stack/secrets';
import { profileOf, seedTown, type OwnerUrls } from '../../stack/seed';
import { openStateFolder, type StateFolder } from '../../stack/state-folder';
import { PARTNERS } from '../../stack/town';
import type { Database } from '../../prisma/database';

/** Name of the environment variable in which suites find the folder. */
const FOLDER = 'DOMOVOY_TEST_TOWN';

/**
 * Makes the town once for all suites of the run: its secrets and certificates in the folder, its rows in the database.
 * Each suite then has a copy of both: to make them anew would take seconds of its own.
 */
export async function prepareTown(folder: string, urls: OwnerUrls, ports: Ports): Promise<void> {
  const state = openStateFolder({ DOMOVOY_STATE_DIR: folder });
  const certificates = await ensureCertificates(state.certificates);
  await seedTown(urls, { secrets: stackSecrets(state), certificates, ports });
  process.env[FOLDER] = folder;
}

/** @returns a copy of the town's folder that the suite may change */
export async function copyTown(): Promise<{ state: StateFolder; secrets: StackSecrets; certificates: Certificates }> {
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-harness-'));
  cpSync(process.env[FOLDER] ?? '', folder, { recursive: true });
  const state = openStateFolder({ DOMOVOY_STATE_DIR: folder });
  return { state, secrets: stackSecrets(state), certificates: await ensureCertificates(state.certificates) };
}

/** The rows came with the template; only where its partners listen is the suite's own. */
export async function movePartnersTo(
  ports: Ports,
  { owner, secrets, certificates }: { owner: Database; secrets: StackSecrets; certificates: Certificates },
): Promise<void> {
  for (const partner of PARTNERS) {
    const profile = profileOf(partner, { secrets, certificates, ports });
    await owner.partner.update({ where: { id: partner.id }, data: { profile } });
  }
}
