import { z } from 'zod';
import { StaffOpeningView } from '../../contracts/staff';
import type { Database } from '../../prisma/database';
import { viewOfOpening } from '../openings';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

/** Why a door did not open, in full: what neither the app nor a partner is told. */
export function staffOpeningOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'getStaffOpening',
      method: 'get',
      path: '/openings/{openingId}',
      summary: 'What became of an opening, with the full reason of a denial',
      permission: 'openings:read',
      params: z.object({ openingId: z.uuid() }),
      responses: { 200: { description: 'The opening', schema: StaffOpeningView } },
      async handle({ params }) {
        const row = await database.opening.findUnique({ where: { id: params.openingId } });
        if (!row) throw notFound('openingId');
        const { accessPointId, partnerId, integration, method, reason, attempts } = row;
        const { openingId, status, requestedAt, endedAt } = viewOfOpening(row);
        const decidedAt = row.decidedAt?.toISOString() ?? null;
        const where = { openingId, accessPointId, partnerId, integration };
        const what = { method, status, reason, attempts, requestedAt, decidedAt, endedAt };
        return { status: 200, body: { ...where, ...what } };
      },
    }),
  ];
}
