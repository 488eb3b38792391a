import { z } from 'zod';
import { ResidentHold, ResidentHoldView } from '../../contracts/erasures';
import { placeHold, releaseHold } from '../../erasure/resident-hold';
import type { Database } from '../../prisma/database';
import { conflict, erasureDesk, type ErasureDependencies } from '../erasures';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

type HoldRow = Awaited<ReturnType<Database['residentHold']['findUniqueOrThrow']>>;

const PAGE = 200;
const HoldList = z.object({ holds: z.array(ResidentHoldView) }).meta({ id: 'ResidentHoldList' });

/** Holds on residents (152-FZ, article 21): a dispute or an order of a court may be there before any demand to erase. */
export function residentHoldOperations(deps: ErasureDependencies): Operation[] {
  const { database, subjects } = deps;
  const desk = erasureDesk(deps);
  return [
    defineOperation({
      id: 'placeResidentHold',
      method: 'post',
      path: '/residents/{residentId}/holds',
      summary: 'Have nothing of a resident destroyed until a date, at partners neither, whatever asks for it meanwhile',
      description:
        'A withdrawal, a sale or an erasure still ends access and use at once; what it would destroy waits for the end of the hold.',
      permission: 'erasures:decide',
      params: z.object({ residentId: z.uuid() }),
      body: { kind: 'json', schema: ResidentHold },
      idempotency: 'own',
      responses: { 201: { description: 'The hold is in force', schema: ResidentHoldView } },
      async handle({ params: { residentId }, body, caller, idempotencyKey }) {
        const holdId = resourceIdFor(caller.clientId, `hold/${residentId}`, idempotencyKey);
        const hold = { ...body, holdId, residentId, actor: caller.clientId };
        const placed = await database.$transaction((tx) => placeHold(tx, subjects, hold));
        if (placed === 'unknown') throw notFound('residentId');
        if (typeof placed === 'string') throw conflict('The erasure of the resident is past what a hold could keep');
        return { status: 201, body: viewOf(placed) };
      },
    }),
    defineOperation({
      id: 'listResidentHolds',
      method: 'get',
      path: '/resident-holds',
      summary: `The ${PAGE.toString()} holds in force that end first`,
      permission: 'erasures:read',
      params: z.object({}),
      responses: { 200: { description: 'Holds, by when they end', schema: HoldList } },
      async handle() {
        const rows = await database.residentHold.findMany({
          where: { releasedAt: null, until: { gt: new Date() } },
          orderBy: [{ until: 'asc' }, { id: 'asc' }],
          take: PAGE,
        });
        return { status: 200, body: { holds: rows.map(viewOf) } };
      },
    }),
    defineOperation({
      id: 'releaseResidentHold',
      method: 'post',
      path: '/resident-holds/{holdId}/release',
      summary: 'End a hold: what waited for it, and for no other, goes on',
      permission: 'erasures:decide',
      stepUp: true,
      params: z.object({ holdId: z.uuid() }),
      idempotency: 'own',
      responses: { 200: { description: 'The hold is over', schema: ResidentHoldView } },
      async handle({ params: { holdId }, caller }) {
        const released = await database.$transaction((tx) =>
          releaseHold(tx, subjects, { holdId, actor: caller.clientId }),
        );
        if (released === null) throw notFound('holdId');
        const { hold, erasure } = released;
        if (erasure !== null) await desk.tell(erasure.id);
        await desk.hintDeletions(hold.residentId);
        return { status: 200, body: viewOf(hold) };
      },
    }),
  ];
}

const viewOf = (row: HoldRow): ResidentHoldView => ({
  holdId: row.id,
  residentId: row.residentId,
  reason: row.reason as ResidentHoldView['reason'],
  reference: row.reference,
  until: row.until.toISOString(),
  placedBy: row.placedBy,
  placedAt: row.placedAt.toISOString(),
  releasedAt: row.releasedAt?.toISOString() ?? null,
});
