import type { Consent, ConsentOffer } from '../contracts/consents';
import type { Integration } from '../contracts/ids';
import { appendJournal } from '../journal/journal';
import { aboutSubject } from '../journal/subjects';
import type { Database } from '../prisma/database';
import type { SubjectVault } from '../vault/subject-keys';

export type ConsentActivities = ReturnType<typeof createConsentActivities>;

export function createConsentActivities(deps: {
  integration: Integration;
  database: Database;
  subjects: SubjectVault;
}) {
  const { integration, database, subjects } = deps;
  return {
    /** Writes a revision unless a newer one is there: repeats and late ones change nothing. */
    async recordConsent(offer: ConsentOffer, { consentId, status, expiresAt, revision }: Consent): Promise<void> {
      const { residentId, partnerId, formId, formSha256 } = offer;
      const grantedAt = status === 'granted' ? { grantedAt: new Date() } : {};
      await database.$transaction(async (tx) => {
        const fixed = { id: consentId, residentId, partnerId, integration, formId, formSha256 };
        const created = await tx.consent.createMany({
          data: [{ ...fixed, status, revision, expiresAt, ...grantedAt }],
          skipDuplicates: true,
        });
        const { count } =
          created.count > 0
            ? created
            : await tx.consent.updateMany({
                where: { id: consentId, revision: { lt: revision } },
                data: { status, revision, expiresAt, ...grantedAt },
              });
        if (count === 0) return;
        const entry = { kind: 'consent', objectId: consentId, outcome: status } as const;
        const details = { partnerId, formId, formSha256, expiresAt };
        const about = await aboutSubject(tx, subjects, residentId, entry, details);
        await appendJournal(tx, { ...entry, integration, actor: 'consent-process', ...about });
      });
    },
  };
}
