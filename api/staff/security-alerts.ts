import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Severity } from '../../contracts/security-alerts';
import { SecurityAlertView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import { tellAlertAcknowledged } from '../../workflows/security-alert/start';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

const PAGE = 200;
const AlertList = z.object({ alerts: z.array(SecurityAlertView) }).meta({ id: 'SecurityAlertList' });

type AlertRow = Awaited<ReturnType<Database['securityAlert']['findUniqueOrThrow']>>;

/** What somebody has to look at (R2.6, R0.12). */
export function securityAlertOperations({ database, temporal }: { database: Database; temporal: Client }): Operation[] {
  return [
    defineOperation({
      id: 'listSecurityAlerts',
      method: 'get',
      path: '/security-alerts',
      summary: `The newest ${PAGE.toString()} alerts, or those that nobody has acknowledged`,
      permission: 'alerts:read',
      params: z.object({}),
      query: z.object({ open: z.literal('true').optional() }),
      responses: { 200: { description: 'Alerts, newest first', schema: AlertList } },
      async handle({ query }) {
        const rows = await database.securityAlert.findMany({
          where: query.open === undefined ? {} : { acknowledgedAt: null },
          orderBy: [{ raisedAt: 'desc' }, { id: 'asc' }],
          take: PAGE,
        });
        return { status: 200, body: { alerts: rows.map(viewOf) } };
      },
    }),
    defineOperation({
      id: 'acknowledgeSecurityAlert',
      method: 'post',
      path: '/security-alerts/{alertId}/acknowledgement',
      summary: 'Somebody has looked at it',
      permission: 'alerts:acknowledge',
      params: z.object({ alertId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'Acknowledged, now or earlier', schema: SecurityAlertView } },
      async handle({ params: { alertId: id }, caller }) {
        const row = await database.$transaction(async (tx) => {
          const known = await tx.securityAlert.findUnique({ where: { id } });
          if (!known) throw notFound('alertId');
          const open = { id, acknowledgedAt: null };
          const data = { acknowledgedAt: new Date(), acknowledgedBy: caller.clientId };
          const { count } = await tx.securityAlert.updateMany({ where: open, data });
          const { integration } = known;
          const entry = { integration, objectId: id, actor: caller.clientId, outcome: 'acknowledged' };
          if (count > 0) await appendJournal(tx, { kind: 'security-alert', ...entry });
          return tx.securityAlert.findUniqueOrThrow({ where: { id } });
        });
        // Its execution looks by itself as well: an answer does not hang on it.
        await tellAlertAcknowledged(temporal, id);
        return { status: 200, body: viewOf(row) };
      },
    }),
  ];
}

const viewOf = ({ id, integration, kind, scope, objectId, ...row }: AlertRow): z.infer<typeof SecurityAlertView> => ({
  alertId: id,
  integration,
  kind,
  scope,
  objectId,
  raisedAt: row.raisedAt.toISOString(),
  until: row.until.toISOString(),
  acknowledgedAt: row.acknowledgedAt?.toISOString() ?? null,
  acknowledgedBy: row.acknowledgedBy,
  severity: row.severity as Severity,
  evidence: row.evidence,
  times: row.times,
});
