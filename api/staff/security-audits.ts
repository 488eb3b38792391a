import { z } from 'zod';
import { SecurityAuditReport, SecurityAuditView } from '../../contracts/security-audits';
import type { Database } from '../../prisma/database';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

const AuditList = z.object({ audits: z.array(SecurityAuditView) }).meta({ id: 'SecurityAuditList' });

/** What the scheduled audits found (R4.6). */
export function securityAuditOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'listSecurityAudits',
      method: 'get',
      path: '/security-audits',
      summary: 'Security audits, newest first',
      permission: 'security-audits:read',
      params: z.object({}),
      responses: { 200: { description: 'Audits', schema: AuditList } },
      async handle() {
        const rows = await database.securityAudit.findMany({
          select: { id: true, at: true, failed: true },
          orderBy: { at: 'desc' },
          take: 100,
        });
        const audits = rows.map(({ id, at, failed }) => ({ auditId: id, at: at.toISOString(), failed }));
        return { status: 200, body: { audits } };
      },
    }),
    defineOperation({
      id: 'getSecurityAudit',
      method: 'get',
      path: '/security-audits/{auditId}',
      summary: 'Everything that an audit found',
      permission: 'security-audits:read',
      params: z.object({ auditId: z.uuid() }),
      responses: { 200: { description: 'The report', schema: SecurityAuditReport } },
      async handle({ params: { auditId: id } }) {
        const row = await database.securityAudit.findUnique({ where: { id } });
        if (!row) throw notFound('auditId');
        return { status: 200, body: row.report };
      },
    }),
  ];
}
