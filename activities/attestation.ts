import { attestationWarning } from '../access/attestation';
import type { Severity } from '../contracts/security-alerts';
import { raiseAlertOnce } from '../journal/alerts';
import type { Database } from '../prisma/database';

export type AttestationActivities = ReturnType<typeof createAttestationActivities>;

/** Effects of the scheduled look at partners' letters (R3.5), run by the `core` worker. */
export function createAttestationActivities({ database }: { database: Database }) {
  return {
    /**
     * Tells staff of each partner whose letter ends, has ended, or never came; the partner reads the same in its
     * obligations. What the end takes away is no effect of this: the decision itself asks for the letter.
     *
     * @param at the moment that is asked about, ISO 8601
     * @returns how many were warned of now
     */
    async warnOfAttestations(at: string): Promise<number> {
      const raisedAt = new Date(at);
      const partners = await database.partner.findMany({
        where: { active: true },
        select: { id: true, integration: true, attestedUntil: true },
      });
      let warned = 0;
      for (const { id: objectId, integration, attestedUntil } of partners) {
        const endMs = attestedUntil?.getTime() ?? null;
        const warning = attestationWarning(endMs, raisedAt.getTime());
        if (!warning) continue;
        const { scope, untilMs } = warning;
        const severity = severityOf(scope);
        const alert = {
          kind: 'attestation',
          severity,
          scope,
          objectId,
          integration,
          until: new Date(untilMs),
          raisedAt,
        };
        const end = endMs?.toString() ?? (await lastLetterOf(objectId));
        const cause = `${objectId}/${end}/${scope}`;
        const told = { cause, kind: 'attestation-letter', actor: 'attestation-round' } as const;
        if (await database.$transaction((tx) => raiseAlertOnce(tx, alert, told))) warned++;
      }
      return warned;
    },
  };

  /** A partner that loses a letter, gets another and loses that too has lost two: each is told of. */
  async function lastLetterOf(partnerId: string): Promise<string> {
    const letter = await database.attestationLetter.findFirst({
      where: { partnerId, inForceFrom: { not: null } },
      orderBy: { inForceFrom: 'desc' },
      select: { id: true },
    });
    return letter ? `none-after-${letter.id}` : 'none';
  }
}

/** The first warning has a month: it is read, nobody is called for it. What keeps residents out is urgent. */
function severityOf(scope: string): Severity {
  if (scope === '30-days') return 'low';
  return scope.endsWith('-days') ? 'medium' : 'high';
}
