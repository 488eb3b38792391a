import { askForAdvisories, type Advisories } from '../governance/advisories';
import { auditSecurity } from '../governance/audit';
import { raiseAlertOnce } from '../journal/alerts';
import type { Database } from '../prisma/database';

export type SecurityAuditActivities = ReturnType<typeof createSecurityAuditActivities>;

/** As long as what it may be compared with (docs/retention.md). */
const KEPT_MS = 3 * 366 * 24 * 3_600_000;
const TOLD_FOR_MS = 7 * 24 * 3_600_000;

/** Effects of the scheduled security audit (R4.6), run by the `core` worker. */
export function createSecurityAuditActivities({
  database,
  advisories = askForAdvisories,
}: {
  database: Database;
  advisories?: () => Promise<Advisories>;
}) {
  return {
    /** Audits, keeps the report and tells staff of it, whatever it says. A repeat finds it kept. @returns what failed */
    async makeSecurityAudit(auditId: string, at: string): Promise<{ failed: number }> {
      const kept = await database.securityAudit.findUnique({ where: { id: auditId }, select: { failed: true } });
      if (kept) return kept;
      const when = new Date(at);
      const report = await auditSecurity(database, { nowMs: when.getTime(), advisories });
      const failed = report.findings.filter(({ verdict }) => verdict === 'failed').length;
      await database.$transaction(async (tx) => {
        await tx.securityAudit.createMany({ data: [{ id: auditId, at: when, report, failed }], skipDuplicates: true });
        await tx.securityAudit.deleteMany({ where: { at: { lt: new Date(when.getTime() - KEPT_MS) } } });
        const verdict =
          failed > 0
            ? ({ scope: 'failed', severity: 'high' } as const)
            : ({ scope: 'passed', severity: 'low' } as const);
        const alert = { kind: 'security-audit', ...verdict, objectId: auditId };
        const until = new Date(when.getTime() + TOLD_FOR_MS);
        const told = { cause: auditId, kind: 'security-audit', actor: 'security-audit' } as const;
        await raiseAlertOnce(tx, { ...alert, integration: null, until, raisedAt: when }, told);
      });
      return { failed };
    },
  };
}
