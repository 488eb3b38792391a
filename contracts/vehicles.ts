import { z } from 'zod';

/** Longer than any spelling of a plate; what it says is read by access/plates.ts. */
const PlateText = z.string().min(1).max(40);

export const VehicleRequest = z
  .strictObject({
    plate: PlateText.describe('The licence plate in any spelling: Cyrillic or Latin letters, spaces, hyphens, RUS'),
    houseId: z.uuid().optional().describe('Opens at this house only; at every house of the resident when left out'),
  })
  .meta({ id: 'VehicleRequest' });

export const OpeningByPlate = z
  .strictObject({
    plate: PlateText.optional().describe(
      'Characters of the plate in front of the reader, unless the token names whose it is; the picture never comes here',
    ),
  })
  .meta({ id: 'OpeningByPlate' });

export const VehicleView = z
  .object({
    vehicleId: z.uuid(),
    residentId: z.uuid(),
    houseId: z.uuid().nullable(),
    plate: z.string().nullable().describe('In capital Cyrillic letters; gone once the vehicle is removed everywhere'),
    kind: z.string(),
    status: z
      .enum(['active', 'removing', 'removed'])
      .describe('`removing`: opens nothing of ours any more; a partner that reads plates itself has not confirmed yet'),
    registeredAt: z.iso.datetime(),
    removedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Vehicle', description: "A resident's vehicle, which opens barriers by its plate (R1.9, R3.13)" });
export type VehicleView = z.infer<typeof VehicleView>;

export const VehicleList = z.object({ vehicles: z.array(VehicleView) }).meta({ id: 'VehicleList' });
