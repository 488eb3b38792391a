import type { Transaction } from '../prisma/database';

/** Claims about property may be raised for three years (Civil Code, article 196); until then the register keeps them. */
const RIGHTS_KEPT_MS = 3 * 366 * 24 * 3_600_000;

/**
 * Lets go of the opaque ids of people who are erased, once the register has no right of theirs and the demand has outlived
 * its term: until then whoever asks again is told that it is done.
 *
 * @returns how many went
 */
export async function forgetErasedIds(tx: Transaction): Promise<number> {
  return tx.$executeRaw`
    DELETE FROM residents r WHERE r.status = 'erased'
       AND NOT EXISTS (SELECT FROM property_rights WHERE resident_id = r.id)
       AND NOT EXISTS (SELECT FROM erasures WHERE resident_id = r.id)
       AND NOT EXISTS (SELECT FROM subject_keys WHERE resident_id = r.id)`;
}

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
