import { z } from 'zod';
import { publicReason } from '../../access/public-reason';
import type { DenialReason } from '../../contracts/access';
import { OpeningByApp, OpeningView } from '../../contracts/openings';
import { query, sql, type Database } from '../../prisma/database';
import { accessFacts, type FactsText } from '../../reads/access-facts';
import {
  answerForOpening,
  earlierOpening,
  openAccessPoint,
  openingIdOf,
  viewOfOpening,
  type AccessPointRow,
  type OpeningDependencies,
} from '../openings';
import { defineOperation, type Operation } from '../operation';
import { invalidField, notFound } from '../problem';

/** Openings on demand from the app, door and barrier alike (R2.9, R3.12). */
export function appOpeningOperations(deps: OpeningDependencies): Operation[] {
  const { database } = deps;
  return [
    defineOperation({
      id: 'openOnDemand',
      method: 'post',
      path: '/access-points/{accessPointId}/openings',
      summary: 'Open a door or barrier for a resident who asks in the app',
      scope: 'app',
      params: z.object({ accessPointId: z.uuid() }),
      body: { kind: 'json', schema: OpeningByApp },
      idempotency: 'own',
      responses: { 200: { description: 'The device opened', schema: OpeningView } },
      async handle({ params, body, caller, idempotencyKey, fingerprint }) {
        const { residentId } = body;
        const { clientId } = caller;
        const openingId = openingIdOf({ clientId, accessPointId: params.accessPointId, key: idempotencyKey });
        const asked = { ...params, residentId, openingId };
        const { accessPoint, isResident, isRepeated, facts } = await askedFor(database, asked);
        if (!accessPoint) throw notFound('accessPointId');
        if (!isResident) throw invalidField('residentId', 'is not a resident', 404);
        const row = await openAccessPoint(deps, {
          caller,
          named: { openingId, earlier: isRepeated ? await earlierOpening(database, openingId) : null },
          fingerprint,
          accessPoint,
          method: 'app',
          facts,
          identify: () => Promise.resolve({ kind: 'resident', residentId }),
        });
        const reason = row.status === 'denied' ? publicReason(row.reason as DenialReason, 'app') : null;
        return { status: 200, body: answerForOpening(row, reason) };
      },
    }),
    defineOperation({
      id: 'getOpening',
      method: 'get',
      path: '/openings/{openingId}',
      summary: 'What became of an opening',
      scope: 'app',
      params: z.object({ openingId: z.uuid() }),
      responses: { 200: { description: 'The opening', schema: OpeningView } },
      async handle({ params, caller }) {
        const row = await database.opening.findUnique({ where: { id: params.openingId } });
        if (row?.clientId !== caller.clientId) throw notFound('openingId');
        return { status: 200, body: viewOfOpening(row) };
      },
    }),
    defineOperation({
      id: 'listAccessPoints',
      method: 'get',
      path: '/residents/{residentId}/access-points',
      summary: 'Doors and barriers of the houses that a resident has a right in',
      scope: 'app',
      params: z.object({ residentId: z.uuid() }),
      responses: { 200: { description: 'Access points', schema: AccessPointList } },
      async handle({ params: { residentId } }) {
        const now = new Date();
        const resident = await database.resident.findUnique({ where: { id: residentId } });
        if (!resident) throw notFound('residentId');
        const inForce = { residentId, startsAt: { lte: now }, OR: [{ endsAt: null }, { endsAt: { gt: now } }] };
        const rows = await database.accessPoint.findMany({
          where: { status: 'active', house: { properties: { some: { rights: { some: inForce } } } } },
          orderBy: { id: 'asc' },
        });
        return {
          status: 200,
          body: {
            accessPoints: rows.map(({ id, kind, partnerId, label, online }) => ({
              accessPointId: id,
              kind,
              partnerId,
              label,
              online,
            })),
          },
        };
      },
    }),
  ];
}

type AskedFor = { accessPoint: AccessPointRow | null; isResident: boolean; isRepeated: boolean; facts: FactsText };

/**
 * Whether the request is about somebody at something, and a repeat, and the facts that the worker would read first: one
 * statement, because every opening waits for it.
 */
async function askedFor(
  database: Database,
  { accessPointId, residentId, openingId }: { accessPointId: string; residentId: string; openingId: string },
): Promise<AskedFor> {
  const [row] = await query<AskedFor>(
    database,
    sql`SELECT
      (SELECT json_build_object('id', id, 'partnerId', partner_id, 'integration', integration)
         FROM access_points WHERE id = ${accessPointId}::uuid) AS "accessPoint",
      EXISTS (SELECT FROM residents WHERE id = ${residentId}::uuid) AS "isResident",
      EXISTS (SELECT FROM openings WHERE id = ${openingId}::uuid) AS "isRepeated",
      (${accessFacts({ accessPointId, residentId, method: 'app' })}) AS facts`,
  );
  if (!row) throw new Error('A statement without FROM gives one row.');
  return row;
}

const AccessPointList = z
  .object({
    accessPoints: z.array(
      z.object({
        accessPointId: z.uuid(),
        kind: z.enum(['door', 'barrier']),
        partnerId: z.string(),
        label: z.string().describe('What the partner calls it'),
        online: z.boolean().describe('Whether the partner heard from it when it last listed it'),
      }),
    ),
  })
  .meta({ id: 'AccessPointList' });
