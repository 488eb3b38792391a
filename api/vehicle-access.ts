import { HOLDS_PLATES, PartnerProfile } from '../partners/profile';
import type { Database } from '../prisma/database';
import type { PlatePartner } from '../workflows/vehicle-access/start';

/** The partners in plate custody that serve one of these houses (R3.13). */
export async function platePartnersOf(database: Database, houseIds: readonly string[]): Promise<PlatePartner[]> {
  const partners = await database.partner.findMany({
    where: { active: true, houses: { some: { houseId: { in: [...houseIds] } } } },
    orderBy: { id: 'asc' },
  });
  return partners.flatMap(({ id, integration, profile }) => {
    const known = PartnerProfile.safeParse(profile);
    return known.success && HOLDS_PLATES[known.data.profile] ? [{ partnerId: id, integration }] : [];
  });
}
