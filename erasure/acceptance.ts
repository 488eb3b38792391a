import { createHash, randomUUID } from 'node:crypto';
import type { ErasureBasis, ErasureProof } from '../contracts/erasure';
import type { JournalRecord } from '../journal/journal';
import { appendAbout } from '../journal/subjects';
import type { Transaction } from '../prisma/database';
import type { Erasure } from '../prisma/generated/client';
import { lockBiometrics, stopBiometrics } from '../vault/biometrics';
import type { SubjectVault } from '../vault/subject-keys';
import { dueAt, type ErasureClocks } from './clocks';
import { journalErasure } from './evidence';
import { followHolds } from './hold';
import { rememberIdentifiers } from './identifiers';
import type { LedgerDemand } from './ledger';
import { removeVehicle } from './vehicle-removal';

/** The person's name in the act of destruction: of another purpose than the journal's, so that the two do not lead to each other. */
const PSEUDONYM_PURPOSE = 'erasure';
const IN_FORCE = ['offered', 'granted'];
const UNDER_WAY_OR_IN_USE = ['requested', 'processing', 'active'];

/**
 * Accepts a demand to erase a person (152-FZ, articles 14 and 21): when this transaction has committed, nothing opens to
 * them any more, and the row says what is due. A person is erased once: whoever asks again gets the same row. While a
 * hold on the resident is in force use stops all the same, and nothing is destroyed.
 *
 * @param demand.proof who asks and how it is known; only what the ledger begins again has none
 * @param demand.requestedAt when the law's time began, if not now
 * @returns `null` when there is no such resident
 */
export async function acceptErasure(
  tx: Transaction,
  subjects: SubjectVault,
  demand: {
    readonly erasureId: string;
    readonly residentId: string;
    readonly basis: ErasureBasis;
    readonly actor: string;
    readonly clocks: ErasureClocks;
    readonly proof?: ErasureProof;
    readonly requestedAt?: Date;
    /** It was accepted before, in what a restored backup has lost: the law's time and a hold are as they were. */
    readonly earlier?: Earlier;
  },
): Promise<Erasure | null> {
  const { erasureId, residentId, basis, actor, clocks, proof, requestedAt = new Date(), earlier } = demand;
  if (!(await lockResident(tx, residentId))) return null;
  const known = await tx.erasure.findUnique({ where: { residentId } });
  if (known) return known;
  const subject = await subjects.pseudonym(tx, residentId, PSEUDONYM_PURPOSE);
  const row = {
    id: erasureId,
    residentId,
    subject,
    basis,
    actor,
    requestedAt,
    dueAt: dueAt(basis, requestedAt, clocks),
    ...(earlier && asBefore(earlier, requestedAt)),
    ...(proof && {
      requestedBy: proof.requestedBy,
      identityMethod: proof.method,
      identifiedAt: proof.identifiedAt,
      identityReference: proof.reference,
      mandate: proof.mandate ?? null,
    }),
  };
  const erasure = await tx.erasure.create({ data: row });
  if (proof) await journalErasure(tx, erasureId, { actor, outcome: 'identified', reason: wordsOf(proof) });
  await journalErasure(tx, erasureId, { actor, outcome: 'requested', reason: basis });
  await rememberIdentifiers(tx, erasure);
  // First, so that nothing is forgotten that is to be kept.
  const standing = await followHolds(tx, erasure, actor);
  await stopEverything(tx, subjects, { residentId, actor });
  return standing;
}

/** The references themselves stay in the row: by their hash the journal proves that they are the ones that were given. */
function wordsOf({ requestedBy, method, reference, mandate }: ErasureProof): string {
  const sha256 = createHash('sha256')
    .update(JSON.stringify([reference, mandate ?? null]))
    .digest('hex');
  return `${requestedBy} ${method} ${sha256}`;
}

type Earlier = Pick<LedgerDemand, 'requestedAt' | 'dueAt' | 'holdReason'>;

const asBefore = ({ requestedAt, dueAt: due, holdReason }: Earlier, now: Date) => ({
  ...{ requestedAt, dueAt: due, holdReason },
  heldAt: holdReason === null ? null : now,
});

/** Not as strong as a deletion would lock: rows that refer to the resident are written all the same, and found later. */
export async function lockResident(tx: Transaction, residentId: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`SELECT 1 FROM residents WHERE id = ${residentId}::uuid FOR NO KEY UPDATE`;
  return rows.length > 0;
}

/**
 * Stops every use of the person's data, and makes the deletion at every holder due. Safe to repeat: what came in
 * meanwhile, from a request that had passed its checks before, is stopped as well.
 */
export async function stopEverything(
  tx: Transaction,
  subjects: SubjectVault,
  { residentId, actor }: { readonly residentId: string; readonly actor: string },
): Promise<void> {
  await tx.resident.updateMany({ where: { id: residentId, status: { not: 'erased' } }, data: { status: 'erased' } });
  const partners = await partnersConcerned(tx, residentId);
  // Before the sessions, as a sale of the same person's flat does it: else each may wait for the other.
  for (const { partnerId } of partners) await lockBiometrics(tx, { residentId, partnerId });
  await tx.pluginSession.updateMany({ where: { residentId, endedAt: null }, data: { endedAt: new Date() } });
  await tx.identityToken.deleteMany({ where: { residentId } });
  for (const partner of partners) await stopAt(tx, subjects, { residentId, actor, ...partner });
  const vehicles = await tx.vehicle.findMany({ where: { residentId, status: 'active' }, select: { id: true } });
  for (const { id } of vehicles) await removeVehicle(tx, subjects, id, actor);
}

type Concerned = { readonly partnerId: string; readonly integration: string };

/** Whoever may ever have heard of the person, in one order for everybody, because each is locked. */
async function partnersConcerned(tx: Transaction, residentId: string): Promise<Concerned[]> {
  const ofResident = { some: { residentId } };
  const partners = await tx.partner.findMany({
    where: {
      OR: [{ subjects: ofResident }, { consents: ofResident }, { enrollments: ofResident }, { templates: ofResident }],
    },
    select: { id: true, integration: true },
    orderBy: { id: 'asc' },
  });
  return partners.map(({ id, integration }) => ({ partnerId: id, integration }));
}

async function stopAt(
  tx: Transaction,
  subjects: SubjectVault,
  { residentId, partnerId, integration, actor }: Concerned & { readonly residentId: string; readonly actor: string },
): Promise<void> {
  const where = { residentId, partnerId };
  const consents = await tx.consent.findMany({ where: { ...where, status: { in: IN_FORCE } } });
  const inUse = await tx.enrollment.count({ where: { ...where, state: { in: UNDER_WAY_OR_IN_USE } } });
  const ordered = await tx.biometricDeletion.findMany({ where: { ...where, reason: 'erasure' } });
  const open = ordered.find(({ state }) => state === 'deleting');
  if (consents.length === 0 && (open || (ordered.length > 0 && inUse === 0))) return;

  const deletionId = open?.id ?? randomUUID();
  await stopBiometrics(tx, { deletionId, ...where, integration, reason: 'erasure', houseIds: 'all' });
  const entry = { integration, actor, reason: 'erasure' };
  const ordering: JournalRecord = { ...entry, kind: 'biometric-deletion', objectId: deletionId, outcome: 'requested' };
  for (const { id } of consents) {
    await tx.consent.update({
      where: { id },
      data: { status: 'withdrawn', revision: { increment: 1 }, endedAt: new Date(), deletionId },
    });
  }
  const about = { residentId, details: { partnerId } };
  await appendAbout(
    tx,
    subjects,
    about,
    ...(open ? [] : [ordering]),
    ...consents.map(({ id }): JournalRecord => ({ ...entry, kind: 'consent', objectId: id, outcome: 'withdrawn' })),
  );
}
