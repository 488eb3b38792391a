import { log } from '@temporalio/activity';
import type { DeletionRequest } from '../contracts/deletions';
import { deletionWorkflowId, vehicleAccessWorkflowId, type Integration } from '../contracts/ids';
import {
  KEYS_AND_FOBS,
  NOT_TOLD,
  type SaleObstacle,
  type SaleProgress,
  type SaleRequest,
  type SaleState,
} from '../contracts/property-sales';
import { callOnce, raiseCall } from '../journal/alerts';
import { appendJournal } from '../journal/journal';
import { readPartnerCall } from '../journal/partner-calls';
import type { Database, Transaction } from '../prisma/database';
import { partnersToTell, takeEffect } from '../registry/sale';
import { hasConfirmed, saleProgress, vehiclesHeardOf } from '../registry/sale-progress';
import { deletionRequestOf } from '../vault/biometrics';
import type { SubjectVault } from '../vault/subject-keys';

export type PropertySaleActivities = ReturnType<typeof createPropertySaleActivities>;

const PROCESS = 'property-sale';
const ACTOR = 'property-sale-process';
/** How long ago an answer may be that a person is shown: a partner is asked every few hours at least. */
const ANSWER_IS_OLD_MS = 2 * 86_400_000;
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
    /** The date of a sale has come. A person is called about what no partner takes an order for. */
    async takeSaleEffect({ saleId }: SaleRequest): Promise<SaleState> {
      return database.$transaction(async (tx) => {
        const state = await takeEffect(tx, saleId, { actor: ACTOR, subjects });
        if (state === 'in-force') await callAboutKeys(tx, saleId);
        return state;
      }, TRANSACTION);
    },

    /**
     * Tells everybody at each partner who has not confirmed; one who cannot be told keeps no other waiting.
     *
     * @returns how many could not be told
     */
    async tellSalePartners({ saleId }: SaleRequest): Promise<number> {
      let untold = 0;
      for (const partner of await partnersToTell(database, saleId)) {
        const isTold = await tellPartner(saleId, partner).then(
          () => true,
          () => false,
        );
        if (!isTold) untold++;
        const now = new Date();
        await database.propertySalePartner.update({
          where: { saleId_partnerId: { saleId, partnerId: partner.partnerId } },
          data: isTold ? { told: { increment: 1 }, lastToldAt: now } : { lastAnswer: NOT_TOLD, lastAnswerAt: now },
        });
      }
      if (untold > 0) log.warn('partners of a sale could not be told', { event: 'sale-not-told', count: untold });
      await endConsents(saleId);
      return untold;
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

    /**
     * Calls a person, once for each partner and level: a row, evidence, an alert for the security desk, a line in the log,
     * and with the partner what it answered last.
     *
     * @param call.partnerId `null`: a step of our own keeps failing
     */
    async raiseSaleEscalation(
      { saleId }: SaleRequest,
      call: { partnerId: string | null; level: number; reason: SaleObstacle; raisedAt: string },
    ): Promise<void> {
      const { partnerId, level, reason, raisedAt } = call;
      const answer = partnerId === null ? null : await lastAnswerOf(saleId, partnerId);
      const isNew = await database.$transaction(async (tx) => {
        const { state } = await tx.propertySale.findUniqueOrThrow({ where: { id: saleId } });
        const partner = partnerId === null ? null : await tx.partner.findUniqueOrThrow({ where: { id: partnerId } });
        if (partnerId !== null && answer) {
          await tx.propertySalePartner.update({ where: { saleId_partnerId: { saleId, partnerId } }, data: answer });
        }
        const integration = partner?.integration ?? null;
        const objectId = objectOf(saleId, partnerId ?? OURS, state);
        const about = { process: PROCESS, objectId, reason, level, integration };
        if (!(await callOnce(tx, { ...about, raisedAt }))) return false;
        const entry = { kind: 'escalation', integration, objectId: saleId, actor: ACTOR, outcome: 'raised' } as const;
        await appendJournal(tx, { ...entry, reason });
        const severity = level === 1 ? 'medium' : 'high';
        await raiseCall(tx, { ...about, severity });
        return true;
      });
      if (isNew) log.error('a sale is not confirmed by a partner', { event: 'escalated', code: reason, count: level });
    },
  };

  /** What the partner answered last to what the sale made others ask of it, by the journal of our calls. */
  async function lastAnswerOf(
    saleId: string,
    partnerId: string,
  ): Promise<{ lastAnswer: string; lastAnswerAt: Date } | null> {
    const sale = await database.propertySale.findUniqueOrThrow({
      where: { id: saleId },
      include: { rights: true, deletions: true },
    });
    const residentIds = [...new Set(sale.rights.map(({ residentId }) => residentId))];
    const vehicles = await vehiclesHeardOf(database, { partnerId, residentIds });
    const executions = [
      ...sale.deletions.map(({ deletionId }) => deletionWorkflowId(deletionId)),
      ...vehicles.map(({ id }) => vehicleAccessWorkflowId(id, partnerId)),
    ];
    const calls = await database.journalEntry.findMany({
      where: {
        kind: 'partner-call',
        actor: { in: executions },
        at: { gt: new Date(Date.now() - ANSWER_IS_OLD_MS) },
      },
      orderBy: { seq: 'desc' },
      take: AT_MOST,
    });
    const last = calls.find((entry) => readPartnerCall(entry)?.partnerId === partnerId);
    return last ? { lastAnswer: last.outcome ?? '', lastAnswerAt: last.at } : null;
  }

  /** Nobody's port takes an order about keys and fobs: a person has them re-coded, and says so by taking the call in hand. */
  async function callAboutKeys(tx: Transaction, saleId: string): Promise<void> {
    const { partners } = await tx.propertySale.findUniqueOrThrow({
      where: { id: saleId },
      include: { partners: { include: { partner: true }, orderBy: { partnerId: 'asc' } } },
    });
    if ((await tx.propertySaleRight.count({ where: { saleId } })) === 0) return;
    for (const { partnerId, partner } of partners) {
      const { integration } = partner;
      const call = { integration, process: PROCESS, objectId: keysOf(saleId, partnerId), reason: KEYS_AND_FOBS };
      if (!(await callOnce(tx, { ...call, level: 1, raisedAt: new Date() }))) continue;
      const entry = { kind: 'escalation', integration, objectId: saleId, actor: ACTOR, outcome: 'raised' } as const;
      await appendJournal(tx, { ...entry, reason: KEYS_AND_FOBS });
    }
  }

  /** Whatever their partners have confirmed by now: nothing else ends the execution of a consent that ended with a sale. */
  async function endConsents(saleId: string): Promise<void> {
    const ended = await database.consent.findMany({
      where: { deletion: { sales: { some: { saleId } } } },
      select: { id: true },
    });
    for (const { id } of ended) await deps.tellConsent(id);
  }

  async function tellPartner(saleId: string, partner: { partnerId: string; integration: Integration }): Promise<void> {
    const { partnerId } = partner;
    const sale = await database.propertySale.findUniqueOrThrow({
      where: { id: saleId },
      include: { rights: true, deletions: { include: { deletion: true } } },
    });
    for (const { deletion } of sale.deletions) {
      if (deletion.partnerId !== partnerId || deletion.state !== 'deleting') continue;
      await deps.startDeletion(deletionRequestOf(deletion), partner.integration);
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
  // What a reversal overtook will not be confirmed any more: nobody has to see to it. Keys are another matter.
  await tx.escalation.updateMany({
    where: {
      ...{ process: PROCESS, resolvedAt: null, objectId: { startsWith: `${saleId}/` } },
      ...(state === 'in-force' && { reason: { not: KEYS_AND_FOBS } }),
    },
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

/** In the place of a partner, where a step of our own is what fails. */
const OURS = 'domovoy';
/** Of the calls to a partner, among which its last is. */
const AT_MOST = 50;

/** What a person is called about once at a sale: keys and fobs at one partner. */
export const keysOf = (saleId: string, partnerId: string): string => `${saleId}/${partnerId}/keys`;

/** What a person is called about: a partner's part of a sale, or of its reversal. */
export const objectOf = (saleId: string, partnerId: string, state: string): string =>
  state === 'reversed' ? `${saleId}/${partnerId}/reversal` : `${saleId}/${partnerId}`;
