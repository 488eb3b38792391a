import { randomUUID } from 'node:crypto';
import type { Severity } from '../contracts/security-alerts';
import type { CredentialRef } from '../contracts/credentials';
import { PartnerError } from '../partners/failure';
import { sql, type Database, type Transaction } from '../prisma/database';
import { credentialId, noteCredential } from './credential-evidence';

/** An offer holds for so long; one that nobody took is made anew. */
const OFFER_LIFE_MS = 24 * 3_600_000;
/** Taken, and still not in use after so long: it was lost on the way. */
const LOST_AFTER_MS = 24 * 3_600_000;

type Version = { readonly owner: string; readonly name: string; readonly version: number };

/**
 * Offers a successor to whoever carries it to the partner (R0.6), and says whether it was taken. Staff hear of an offer
 * by an alert; api/staff/credential-handovers.ts gives it to one of them, once.
 *
 * @param isComplete whether nothing has to come back; of a request for a certificate, that the certificate has
 * @throws PartnerError while nobody has taken it, or has brought what has to come back
 */
export async function handToPerson(
  database: Database,
  credential: CredentialRef,
  of: Version,
  isComplete = true,
): Promise<void> {
  const newest = await newestOffer(database, of);
  if (newest?.takenAt && isComplete) return;
  if (newest?.takenAt) {
    // What the partner signs comes back by staff (api/staff/credential-handovers.ts).
    await offerAgainIfLost(database, credential, of);
    throw new PartnerError('PartnerUnauthorized', 'Nobody has brought the certificate yet.');
  }
  await offer(database, credential, of);
  throw new PartnerError('PartnerUnauthorized', 'Nobody has taken the new credential yet.');
}

/** Offers once more what was taken and did not arrive. */
export async function offerAgainIfLost(database: Database, credential: CredentialRef, of: Version): Promise<void> {
  const newest = await newestOffer(database, of);
  if (newest?.takenAt && Date.now() - newest.takenAt.getTime() < LOST_AFTER_MS) return;
  await offer(database, credential, of);
}

const newestOffer = (database: Transaction, { owner, name, version }: Version) =>
  database.credentialHandover.findFirst({
    where: { owner, secretName: name, version },
    orderBy: { offeredAt: 'desc' },
  });

/** Unless there is an offer that holds: two would be two downloads. */
async function offer(database: Database, credential: CredentialRef, of: Version): Promise<void> {
  const { owner, name, version } = of;
  const { integration, partnerId, direction } = credential;
  if (integration === null) return;
  const id = randomUUID();
  const expiresAt = new Date(Date.now() + OFFER_LIFE_MS);
  await database.$transaction(async (tx) => {
    await tx.$queryRaw(
      sql`SELECT 1 FROM secrets WHERE owner = ${owner} AND name = ${name} AND version = ${version} FOR UPDATE`,
    );
    const newest = await newestOffer(tx, of);
    if (newest && !newest.takenAt && newest.expiresAt.getTime() > Date.now()) return;
    const row = { id, integration, partnerId, direction, name: credential.name, version, expiresAt };
    await tx.credentialHandover.create({ data: { ...row, owner, secretName: name } });
    const severity: Severity = 'medium';
    const about = { scope: credentialId(credential), objectId: id };
    const alert = { integration, kind: 'credential-handover', severity, ...about };
    await tx.securityAlert.create({ data: { id: randomUUID(), ...alert, until: expiresAt } });
    await noteCredential(tx, credential, 'offered', `version-${version.toString()}`);
  });
}
