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
  await tx.vehicle.updateMany({
    where: { id: vehicleId, status: 'removed', partners: { none: { state: 'open' } } },
    data: { sealed: null, plateIndex: null },
  });
  return tx.vehiclePartner.findMany({
    where: { vehicleId, state: 'open' },
    select: { partnerId: true, integration: true },
  });
}
