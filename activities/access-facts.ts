import type { AccessFacts } from '../contracts/access';
import type { OpenAccessRequest } from '../contracts/openings';
import { LOCKOUT, lockoutKey } from '../contracts/lockout';
import type { Transaction } from '../prisma/database';
import { isDeletionDue } from '../vault/biometrics';

type FactsFromDatabase = Pick<AccessFacts, 'device' | 'resident' | 'rights' | 'consent' | 'lockedUntilMs'>;

export type LoadedFacts = {
  readonly facts: FactsFromDatabase;
  /** What billing would be asked about: the accounts of the properties that the resident's valid rights rest on. */
  readonly billing: { readonly accountIds: string[]; readonly service: string };
  readonly device: { readonly deviceId: string; readonly kind: 'door' | 'barrier' } | null;
};

/** Reads what the decision needs, as the database has it at this moment. Nothing is cached (design rule 3). */
export async function loadAccessFacts(
  tx: Transaction,
  request: Pick<OpenAccessRequest, 'accessPointId' | 'residentId' | 'partnerId' | 'method'>,
  nowMs: number,
): Promise<LoadedFacts> {
  const device = await tx.accessPoint.findUnique({ where: { id: request.accessPointId } });
  const { residentId } = request;
  const resident =
    residentId === null
      ? null
      : await tx.resident.findUnique({
          where: { id: residentId },
          include: {
            rights: {
              where: { property: { houseId: device?.houseId ?? request.accessPointId } },
              include: { property: true },
            },
            consents:
              request.method === 'face'
                ? { where: { partnerId: request.partnerId }, orderBy: [{ status: 'asc' }, { expiresAt: 'desc' }] }
                : { take: 0 },
          },
        });

  const rights = (resident?.rights ?? []).map(({ startsAt, endsAt, property }) => ({
    startsAtMs: startsAt.getTime(),
    endsAtMs: endsAt?.getTime() ?? null,
    accountId: property.billingAccountId,
  }));
  const valid = rights.filter((right) => right.startsAtMs <= nowMs && (right.endsAtMs ?? Infinity) > nowMs);
  const newest = resident?.consents.find(({ status }) => status === 'granted') ?? resident?.consents[0];
  // A new consent does not cover what an earlier one's end made due for deletion: the partner may hold it still.
  const where = resident &&
    device && { residentId: resident.id, partnerId: request.partnerId, houseId: device.houseId };
  const consent = newest && where && (await isDeletionDue(tx, where)) ? undefined : newest;

  return {
    facts: {
      device: device && { status: device.status as 'active' | 'blocked' | 'removed' },
      resident: resident && { status: resident.status as 'active' | 'blocked' | 'erased' },
      rights: rights.map(({ startsAtMs, endsAtMs }) => ({ startsAtMs, endsAtMs })),
      consent: consent
        ? {
            status: consent.status as NonNullable<AccessFacts['consent']>['status'],
            expiresAtMs: consent.expiresAt.getTime(),
          }
        : null,
      lockedUntilMs: await lockedUntilMs(tx, request.accessPointId),
    },
    billing: { accountIds: [...new Set(valid.map(({ accountId }) => accountId))], service: device?.service ?? '' },
    device: device && { deviceId: device.deviceId, kind: device.kind as 'door' | 'barrier' },
  };
}

/** The counter's own row says until when: the API writes it at each failed identification. */
async function lockedUntilMs(tx: Transaction, accessPointId: string): Promise<number | null> {
  const rows = await tx.$queryRaw<{ expire: bigint | null }[]>`
    SELECT expire FROM rate_limits WHERE key = ${lockoutKey(accessPointId)} AND points > ${LOCKOUT.attempts}`;
  const [row] = rows;
  return row ? Number(row.expire ?? Infinity) : null;
}
