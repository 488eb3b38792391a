import { z } from 'zod';
import { AttestationView } from '../../contracts/attestation-letters';
import type { Database } from '../../prisma/database';
import { attestationOf } from '../attestation';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

const LogExportDue = z
  .object({
    demandId: z.uuid(),
    reason: z.string(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    dueAt: z.iso.datetime(),
    status: z.enum(['demanded', 'overdue', 'received']),
  })
  .meta({ id: 'LogExportDue' });
const Obligations = z
  .object({ attestation: AttestationView, logExports: z.array(LogExportDue) })
  .meta({ id: 'Obligations', description: 'What a partner owes us, and what follows when it does not come' });

/** What we want of a partner, for the partner to read: its letter (R3.5) and demanded parts of its logs (R3.6). */
export function obligationOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'getObligations',
      method: 'get',
      path: '/obligations',
      summary: 'Your letter of attestation and when biometrics stop without it (R3.5); demanded logs (R3.6)',
      scope: 'obligations',
      params: z.object({}),
      responses: { 200: { description: 'Obligations', schema: Obligations } },
      async handle({ caller: { partnerId } }) {
        if (partnerId === undefined) throw notFound();
        const partner = await database.partner.findUnique({
          where: { id: partnerId },
          select: { attestedUntil: true },
        });
        if (!partner) throw notFound();
        const demands = await database.logExportDemand.findMany({
          where: { partnerId, dueAt: { not: null } },
          orderBy: [{ requestedAt: 'desc' }, { id: 'asc' }],
          take: 100,
        });
        const logExports = demands.map(({ id, reason, scopeFrom, scopeTo, dueAt, status }) => ({
          demandId: id,
          reason,
          from: scopeFrom.toISOString(),
          to: scopeTo.toISOString(),
          dueAt: dueAt?.toISOString() ?? '',
          status,
        }));
        return { status: 200, body: { attestation: attestationOf(partner.attestedUntil, Date.now()), logExports } };
      },
    }),
  ];
}
