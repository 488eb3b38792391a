import { randomUUID } from 'node:crypto';
import { CERTIFICATE_TYPE, ErasureCertificate } from '../contracts/erasure-certificate';
import type { Database, Transaction } from '../prisma/database';
import type { Erasure, Prisma } from '../prisma/generated/client';
import { verifyDocument } from '../vault/document-signature';
import type { SubjectVault } from '../vault/subject-keys';
import { acceptErasure, stopEverything } from './acceptance';
import { dueAt, type ErasureClocks } from './clocks';
import { journalErasure } from './evidence';
import { residentHash, type ErasureLedger, type LedgerAct, type LedgerDemand } from './ledger';

const ACTOR = 'erasure-ledger';
/** Of these the key is destroyed. */
const DESTROYED = ['erasing', 'erased', 'reopened', 'closed'];

type Parts = { readonly subjects: SubjectVault; readonly ledger: ErasureLedger; readonly clocks: ErasureClocks };

/**
 * An old backup was restored, and people are back of whom the ledger says that they are erased or asked to be: their
 * erasure is accepted again, under its own number. Half of their keys is back with them, and nothing of theirs opens; whoever
 * has not even that is erased as far as it goes.
 *
 * @returns ids of the erasures that are to be begun
 */
export async function acceptErasuresAgain(database: Database, parts: Parts): Promise<string[]> {
  const demands = parts.ledger.demands();
  if (demands.size === 0) return [];
  const withKey = await database.subjectKey.findMany({ select: { residentId: true } });
  const begun: string[] = [];
  for (const { residentId } of withKey) {
    const demand = demands.get(residentHash(residentId));
    if (demand === undefined) continue;
    const row = await database.$transaction((tx) => acceptAgain(tx, parts, residentId, demand));
    if (row) begun.push(row.id);
  }
  return begun;
}

async function acceptAgain(
  tx: Transaction,
  { subjects, clocks }: Parts,
  residentId: string,
  demand: LedgerDemand | null,
): Promise<Erasure | null> {
  const row = await acceptErasure(tx, subjects, {
    ...{ residentId, actor: ACTOR, clocks, basis: demand?.basis ?? 'stop-processing' },
    erasureId: demand?.erasureId ?? randomUUID(),
    ...(demand && { earlier: asItWas(demand, clocks) }),
  });
  if (!row) return null;
  const wasErased = demand === null || demand.erasedAt !== null;
  if (wasErased && (await subjects.find(tx, residentId)) === null) await forgetDarkVehicles(tx, residentId);
  // Now that nobody else destroys it: the key may have gone since it was seen.
  if ((await tx.subjectKey.count({ where: { residentId } })) === 0) return row;
  await stopEverything(tx, subjects, { residentId, actor: ACTOR });
  if (!DESTROYED.includes(row.state)) return row;
  await journalErasure(tx, row.id, { actor: ACTOR, outcome: 'reopened', reason: 'key-is-back' });
  return tx.erasure.update({ where: { id: row.id }, data: { state: 'waiting', erasedAt: null, completedAt: null } });
}

/**
 * Their plates do not open any more, so that no partner can be told of them; whoever had one let go of it before the key
 * was destroyed, as the act of then says.
 */
async function forgetDarkVehicles(tx: Transaction, residentId: string): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM plate_holdings h USING vehicles v
     WHERE v.resident_id = ${residentId}::uuid AND h.plate_index = v.plate_index
       AND NOT EXISTS (SELECT FROM vehicles o WHERE o.plate_index = v.plate_index AND o.resident_id <> v.resident_id)`;
  await tx.vehiclePartner.deleteMany({ where: { vehicle: { residentId } } });
  await tx.vehicle.deleteMany({ where: { residentId } });
}

/** One that was carried out is a duty of now; one that waits has the time that it had. */
function asItWas(demand: LedgerDemand, clocks: ErasureClocks): LedgerDemand {
  if (demand.erasedAt === null) return demand;
  return { ...demand, dueAt: dueAt(demand.basis, new Date(), clocks).toISOString() };
}

/**
 * Puts acts back that are newer than the backup: they are to be kept for three years (order 179), and whoever was erased
 * asks for theirs by the number of the demand.
 *
 * @returns how many were not there
 */
export async function restoreActs(database: Database, ledger: ErasureLedger): Promise<number> {
  let restored = 0;
  for (const act of ledger.acts()) {
    const { erasureId, version } = act;
    const where = { erasureId_version: { erasureId, version } };
    if (await database.erasureCertificate.findUnique({ where, select: { id: true } })) continue;
    const content = contentOf(act);
    if (content === null) continue;
    await database.$transaction(async (tx) => {
      await tx.erasure.createMany({ data: [closedErasure(act, content)], skipDuplicates: true });
      const row = { id: content.certificate_id, erasureId, version, issuedAt: act.issuedAt };
      const document = act.document as Prisma.InputJsonObject;
      const { count } = await tx.erasureCertificate.createMany({ data: [{ ...row, document }], skipDuplicates: true });
      if (count === 0) return;
      await journalErasure(tx, erasureId, { actor: ACTOR, outcome: 'restored', reason: version.toString() });
      restored++;
    });
  }
  return restored;
}

/** @returns `null` for what is not an act that was signed: it is not put among those that are */
function contentOf({ document, erasureId }: LedgerAct): ErasureCertificate | null {
  const check = verifyDocument(document);
  if (!check.ok || check.type !== CERTIFICATE_TYPE) return null;
  const { data } = ErasureCertificate.safeParse(check.content);
  return data?.subject.request_id === erasureId ? data : null;
}

/** The backup has neither the demand nor the person: of whom nothing is left that would say who it was. */
const closedErasure = (
  { erasureId, issuedAt }: LedgerAct,
  content: ErasureCertificate,
): Prisma.ErasureCreateManyInput => ({
  id: erasureId,
  residentId: erasureId,
  subject: content.subject.pseudonym,
  basis: content.reason.basis,
  state: 'closed',
  actor: ACTOR,
  requestedAt: content.requested_at,
  dueAt: content.requested_at,
  erasedAt: content.destroyed_at,
  completedAt: issuedAt,
});
