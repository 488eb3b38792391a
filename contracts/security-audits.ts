import { z } from 'zod';

export const AUDIT_VERDICTS = ['passed', 'warning', 'failed', 'not-checked'] as const;
export type AuditVerdict = (typeof AUDIT_VERDICTS)[number];

/** One thing that was looked at: opaque ids, listed words and figures. */
export const AuditFinding = z
  .object({
    check: z.string(),
    subject: z.string().nullable().describe('What it is about, when it is about one thing'),
    verdict: z.enum(AUDIT_VERDICTS),
    says: z.string(),
  })
  .meta({ id: 'AuditFinding' });
export type AuditFinding = z.infer<typeof AuditFinding>;

export const SecurityAuditReport = z
  .object({
    at: z.iso.datetime(),
    findings: z.array(AuditFinding),
    credentials: z.array(
      z.object({ owner: z.string(), name: z.string(), ageDays: z.number(), heldBy: z.enum(['us', 'partner']) }),
    ),
    rights: z.object({
      members: z.array(z.object({ memberId: z.string(), roles: z.array(z.string()), lastSignInDays: z.number() })),
      clients: z.array(
        z.object({ clientId: z.string(), scopes: z.array(z.string()), lastSecretSeenDays: z.number().nullable() }),
      ),
    }),
    failedChecks: z
      .array(z.object({ what: z.string(), count: z.int() }))
      .describe('What was refused in the last 30 days, by the journal'),
    settings: z.record(z.string(), z.string()),
  })
  .meta({ id: 'SecurityAuditReport', description: 'What a security audit found (R4.6): no secret, no name' });
export type SecurityAuditReport = z.infer<typeof SecurityAuditReport>;

export const SecurityAuditView = z
  .object({ auditId: z.uuid(), at: z.iso.datetime(), failed: z.int() })
  .meta({ id: 'SecurityAudit' });
