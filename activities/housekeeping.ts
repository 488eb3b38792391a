import type { DeletionRequest } from '../contracts/deletions';
import type { Integration } from '../contracts/ids';
import { KEYS_AND_FOBS, type SaleRequest } from '../contracts/property-sales';
import type { ErasureLedger } from '../erasure/ledger';
import { forgetErasedIds, forgetOldRights } from '../erasure/register';
import { forgetRemovedPlates } from '../erasure/vehicle-removal';
import { raiseAlertOnce } from '../journal/alerts';
import { hasRest, makeMonths, retireMonths } from '../journal/retention';
import { appendAbout } from '../journal/subjects';
import type { Database } from '../prisma/database';
import { deletionRequestOf } from '../vault/biometrics';
import type { SubjectVault } from '../vault/subject-keys';

export type HousekeepingActivities = ReturnType<typeof createHousekeepingActivities>;

/** An enrollment that is still `requested` after this long has no process that would end it. */
const ABANDONED_AFTER_MS = 3_600_000;
/** Three years: acts by order 179, openings as evidence of the building's security. */
const RETAINED_MS = 3 * 366 * 24 * 3_600_000;
const DAY_MS = 24 * 3_600_000;
/** What billing said last is of no use any more long before: the outage policy believes it for a day or so. */
const STANDING_KEPT_MS = 30 * DAY_MS;

/**
 * Effects of the scheduled tidying, run by the `core` worker.
 *
 * @param deps.startDeletion begins the execution of a deletion, or finds it at work
 * @param deps.resumeSale begins the execution of a sale, or finds it at work
 * @param deps.startErasure begins the execution of an erasure, or has the one at work look again
 * @param deps.startReview goes on with a review of rights, or finds the execution that does or did
 * @param deps.startLogExport begins to wait for demanded logs, or finds the execution that does or did
 */
export function createHousekeepingActivities(deps: {
  database: Database;
  subjects: SubjectVault;
  startDeletion: (request: DeletionRequest, integration: Integration) => Promise<void>;
  resumeSale: (request: SaleRequest) => Promise<void>;
  startErasure: (erasureId: string) => Promise<void>;
  ledger: Pick<ErasureLedger, 'retire'>;
  /** After how many days a backup is destroyed: the ledger is needed as long as one is older than what it says. */
  backupDays: number;
  startLogExport: (request: { demandId: string; dueAt: string; integration: string }) => Promise<void>;
  startReview: (request: { reviewId: string; workflowId: string; dueAt: string }) => Promise<void>;
}) {
  const { database } = deps;
  return {
    /** @returns how many rows had outlived their term and are gone */
    async removeExpired(): Promise<number> {
      const expired = { where: { expiresAt: { lt: new Date() } } };
      const results = await database.$transaction([
        database.idempotencyRecord.deleteMany(expired),
        database.oidcPayload.deleteMany(expired),
        database.signatureNonce.deleteMany(expired),
        database.identityToken.deleteMany(expired),
        database.staffSession.deleteMany(expired),
        database.identityEvent.deleteMany(expired),
        database.pluginSession.deleteMany({ where: { OR: [expired.where, { endedAt: { not: null } }] } }),
      ]);
      const plates = await forgetRemovedPlates(database);
      return results.reduce((sum, { count }) => sum + count, plates);
    },

    /**
     * Purges photos whose enrollment never began because the API died between staging and starting, and whose client
     * never asked again.
     *
     * @returns how many enrollments were closed
     */
    async abandonEnrollments(): Promise<number> {
      const abandoned = await database.enrollment.findMany({
        where: { state: 'requested', createdAt: { lt: new Date(Date.now() - ABANDONED_AFTER_MS) } },
        select: { id: true, integration: true, residentId: true },
      });
      for (const { id, integration, residentId } of abandoned) {
        await database.$transaction(async (tx) => {
          await tx.stagedPhoto.deleteMany({ where: { enrollmentId: id } });
          const { count } = await tx.enrollment.updateMany({
            where: { id, state: 'requested' },
            data: { state: 'failed' },
          });
          if (count === 0) return;
          const entry = { integration, objectId: id, actor: 'housekeeping', outcome: 'failed', reason: 'abandoned' };
          await appendAbout(tx, deps.subjects, { residentId }, { kind: 'enrollment', ...entry });
        });
      }
      return abandoned.length;
    },

    /**
     * Sees to it that whatever is due for deletion has an execution: a process may have died after the commit that made
     * it due, and an execution may have been ended by hand. One that is at work is left alone.
     *
     * @returns how many deletions are not confirmed
     */
    async resumeDeletions(): Promise<number> {
      const due = await database.biometricDeletion.findMany({
        where: { state: 'deleting' },
        orderBy: { requestedAt: 'asc' },
      });
      for (const row of due) await deps.startDeletion(deletionRequestOf(row), row.integration as Integration);
      return due.length;
    },

    /**
     * Sees to it that every sale of which somebody has to hear, or whose date is yet to come, has an execution: a
     * process may have died right after the commit that says so. Calls about keys that somebody took in hand are over.
     *
     * @returns how many sales are not confirmed everywhere
     */
    async resumeSales(): Promise<number> {
      // Of keys and fobs nobody but the person who has them in hand can say that they are re-coded.
      await database.escalation.updateMany({
        where: { process: 'property-sale', reason: KEYS_AND_FOBS, acknowledgedAt: { not: null }, resolvedAt: null },
        data: { resolvedAt: new Date() },
      });
      const due = await database.propertySale.findMany({ where: { fanOut: 'due' }, orderBy: { createdAt: 'asc' } });
      for (const { id: saleId, effectiveAt } of due) {
        await deps.resumeSale({ saleId, effectiveAt: effectiveAt.toISOString() });
      }
      return due.length;
    },

    /**
     * The same for erasures; those that are certified wait by themselves for the day on which holders are asked again.
     *
     * @returns how many are not closed
     */
    async resumeErasures(): Promise<number> {
      const due = await database.erasure.findMany({
        where: { state: { not: 'closed' } },
        orderBy: { requestedAt: 'asc' },
        select: { id: true },
      });
      for (const { id } of due) await deps.startErasure(id);
      return due.length;
    },

    /**
     * The same for demanded logs: nobody would be told that they did not come.
     *
     * @returns how many are awaited
     */
    async resumeLogExports(): Promise<number> {
      const due = await database.logExportDemand.findMany({
        where: { status: 'demanded', dueAt: { not: null } },
        orderBy: { requestedAt: 'asc' },
        select: { id: true, dueAt: true, partner: { select: { integration: true } } },
      });
      for (const { id: demandId, dueAt, partner } of due) {
        await deps.startLogExport({ demandId, dueAt: dueAt?.toISOString() ?? '', integration: partner.integration });
      }
      return due.length;
    },

    /**
     * The same for reviews of rights: what nobody confirms would not lapse. Each keeps the day on which it ends.
     *
     * @returns how many are open
     */
    async resumeReviews(): Promise<number> {
      const open = await database.accessReview.findMany({ where: { state: 'open' }, orderBy: { openedAt: 'asc' } });
      for (const { id: reviewId, workflowId, dueAt } of open) {
        await deps.startReview({ reviewId, workflowId, dueAt: dueAt.toISOString() });
      }
      return open.length;
    },

    /**
     * What is kept, and for how long (docs/retention.md): acts of destruction and what proves them go after their time,
     * as do rights that the register no longer has to know and the ids of whom it knows no more, openings, calls to
     * people, reviews, and what billing once said of an account; at last what the ledger has outside of the database.
     *
     * @returns how many rows and files went
     */
    async endRetention(): Promise<number> {
      const before = new Date(Date.now() - RETAINED_MS);
      const gone = await database.$transaction(async (tx) => {
        const over = await tx.erasure.findMany({
          where: { state: 'closed', completedAt: { lt: before } },
          select: { id: true, residentId: true },
        });
        const erasureId = { in: over.map(({ id }) => id) };
        await tx.erasureCertificate.deleteMany({ where: { erasureId } });
        await tx.erasureHolder.deleteMany({ where: { erasureId } });
        const erasures = await tx.erasure.deleteMany({ where: { id: erasureId } });
        const exports = await tx.journalExport.deleteMany({ where: { requestedAt: { lt: before } } });
        const openings = await tx.opening.deleteMany({ where: { requestedAt: { lt: before } } });
        const standings = await tx.billingAnswer.deleteMany({
          where: { asOf: { lt: new Date(Date.now() - STANDING_KEPT_MS) } },
        });
        const calls = await tx.escalation.deleteMany({ where: { resolvedAt: { lt: before } } });
        const review = { state: 'closed', closedAt: { lt: before } };
        await tx.accessReviewItem.deleteMany({ where: { review } });
        const reviews = await tx.accessReview.deleteMany({ where: review });
        const rights = await forgetOldRights(tx);
        const ids = await forgetErasedIds(tx);
        const others = [erasures, openings, standings, exports, calls, reviews];
        return others.reduce((sum, { count }) => sum + count, rights + ids);
      });
      // A day more than the longest-lived backup has: that it is gone is seen to by others.
      const backedUp = new Date(Date.now() - (deps.backupDays + 1) * DAY_MS);
      return gone + deps.ledger.retire({ erasedAt: backedUp, actIssuedAt: before });
    },

    /**
     * Makes the months of the journal that are to come, and lets go those whose term is over (journal/retention.ts).
     *
     * @returns how many went
     */
    async keepJournalMonths(): Promise<number> {
      const now = new Date();
      await makeMonths(database, now);
      if (await hasRest(database)) await raiseRest(now);
      return database.$transaction((tx) => retireMonths(tx, now), { timeout: 60_000 });
    },
  };

  /** Nothing is lost, but what lies there goes into no month and stays for ever: once a day until somebody has looked. */
  function raiseRest(now: Date): Promise<boolean> {
    const day = now.toISOString().slice(0, 10);
    return database.$transaction((tx) =>
      raiseAlertOnce(
        tx,
        {
          ...{ kind: 'journal-month', severity: 'high', scope: 'missing', objectId: 'journal', integration: null },
          ...{ until: new Date(now.getTime() + DAY_MS), raisedAt: now },
        },
        { cause: day, kind: 'security-alert', actor: 'housekeeping' },
      ),
    );
  }
}
