import type { Transaction } from '../prisma/database';

/** Claims about property may be raised for three years (Civil Code, article 196); until then the register keeps them. */
const RIGHTS_KEPT_MS = 3 * 366 * 24 * 3_600_000;

/**
 * Lets the register of owners forget people who are erased, right by right as each has outlived its term: the right, and
 * what sales say of it. Who has no right left is taken out of the sales as well.
 *
 * @param residentId one of them; all who are erased when left out
 * @returns how many rights went
 */
export async function forgetOldRights(tx: Transaction, residentId?: string): Promise<number> {
  const who = residentId === undefined ? { resident: { status: 'erased' } } : { residentId };
  const over = { endsAt: { lt: new Date(Date.now() - RIGHTS_KEPT_MS) }, ...who };
  const rights = await tx.propertyRight.findMany({ where: over, select: { id: true, residentId: true } });
  const rightId = { in: rights.map(({ id }) => id) };
  await tx.propertySaleRight.deleteMany({ where: { rightId } });
  const { count } = await tx.propertyRight.deleteMany({ where: { id: rightId } });
  for (const id of new Set(rights.map((right) => right.residentId))) {
    if ((await tx.propertyRight.count({ where: { residentId: id } })) > 0) continue;
    await tx.$executeRaw`
      UPDATE property_sales
         SET seller_ids = array_remove(seller_ids, ${id}::uuid), buyer_ids = array_remove(buyer_ids, ${id}::uuid)
       WHERE state <> 'scheduled' AND ${id}::uuid = ANY (seller_ids || buyer_ids)`;
  }
  return count;
}
