import type { Transaction } from '../prisma/database';

/** Whether somebody with this plate may open at this house now, as far as this partner hears of the vehicle. */
export async function isPlateWanted(
  tx: Transaction,
  {
    partnerId,
    plateIndex,
    houseId,
  }: { readonly partnerId: string; readonly plateIndex: Uint8Array<ArrayBuffer>; readonly houseId: string },
): Promise<boolean> {
  const now = new Date();
  const inForce = { startsAt: { lte: now }, OR: [{ endsAt: null }, { endsAt: { gt: now } }] };
  const found = await tx.vehicle.findFirst({
    where: {
      plateIndex,
      status: 'active',
      partners: { some: { partnerId } },
      OR: [{ houseId: null }, { houseId }],
      resident: { status: 'active', rights: { some: { property: { houseId }, ...inForce } } },
    },
    select: { id: true },
  });
  return found !== null;
}
