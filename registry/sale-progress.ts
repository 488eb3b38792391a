import type { SalePartnerProgress, SaleProgress, SaleState } from '../contracts/property-sales';
import type { Transaction } from '../prisma/database';
import { isPlateWanted } from '../reads/plate-wanted';

type PlateSubject = { readonly partnerId: string; readonly houseId: string; readonly residentIds: string[] };

/** What each partner of the house has confirmed of what the sale, or its reversal, changed. */
export async function saleProgress(tx: Transaction, saleId: string): Promise<SaleProgress> {
  const sale = await tx.propertySale.findUniqueOrThrow({
    where: { id: saleId },
    include: {
      property: true,
      rights: true,
      deletions: { include: { deletion: true } },
      partners: { orderBy: { partnerId: 'asc' } },
    },
  });
  const residentIds = [...new Set(sale.rights.map(({ residentId }) => residentId))];
  const { houseId } = sale.property;
  const partners: SalePartnerProgress[] = [];
  for (const { partnerId } of sale.partners) {
    const deletions = sale.deletions.filter(({ deletion }) => deletion.partnerId === partnerId);
    const isDeleted = deletions.every(({ deletion }) => deletion.state === 'deleted');
    partners.push({
      partnerId,
      plates: await platesAt(tx, { partnerId, houseId, residentIds }),
      biometrics: deletions.length === 0 ? 'none' : isDeleted ? 'deleted' : 'deleting',
    });
  }
  const state = sale.state as SaleState;
  return { state, isDone: state !== 'scheduled' && partners.every(hasConfirmed), partners };
}

export const hasConfirmed = ({ plates, biometrics }: SalePartnerProgress): boolean =>
  plates !== 'settling' && biometrics !== 'deleting';

/** Vehicles of these residents that the partner hears of. */
export const vehiclesHeardOf = (tx: Transaction, { partnerId, residentIds }: Omit<PlateSubject, 'houseId'>) =>
  tx.vehicle.findMany({
    where: { residentId: { in: residentIds }, plateIndex: { not: null }, partners: { some: { partnerId } } },
    orderBy: { id: 'asc' },
  });

/** Settled: the partner has each plate that opens at the house, and no other. */
async function platesAt(tx: Transaction, subject: PlateSubject): Promise<SalePartnerProgress['plates']> {
  const { partnerId, houseId } = subject;
  const vehicles = await vehiclesHeardOf(tx, subject);
  for (const { plateIndex } of vehicles) {
    if (plateIndex === null) continue;
    const holding = await tx.plateHolding.findUnique({
      where: { partnerId_houseId_plateIndex: { partnerId, houseId, plateIndex } },
    });
    const isWanted = await isPlateWanted(tx, { partnerId, houseId, plateIndex });
    if (isWanted ? holding?.state !== 'allowed' : holding !== null) return 'settling';
  }
  return vehicles.length === 0 ? 'none' : 'settled';
}
