import type { Client } from '@temporalio/client';
import { vehicleAccessWorkflowId } from '../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../contracts/search-attributes';
import { HOLDS_PLATES, PartnerProfile } from '../partners/profile';
import type { Database } from '../prisma/database';
import { vehicleChanged } from '../workflows/vehicle-access/messages';
import type { vehicleAccessWorkflow } from '../workflows/vehicle-access/workflow';

export type PlatePartner = { readonly partnerId: string; readonly integration: string };

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

/** Begins the execution of this vehicle with each partner, or has the one that is there look again. Safe to repeat. */
export async function tellVehicleAccess(
  temporal: Client,
  vehicleId: string,
  partners: readonly PlatePartner[],
): Promise<void> {
  await Promise.all(
    partners.map(({ partnerId, integration }) =>
      temporal.workflow.signalWithStart<typeof vehicleAccessWorkflow>('vehicleAccessWorkflow', {
        workflowId: vehicleAccessWorkflowId(vehicleId, partnerId),
        taskQueue: integration,
        args: [{ vehicleId, partnerId }],
        signal: vehicleChanged,
        signalArgs: [],
        staticSummary: 'plate in partner custody',
        typedSearchAttributes: [
          { key: INTEGRATION_ATTRIBUTE, value: integration },
          { key: PROCESS_ATTRIBUTE, value: 'vehicle-access' },
          { key: STATE_ATTRIBUTE, value: 'settling' },
        ],
      }),
    ),
  );
}
