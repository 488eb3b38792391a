import { z } from 'zod';
import { lockoutKey } from '../../contracts/lockout';
import { ACCESS_POINT_REASONS, StaffAccessPointView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database, Transaction } from '../../prisma/database';
import type { Caller } from '../authentication/caller';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, notFound } from '../problem';

const WithReason = z.strictObject({ reason: z.enum(ACCESS_POINT_REASONS) }).meta({ id: 'AccessPointReason' });
const Released = z.object({ released: z.literal(true) }).meta({ id: 'IdentificationLockReleased' });
const AccessPointId = z.object({ accessPointId: z.uuid() });

type AccessPointRow = Awaited<ReturnType<Database['accessPoint']['findUniqueOrThrow']>>;

/** What staff do with a door or barrier: nothing opens at one that is blocked, from the next decision on. */
export function accessPointOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'blockAccessPoint',
      method: 'post',
      path: '/access-points/{accessPointId}/block',
      summary: 'Nothing opens here any more, whatever the partner lists',
      permission: 'access-points:block',
      params: AccessPointId,
      body: { kind: 'json', schema: WithReason },
      idempotency: 'stored',
      responses: { 200: { description: 'Blocked, now or earlier', schema: StaffAccessPointView } },
      handle: ({ params, body, caller }) => change(params.accessPointId, 'blocked', body.reason, caller),
    }),
    defineOperation({
      id: 'unblockAccessPoint',
      method: 'post',
      path: '/access-points/{accessPointId}/unblock',
      summary: 'It opens again for whom the decision lets in',
      permission: 'access-points:block',
      stepUp: true,
      params: AccessPointId,
      body: { kind: 'json', schema: WithReason },
      idempotency: 'stored',
      responses: { 200: { description: 'Active, now or earlier', schema: StaffAccessPointView } },
      handle: ({ params, body, caller }) => change(params.accessPointId, 'active', body.reason, caller),
    }),
    defineOperation({
      id: 'releaseIdentificationLock',
      method: 'post',
      path: '/identification-locks/{accessPointId}/release',
      summary: 'Identification at this device is tried again before the lockout ends (R2.6)',
      permission: 'identification-locks:release',
      stepUp: true,
      params: AccessPointId,
      body: { kind: 'json', schema: WithReason },
      idempotency: 'stored',
      responses: { 200: { description: 'Nothing is locked here', schema: Released } },
      async handle({ params: { accessPointId }, body: { reason }, caller }) {
        await database.$transaction(async (tx) => {
          const row = await lockedAccessPoint(tx, accessPointId);
          const released = await releaseLock(tx, accessPointId);
          if (!released) return;
          const { integration } = row;
          const entry = { integration, objectId: accessPointId, actor: caller.clientId, outcome: 'released', reason };
          await appendJournal(tx, { kind: 'identification-lock', ...entry });
        });
        return { status: 200, body: { released: true } };
      },
    }),
  ];

  async function change(id: string, status: 'active' | 'blocked', reason: string, { clientId }: Caller) {
    const row = await database.$transaction(async (tx) => {
      const known = await lockedAccessPoint(tx, id);
      if (known.status === status) return known;
      if (known.status === 'removed') throw notListed();
      const changed = await tx.accessPoint.update({ where: { id }, data: { status } });
      const outcome = status === 'blocked' ? 'blocked' : 'unblocked';
      const entry = { integration: known.integration, objectId: id, actor: clientId, outcome, reason };
      await appendJournal(tx, { kind: 'access-point', ...entry });
      return changed;
    });
    return { status: 200, body: viewOfAccessPoint(row) };
  }
}

/** Two members of staff, or one and a comparison of equipment, take turns. */
export async function lockedAccessPoint(tx: Transaction, id: string): Promise<AccessPointRow> {
  await tx.$queryRaw`SELECT 1 FROM access_points WHERE id = ${id}::uuid FOR UPDATE`;
  const row = await tx.accessPoint.findUnique({ where: { id } });
  if (!row) throw notFound('accessPointId');
  return row;
}

/**
 * Forgets the failures that were counted at the device. Those of clients, networks and walked plates stay: they say who
 * guesses, not where. The alert of this lock is over, so that the next lock raises one of its own.
 *
 * @returns whether there was anything to forget
 */
async function releaseLock(tx: Transaction, accessPointId: string): Promise<boolean> {
  const keys = (['device', 'pause', 'near-miss'] as const).map((scope) => lockoutKey(scope, accessPointId));
  const count = await tx.$executeRaw`DELETE FROM rate_limits WHERE key = ANY(${keys})`;
  const now = new Date();
  await tx.securityAlert.updateMany({
    where: { objectId: accessPointId, scope: { in: ['device', 'near-miss'] }, until: { gt: now } },
    data: { until: now },
  });
  return count > 0;
}

const notListed = (): HttpProblem =>
  new HttpProblem({
    status: 409,
    type: 'access-point-conflict',
    title: 'The partner does not list this access point any more',
  });

export const viewOfAccessPoint = (row: AccessPointRow): z.infer<typeof StaffAccessPointView> => ({
  accessPointId: row.id,
  houseId: row.houseId,
  partnerId: row.partnerId,
  deviceId: row.deviceId,
  kind: row.kind,
  label: row.label,
  status: row.status as z.infer<typeof StaffAccessPointView>['status'],
  online: row.online,
  listedAt: row.listedAt?.toISOString() ?? null,
});
