import { appendAbout } from '../journal/subjects';
import type { Transaction } from '../prisma/database';
import type { SubjectVault } from '../vault/subject-keys';

/**
 * Removes a vehicle: denied from the moment this commits (design rule 3). The plate itself stays, sealed, until the last
 * partner that holds it has confirmed, because blocking it needs it.
 *
 * @returns the partners that have not confirmed yet
 */
export async function removeVehicle(
  tx: Transaction,
  subjects: SubjectVault,
  vehicleId: string,
  actor: string,
): Promise<{ partnerId: string; integration: string }[]> {
  const { count } = await tx.vehicle.updateMany({
    where: { id: vehicleId, status: 'active' },
    data: { status: 'removed', removedAt: new Date() },
  });
  if (count > 0) {
    const { residentId } = await tx.vehicle.findUniqueOrThrow({
      where: { id: vehicleId },
      select: { residentId: true },
    });
    const entry = { integration: null, objectId: vehicleId, actor, outcome: 'removed' };
    await appendAbout(tx, subjects, { residentId }, { kind: 'vehicle', ...entry });
  }
  // Where no partner ever heard of it there is nobody whose confirmation would take the plate along.
  await forgetRemovedPlates(tx, vehicleId);
  return tx.vehiclePartner.findMany({
    where: { vehicleId, state: 'open' },
    select: { partnerId: true, integration: true },
  });
}

/**
 * Forgets the plates of removed vehicles that no partner has any more, but those of residents under a hold.
 *
 * @param vehicleId one of them; all when left out
 * @returns how many
 */
export function forgetRemovedPlates(tx: Transaction, vehicleId: string | null = null): Promise<number> {
  return tx.$executeRaw`
    UPDATE vehicles v SET sealed = NULL, plate_index = NULL
     WHERE v.status = 'removed' AND v.sealed IS NOT NULL AND v.id = coalesce(${vehicleId}::uuid, v.id)
       AND NOT EXISTS (SELECT FROM vehicle_partners p WHERE p.vehicle_id = v.id AND p.state = 'open')
       AND NOT is_resident_held(v.resident_id)`;
}
