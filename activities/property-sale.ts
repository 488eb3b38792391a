import { randomUUID } from 'node:crypto';
import { log } from '@temporalio/activity';
import type { DeletionRequest } from '../contracts/deletions';
import type { Integration } from '../contracts/ids';
import type { SaleObstacle, SaleProgress, SaleRequest, SaleState } from '../contracts/property-sales';
import { appendJournal } from '../journal/journal';
import type { Database, Transaction } from '../prisma/database';
import { partnersToTell, takeEffect } from '../registry/sale';
import { hasConfirmed, saleProgress, vehiclesHeardOf } from '../registry/sale-progress';
import { deletionRequestOf } from '../vault/biometrics';
import type { SubjectVault } from '../vault/subject-keys';

export type PropertySaleActivities = ReturnType<typeof createPropertySaleActivities>;

const PROCESS = 'property-sale';
const ACTOR = 'property-sale-process';
/** A sale waits for others to be through; each is short. */
const TRANSACTION = { timeout: 30_000, maxWait: 10_000 };

/** Effects of a sale after its moment, run by the `core` worker: it reaches every integration, and no partner itself. */
export function createPropertySaleActivities(deps: {
  database: Database;
  subjects: SubjectVault;
  /** Begins the execution of a deletion, or finds it at work. */
  startDeletion: (request: DeletionRequest, integration: Integration) => Promise<void>;
  /** Has the execution of a vehicle with a partner look again. */
  tellVehicle: (vehicleId: string, partner: { partnerId: string; integration: Integration }) => Promise<void>;
  /** Ends the execution of a consent whose row says that it has ended. */
  tellConsent: (consentId: string) => Promise<void>;
}) {
  const { database, subjects } = deps;

  return {
    /** The date of a sale has come. */
    async takeSaleEffect({ saleId }: SaleRequest): Promise<SaleState> {
      return database.$transaction((tx) => takeEffect(tx, saleId, { actor: ACTOR, subjects }), TRANSACTION);
    },

    /** Tells everybody at each partner who has not confirmed; one who cannot be told keeps no other waiting. */
    async tellSalePartners({ saleId }: SaleRequest): Promise<void> {
      const failures: unknown[] = [];
      for (const partner of await partnersToTell(database, saleId)) {
        await tellPartner(saleId, partner).catch((error: unknown) => failures.push(error));
      }
      if (failures.length > 0) throw failures[0];
    },

    /** What has been confirmed by now; the last confirmation is the end. */
    async surveySale({ saleId }: SaleRequest): Promise<SaleProgress> {
      return database.$transaction(async (tx) => {
        const progress = await saleProgress(tx, saleId);
        const confirmed = progress.partners.filter(hasConfirmed).map(({ partnerId }) => partnerId);
        const now = new Date();
        await tx.propertySalePartner.updateMany({
          where: { saleId, partnerId: { in: confirmed }, doneAt: null },
          data: { doneAt: now },
        });
        await tx.escalation.updateMany({
          where: {
            process: PROCESS,
            resolvedAt: null,
            objectId: { in: confirmed.map((partnerId) => objectOf(saleId, partnerId, progress.state)) },
          },
          data: { resolvedAt: now },
        });
        if (progress.isDone) await conclude(tx, saleId, progress.state);
        return progress;
      }, TRANSACTION);
    },

    /** Calls a person, once for each partner and level: a row, evidence, and a line in the log. */
    async raiseSaleEscalation(
      { saleId }: SaleRequest,
      call: { partnerId: string; level: number; reason: SaleObstacle; raisedAt: string },
    ): Promise<void> {
      const { partnerId, level, reason, raisedAt } = call;
      const isNew = await database.$transaction(async (tx) => {
        const [sale, partner] = await Promise.all([
          tx.propertySale.findUniqueOrThrow({ where: { id: saleId } }),
          tx.partner.findUniqueOrThrow({ where: { id: partnerId } }),
        ]);
        const { integration } = partner;
        const objectId = objectOf(saleId, partnerId, sale.state);
        const row = { id: randomUUID(), integration, process: PROCESS, objectId, reason, level, raisedAt };
        const { count } = await tx.escalation.createMany({ data: [row], skipDuplicates: true });
        if (count > 0) {
          await appendJournal(tx, {
            kind: 'escalation',
            integration,
            objectId: saleId,
            actor: ACTOR,
            outcome: 'raised',
            reason,
          });
        }
        return count > 0;
      });
      if (isNew) log.error('a sale is not confirmed by a partner', { event: 'escalated', code: reason, count: level });
    },
  };

  async function tellPartner(saleId: string, partner: { partnerId: string; integration: Integration }): Promise<void> {
    const { partnerId } = partner;
    const sale = await database.propertySale.findUniqueOrThrow({
      where: { id: saleId },
      include: { rights: true, deletions: { include: { deletion: { include: { consents: true } } } } },
    });
    await database.propertySalePartner.update({
      where: { saleId_partnerId: { saleId, partnerId } },
      data: { told: { increment: 1 } },
    });
    for (const { deletion } of sale.deletions) {
      if (deletion.partnerId !== partnerId || deletion.state !== 'deleting') continue;
      await deps.startDeletion(deletionRequestOf(deletion), partner.integration);
      for (const { id } of deletion.consents) await deps.tellConsent(id);
    }
    const residentIds = [...new Set(sale.rights.map(({ residentId }) => residentId))];
    for (const { id } of await vehiclesHeardOf(database, { partnerId, residentIds })) {
      await deps.tellVehicle(id, partner);
    }
  }
}

/** Only for the state that was looked at: a reversal that came in between makes everything due again. */
async function conclude(tx: Transaction, saleId: string, state: SaleState): Promise<void> {
  const { count } = await tx.propertySale.updateMany({
    where: { id: saleId, state, fanOut: 'due' },
    data: { fanOut: 'done' },
  });
  if (count === 0) return;
  // What a reversal overtook will not be confirmed any more: nobody has to see to it.
  await tx.escalation.updateMany({
    where: { process: PROCESS, resolvedAt: null, objectId: { startsWith: `${saleId}/` } },
    data: { resolvedAt: new Date() },
  });
  await appendJournal(tx, {
    kind: 'property-sale',
    integration: null,
    objectId: saleId,
    actor: ACTOR,
    outcome: 'confirmed',
    reason: state,
  });
}

/** What a person is called about: a partner's part of a sale, or of its reversal. */
export const objectOf = (saleId: string, partnerId: string, state: string): string =>
  state === 'reversed' ? `${saleId}/${partnerId}/reversal` : `${saleId}/${partnerId}`;
