import { randomUUID } from 'node:crypto';
import type { Consent, ConsentOffer, ConsentReminder } from '../contracts/consents';
import type { DeletionRequest } from '../contracts/deletions';
import type { Integration } from '../contracts/ids';
import { appendAbout } from '../journal/subjects';
import type { Database, Transaction } from '../prisma/database';
import { deletionRequestOf, lockBiometrics, stopBiometrics } from '../vault/biometrics';
import type { SubjectVault } from '../vault/subject-keys';

export type ConsentActivities = ReturnType<typeof createConsentActivities>;

const OVER = ['withdrawn', 'expired'];
const ACTOR = 'consent-process';

export function createConsentActivities(deps: {
  integration: Integration;
  database: Database;
  subjects: SubjectVault;
}) {
  const { integration, database, subjects } = deps;
  return {
    /**
     * Writes a revision unless a newer one is there: repeats and late ones change nothing, and nothing brings back a
     * consent that has ended. One that expires stops the use of biometrics in this same transaction.
     *
     * @returns the deletion that is due because the consent has ended; `null` when none is, or it is done
     */
    async recordConsent(offer: ConsentOffer, consent: Consent): Promise<DeletionRequest | null> {
      const { consentId, status, expiresAt, revision } = consent;
      const { residentId, partnerId, formId, formSha256 } = offer;
      return database.$transaction(async (tx) => {
        await lockBiometrics(tx, offer);
        const before = await tx.consent.findUnique({ where: { id: consentId } });
        const change = {
          status,
          revision,
          expiresAt,
          ...(status === 'granted' && before?.status !== 'granted' && { grantedAt: new Date() }),
          ...(OVER.includes(status) && { endedAt: new Date() }),
        };
        const fixed = { id: consentId, residentId, partnerId, integration, formId, formSha256 };
        const { count } = before
          ? await tx.consent.updateMany({
              where: { id: consentId, revision: { lt: revision }, status: { notIn: OVER } },
              data: change,
            })
          : await tx.consent.createMany({ data: [{ ...fixed, ...change }], skipDuplicates: true });
        if (count > 0) {
          const outcome = status === 'granted' && before?.status === 'granted' ? 'renewed' : status;
          const entry = { kind: 'consent', objectId: consentId, outcome } as const;
          const details = { partnerId, formId, formSha256, expiresAt };
          const record = { ...entry, integration, actor: ACTOR };
          await appendAbout(tx, subjects, { residentId, details }, record);
          if (before?.status === 'granted' && OVER.includes(status)) await deleteUnlessCovered(tx, offer, consent);
        }
        return dueDeletion(tx, consentId);
      });
    },

    /** Leaves a reminder for the app, once for each term and number of days, unless the term is another by now. */
    async recordReminder({ consentId, residentId }: ConsentOffer, reminder: ConsentReminder): Promise<void> {
      const { daysBefore, expiresAt } = reminder;
      await database.$transaction(async (tx) => {
        const consent = await tx.consent.findUnique({ where: { id: consentId } });
        if (consent?.status !== 'granted' || consent.expiresAt.getTime() !== Date.parse(expiresAt)) return;
        const row = { id: randomUUID(), residentId, consentId, integration, daysBefore, expiresAt };
        const { count } = await tx.reminder.createMany({ data: [row], skipDuplicates: true });
        if (count > 0) {
          const entry = { integration, objectId: consentId, actor: ACTOR, outcome: `${daysBefore.toString()}-days` };
          await appendAbout(tx, subjects, { residentId }, { kind: 'reminder', ...entry });
        }
      });
    },
  };

  /** Biometrics stay only while another consent of the resident to this partner covers them. */
  async function deleteUnlessCovered(tx: Transaction, offer: ConsentOffer, { consentId, status }: Consent) {
    const { residentId, partnerId } = offer;
    const another = await tx.consent.findFirst({
      where: { residentId, partnerId, status: 'granted', expiresAt: { gt: new Date() }, id: { not: consentId } },
    });
    if (another && status === 'expired') return;
    const reason = status === 'expired' ? 'expiry' : 'withdrawal';
    await stopBiometrics(tx, { deletionId: consentId, residentId, partnerId, integration, reason, houseIds: 'all' });
    await tx.consent.update({ where: { id: consentId }, data: { deletionId: consentId } });
    const entry = { integration, objectId: consentId, actor: ACTOR, outcome: 'requested', reason };
    const about = { residentId, details: { partnerId } };
    await appendAbout(tx, subjects, about, { kind: 'biometric-deletion', ...entry });
  }

  async function dueDeletion(tx: Transaction, consentId: string): Promise<DeletionRequest | null> {
    const row = await tx.consent.findUnique({ where: { id: consentId }, include: { deletion: true } });
    return row?.deletion?.state === 'deleting' ? deletionRequestOf(row.deletion) : null;
  }
}
