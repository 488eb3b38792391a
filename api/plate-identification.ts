import { normalizePlate, type Plate } from '../access/plates';
import type { Database } from '../prisma/database';
import type { PlateIndex } from '../vault/plate-index';
import { invalidField } from './problem';

export type PlateIdentifier = {
  /**
   * Whose plate it is among the residents who have a right at this house now (R1.9). A plate of somebody without a
   * right there is nobody's, so that asking tells nothing of who lives elsewhere. A match is a claim only: whether it
   * may open is asked of the database afterwards.
   *
   * @returns the resident's id; `null` when nobody's
   */
  identify(where: { houseId: string }, plate: Plate): Promise<string | null>;
  /** The fingerprint of a request that holds a plate, for rows and histories: a bare hash could be tried out. */
  fingerprint(requestSha256: string): string;
};

export function createPlateIdentifier({
  database,
  plateIndex,
}: {
  database: Database;
  plateIndex: PlateIndex;
}): PlateIdentifier {
  return {
    fingerprint: (requestSha256) => plateIndex.fingerprint(requestSha256),
    async identify({ houseId }, { canonical }) {
      const now = new Date();
      const inForce = { startsAt: { lte: now }, OR: [{ endsAt: null }, { endsAt: { gt: now } }] };
      const here = { property: { houseId }, ...inForce };
      const vehicles = await database.vehicle.findMany({
        where: {
          plateIndex: plateIndex.of(canonical),
          status: 'active',
          OR: [{ houseId: null }, { houseId }],
          resident: { status: 'active', rights: { some: here } },
        },
        select: {
          residentId: true,
          resident: {
            select: { rights: { where: here, select: { property: { select: { billingAccountId: true } } } } },
          },
        },
        orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
      });
      if (vehicles.length <= 1) return vehicles[0]?.residentId ?? null;
      const family = vehicles.map(({ residentId, resident }) => ({
        residentId,
        accountIds: resident.rights.map(({ property }) => property.billingAccountId),
      }));
      return mostWelcome(family);
    },
  };

  /**
   * Of a family with one car the member for whom billing last said "paid", then one of whom it was not asked yet: who
   * has not paid must not keep the others out. Billing itself is asked with the opening.
   */
  async function mostWelcome(
    family: readonly { residentId: string; accountIds: readonly string[] }[],
  ): Promise<string | null> {
    const answers = await database.billingAnswer.findMany({
      where: { accountId: { in: family.flatMap(({ accountIds }) => accountIds) } },
    });
    const rank = (accountIds: readonly string[]): number => {
      const own = answers.filter(({ accountId }) => accountIds.includes(accountId));
      if (own.some(({ standing }) => standing === 'paid')) return 0;
      return own.length === 0 ? 1 : 2;
    };
    const [first] = family.toSorted((a, b) => rank(a.accountIds) - rank(b.accountIds));
    return first?.residentId ?? null;
  }
}

/** @throws HttpProblem 400 that names the reason, never the plate */
export function usablePlate(text: string): Plate {
  const reading = normalizePlate(text);
  if (!reading.ok) throw invalidField('plate', `is not a plate that can be used: ${reading.reason}`);
  return reading.plate;
}
