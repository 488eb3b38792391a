import { randomUUID } from 'node:crypto';
import type { Integration } from '../contracts/ids';
import type { SaleState } from '../contracts/property-sales';
import { appendJournal, type JournalRecord } from '../journal/journal';
import { appendAbout } from '../journal/subjects';
import type { Transaction } from '../prisma/database';
import { lockBiometrics, stopBiometrics } from '../vault/biometrics';
import type { SubjectVault } from '../vault/subject-keys';

/** A sale as it was reported, checked. The client is whose numbers name sales. */
export type SaleReport = {
  readonly id: string;
  readonly clientId: string;
  readonly registryReference: string;
  readonly requestSha256: string;
  readonly propertyId: string;
  readonly sellerIds: string[];
  readonly buyerIds: string[];
  readonly effectiveAt: Date;
};

/** Who acts, for the evidence, and the keys under which it says whom it is about. */
export type SaleHand = { readonly actor: string; readonly subjects: SubjectVault };

type SaleRow = NonNullable<Awaited<ReturnType<Transaction['propertySale']['findUnique']>>>;
type HousePartner = {
  readonly partnerId: string;
  readonly integration: string;
  readonly partner: { readonly custody: string };
};

/**
 * One sale at a time: a resident who sells two flats of a house in two sales of the same instant has no right left, and
 * neither of them may miss the other. Sales are rare.
 */
async function lockSales(tx: Transaction): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('property-sales', 0))`;
}

/**
 * Writes a sale down, and takes what it takes when its date has come; before that it dates the end of the rights, so that
 * doors close on the day even if nobody of ours is awake. A repeat finds it there and changes nothing.
 *
 * @param by who brought it
 * @returns `superseded`: a sale of a later date is in force, and this one names nobody: whose rights it means is unknown
 */
export async function acceptSale(tx: Transaction, report: SaleReport, by: SaleHand): Promise<SaleRow | 'superseded'> {
  await lockSales(tx);
  const known = await tx.propertySale.findUnique({ where: { id: report.id } });
  if (known) return known;
  const { effectiveAt, sellerIds } = report;
  if (sellerIds.length === 0 && (await isSoldLater(tx, report))) return 'superseded';
  await tx.propertySale.create({ data: report });
  await appendJournal(tx, saleEntry(report.id, by.actor, 'reported'));
  const sale = await tx.propertySale.findUniqueOrThrow({ where: { id: report.id } });
  if (effectiveAt.getTime() <= Date.now()) await takeEffect(tx, report.id, by, { isReportedAhead: false });
  else await scheduleEnds(tx, sale, by);
  return tx.propertySale.findUniqueOrThrow({ where: { id: report.id } });
}

/** Whether a sale of a later date is in force. */
async function isSoldLater(
  tx: Transaction,
  { propertyId, effectiveAt }: Pick<SaleReport, 'propertyId' | 'effectiveAt'>,
): Promise<boolean> {
  const later = await tx.propertySale.findFirst({
    where: { propertyId, state: 'in-force', effectiveAt: { gt: effectiveAt } },
    select: { id: true },
  });
  return later !== null;
}

/**
 * The moment of the sale (R3.9): every right that rests on the property, or the named sellers' on it, ends with this
 * transaction's commit, by every way in, because every decision reads rights. With it end the plugin sessions, the use
 * of biometrics and the consents that rested on nothing else. What was taken is written down exactly. Also right when
 * it was done before.
 */
export async function takeEffect(
  tx: Transaction,
  saleId: string,
  by: SaleHand,
  { isReportedAhead }: { readonly isReportedAhead: boolean } = { isReportedAhead: true },
): Promise<SaleState> {
  await lockSales(tx);
  const sale = await tx.propertySale.findUniqueOrThrow({ where: { id: saleId }, include: { property: true } });
  if (sale.state !== 'scheduled') return sale.state as SaleState;
  const { houseId } = sale.property;
  const now = new Date();
  const takenAt = isReportedAhead ? await endRest(tx, sale, now) : now;
  if (!isReportedAhead) await endRights(tx, sale, { endsAt: now, startBefore: null });
  const ended = await tx.propertySaleRight.findMany({ where: { saleId }, orderBy: { rightId: 'asc' } });
  await tx.propertySale.update({ where: { id: saleId }, data: { state: 'in-force', takenAt } });
  await appendJournal(tx, saleEntry(saleId, by.actor, 'in-force'));
  await recordRights(tx, by, saleId, 'ended', ended);
  const partners = await tx.housePartner.findMany({
    where: { houseId },
    include: { partner: true },
    orderBy: { partnerId: 'asc' },
  });
  await tx.propertySalePartner.createMany({ data: partners.map(({ partnerId }) => ({ saleId, partnerId })) });
  for (const residentId of [...new Set(ended.map((right) => right.residentId))].toSorted()) {
    if (await hasRight(tx, residentId, { houseId })) continue;
    for (const partner of partners) await loseAccess(tx, { saleId, houseId, residentId, partner, now, ...by });
  }
  return 'in-force';
}

type EndedRight = { readonly rightId: string; readonly residentId: string; readonly previousEndsAt: Date | null };

/** The rights that are known when the sale is reported end on its date, without anybody's doing. */
async function scheduleEnds(tx: Transaction, sale: SaleRow, by: SaleHand): Promise<void> {
  const dated = await endRights(tx, sale, { endsAt: sale.effectiveAt, startBefore: null });
  await recordRights(tx, by, sale.id, 'end-dated', dated);
}

/**
 * What has not ended yet of a sale that was reported ahead of its date: rights that were written since. One that began on
 * the date or after it is a buyer's, and a sale of a later date has said by now whose the rest are.
 *
 * @returns the moment at which the rights of the sale end
 */
async function endRest(tx: Transaction, sale: SaleRow, now: Date): Promise<Date> {
  const { id: saleId, propertyId, effectiveAt, sellerIds } = sale;
  const endsAt = effectiveAt < now ? effectiveAt : now;
  // Dated rights end now, should the clock that woke us be ahead of ours.
  await tx.$executeRaw`
    UPDATE property_rights r SET ends_at = ${endsAt}
    FROM property_sale_rights dated
    WHERE dated.sale_id = ${saleId}::uuid AND r.id = dated.right_id AND r.ends_at = ${effectiveAt}`;
  if (sellerIds.length > 0 || !(await isSoldLater(tx, { propertyId, effectiveAt }))) {
    await endRights(tx, sale, { endsAt, startBefore: effectiveAt });
  }
  return endsAt;
}

/** @param end.startBefore only rights that begin before this; all when `null` */
async function endRights(
  tx: Transaction,
  sale: SaleRow,
  { endsAt, startBefore }: { readonly endsAt: Date; readonly startBefore: Date | null },
): Promise<EndedRight[]> {
  const { id: saleId, propertyId, sellerIds, buyerIds } = sale;
  const ended = await tx.$queryRaw<EndedRight[]>`
    UPDATE property_rights r SET ends_at = ${endsAt}
    FROM (SELECT id, ends_at FROM property_rights
           WHERE property_id = ${propertyId}::uuid AND (ends_at IS NULL OR ends_at > ${endsAt})
             AND (${startBefore}::timestamptz IS NULL OR starts_at < ${startBefore})
             AND (CASE WHEN cardinality(${sellerIds}::uuid[]) > 0 THEN resident_id = ANY (${sellerIds}::uuid[])
                       ELSE resident_id <> ALL (${buyerIds}::uuid[]) END)
           FOR UPDATE) before
    WHERE r.id = before.id
    RETURNING r.id AS "rightId", r.resident_id AS "residentId", before.ends_at AS "previousEndsAt"`;
  // The end that a right had before the sale is what was written first.
  await tx.propertySaleRight.createMany({ data: ended.map((right) => ({ saleId, ...right })), skipDuplicates: true });
  return ended;
}

type Loss = SaleHand & {
  readonly saleId: string;
  readonly houseId: string;
  readonly residentId: string;
  readonly partner: HousePartner;
  readonly now: Date;
};

/** What a resident had at a partner because of a house where they have no right any more. */
async function loseAccess(tx: Transaction, loss: Loss): Promise<void> {
  const { saleId, houseId, residentId, actor, subjects, now, partner } = loss;
  const { partnerId, integration } = partner;
  const subject = { residentId, partnerId };
  await lockBiometrics(tx, subject);
  const isServedElsewhere = await hasRight(tx, residentId, { house: { partners: { some: { partnerId } } } });
  if (!isServedElsewhere) await endPluginSessions(tx, loss);
  const consents = isServedElsewhere ? [] : await tx.consent.findMany({ where: { ...subject, status: 'granted' } });
  const held = { ...subject, ...(isServedElsewhere && { houseId }) };
  const enrollments = await tx.enrollment.count({ where: { ...held, state: { not: 'deleted' } } });
  const templates = await tx.faceTemplate.count({ where: held });
  // A plugin sends faces to its partner without us (R0.1): whoever the partner knows by name may have one there.
  const isKnownThere = partner.partner.custody === 'partner' && (await tx.partnerSubject.count({ where: subject })) > 0;
  if (consents.length + enrollments + templates === 0 && !isKnownThere) return;

  const deletionId = randomUUID();
  await stopBiometrics(tx, {
    ...subject,
    deletionId,
    integration,
    reason: 'sale',
    houseIds: isServedElsewhere ? [houseId] : 'all',
  });
  await tx.propertySaleDeletion.create({ data: { saleId, deletionId } });
  await tx.consent.updateMany({
    where: { id: { in: consents.map(({ id }) => id) } },
    data: { status: 'withdrawn', revision: { increment: 1 }, endedAt: now, deletionId },
  });
  const entry = { integration, actor, reason: 'sale' };
  await appendAbout(
    tx,
    subjects,
    { residentId, details: { partnerId, saleId } },
    { ...entry, kind: 'biometric-deletion', objectId: deletionId, outcome: 'requested' },
    ...consents.map(({ id }): JournalRecord => ({ ...entry, kind: 'consent', objectId: id, outcome: 'withdrawn' })),
  );
}

async function endPluginSessions(tx: Transaction, loss: Loss): Promise<void> {
  const { residentId, actor, subjects, saleId, now } = loss;
  const { partnerId, integration } = loss.partner;
  const open = await tx.pluginSession.findMany({ where: { residentId, partnerId, endedAt: null } });
  await tx.pluginSession.updateMany({ where: { id: { in: open.map(({ id }) => id) } }, data: { endedAt: now } });
  await appendAbout(
    tx,
    subjects,
    { residentId, details: { partnerId, saleId } },
    ...open.map(({ id }): JournalRecord => {
      return { kind: 'plugin-session', integration, objectId: id, actor, outcome: 'ended', reason: 'sale' };
    }),
  );
}

/** A right that has not ended; one that has yet to begin counts, since what it will need is not to be deleted. */
async function hasRight(
  tx: Transaction,
  residentId: string,
  where: { houseId: string } | { house: { partners: { some: { partnerId: string } } } },
): Promise<boolean> {
  const right = await tx.propertyRight.findFirst({
    where: { residentId, property: where, OR: [{ endsAt: null }, { endsAt: { gt: new Date() } }] },
    select: { id: true },
  });
  return right !== null;
}

/**
 * Takes a sale back: every right that it ended ends again when it would have. One of a later date is called off. What is
 * deleted stays deleted, and a consent that ended is asked for anew: neither can be brought back (R1.4).
 *
 * @returns `sold-again`: another sale of the property came into force since, and would be undone by this
 */
export async function reverseSale(tx: Transaction, saleId: string, by: SaleHand): Promise<SaleRow | 'sold-again'> {
  await lockSales(tx);
  const sale = await tx.propertySale.findUniqueOrThrow({ where: { id: saleId } });
  if (sale.state === 'reversed') return sale;
  const now = new Date();
  if (sale.takenAt !== null) {
    const { propertyId, takenAt } = sale;
    const later = await tx.propertySale.findFirst({
      where: { propertyId, state: 'in-force', takenAt: { gte: takenAt }, id: { not: saleId } },
      select: { id: true },
    });
    if (later) return 'sold-again';
  }
  await restoreRights(tx, by, { saleId, endedAt: sale.takenAt ?? sale.effectiveAt, now });
  await tx.propertySalePartner.updateMany({ where: { saleId }, data: { doneAt: null } });
  await appendJournal(tx, saleEntry(saleId, by.actor, 'reversed'));
  return tx.propertySale.update({
    where: { id: saleId },
    data: { state: 'reversed', reversedAt: now, fanOut: 'due' },
  });
}

/** A right whose end somebody has changed since the sale is not the sale's to give back. */
async function restoreRights(
  tx: Transaction,
  by: SaleHand,
  { saleId, endedAt, now }: { saleId: string; endedAt: Date; now: Date },
): Promise<void> {
  const restored = await tx.$queryRaw<ConcernedRight[]>`
    UPDATE property_rights r SET ends_at = taken.previous_ends_at
    FROM property_sale_rights taken
    WHERE taken.sale_id = ${saleId}::uuid AND r.id = taken.right_id AND r.ends_at = ${endedAt}
    RETURNING r.id AS "rightId", r.resident_id AS "residentId"`;
  // Another sale that found this one's date would otherwise give that back in its turn.
  await tx.$executeRaw`
    UPDATE property_sale_rights other SET previous_ends_at = taken.previous_ends_at
    FROM property_sale_rights taken
    WHERE taken.sale_id = ${saleId}::uuid AND other.sale_id <> taken.sale_id AND other.right_id = taken.right_id
      AND other.previous_ends_at = ${endedAt}`;
  const rightIds = restored.map(({ rightId }) => rightId);
  await tx.propertySaleRight.updateMany({
    where: { saleId, rightId: { in: rightIds } },
    data: { restoredAt: now },
  });
  await recordRights(tx, by, saleId, 'restored', restored);
}

const saleEntry = (objectId: string, actor: string, outcome: string): JournalRecord => ({
  kind: 'property-sale',
  integration: null,
  objectId,
  actor,
  outcome,
});

type ConcernedRight = { readonly rightId: string; readonly residentId: string };

/**
 * What became of rights. The register keeps a right and whose it was for years after its holder was erased: so the entry
 * does not name it, or the register would lead to everything else that the journal says of them. It is in the details.
 */
async function recordRights(
  tx: Transaction,
  { actor, subjects }: SaleHand,
  saleId: string,
  outcome: 'end-dated' | 'ended' | 'restored',
  rights: readonly ConcernedRight[],
): Promise<void> {
  for (const { rightId, residentId } of rights) {
    const entry = { integration: null, objectId: randomUUID(), actor, outcome, reason: 'sale' };
    await appendAbout(tx, subjects, { residentId, details: { rightId, saleId } }, { kind: 'property-right', ...entry });
  }
}

/** The partners of a sale with their integration, as far as they have not confirmed yet. */
export async function partnersToTell(
  tx: Transaction,
  saleId: string,
): Promise<{ partnerId: string; integration: Integration }[]> {
  const rows = await tx.propertySalePartner.findMany({ where: { saleId, doneAt: null }, include: { partner: true } });
  return rows.map(({ partnerId, partner }) => ({ partnerId, integration: partner.integration as Integration }));
}
