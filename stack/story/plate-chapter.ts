import { setTimeout as pause } from 'node:timers/promises';
import { openAccessWorkflowId, vehicleAccessWorkflowId } from '../../contracts/ids';
import { HOLDS_PLATES } from '../../partners/profile';
import { RESIDENTS, type TownPartner } from '../town';
import type { AppBackend } from './app-backend';
import type { Cast } from './opening-chapter';
import type { Sandbox } from './sandbox-control';
import type { Told } from './teller';

/** One car for each partner, bound to its house. */
const PLATES: Readonly<Record<TownPartner['id'], string>> = {
  vizor: 'А123ВС77',
  kluch: 'К456МН777',
  shlagbaum: 'С789ТУ199',
};
const STRANGER = 'Е001КХ99';

/** Longer than any restart of a process in the story takes. */
const SETTLED_WITHIN_MS = 180_000;

/** A vehicle from its registration to its removal, with a partner that asks us, or with one that reads plates itself. */
export async function tellPlates({ teller, app, sandbox }: Omit<Cast, 'photos'>, partner: TownPartner): Promise<void> {
  const { profile } = partner;
  const plate = PLATES[partner.id];
  const atPartner = HOLDS_PLATES[profile];
  let vehicleId = '';
  const workflowId = (): string | null => (atPartner ? vehicleAccessWorkflowId(vehicleId, partner.id) : null);

  await teller.step(
    {
      name: 'the resident registers a vehicle',
      profile,
      asked: 'POST /app/v1/residents/{id}/vehicles',
      expected: atPartner ? 'active, allowed at the partner' : 'active',
    },
    async () => {
      const registered = await registerVehicle(app, plate, partner.houseId);
      vehicleId = registered.vehicleId;
      if (!atPartner) return { outcome: registered.status };
      const isThere = await settled(sandbox, partner, plate, true);
      return {
        outcome: `${registered.status}, ${isThere ? '' : 'not '}allowed at the partner`,
        workflowId: workflowId(),
      };
    },
  );
  await teller.step(
    {
      name: 'the barrier sees the plate, in Latin letters',
      profile,
      asked: atPartner ? "a plate at the partner's own reader" : 'POST /partner/v1/barriers/{id}/openings',
      expected: atPartner ? 'opened by the partner' : 'opened once',
    },
    () => seen(sandbox, partner, inLatin(plate)),
  );
  await teller.step(
    {
      name: "a stranger's plate is denied",
      profile,
      asked: atPartner ? "a plate at the partner's own reader" : 'POST /partner/v1/barriers/{id}/openings',
      expected: atPartner ? 'not recognized' : 'denied',
    },
    () => seen(sandbox, partner, STRANGER),
  );
  await teller.step(
    {
      name: 'the vehicle is removed and opens no more',
      profile,
      asked: 'POST /app/v1/vehicles/{id}/removal',
      expected: atPartner ? 'blocked at the partner, not recognized' : 'denied',
    },
    async () => {
      await app.post(`/app/v1/vehicles/${vehicleId}/removal`, {});
      if (!atPartner) return seen(sandbox, partner, plate);
      const isGone = await settled(sandbox, partner, plate, false);
      const { outcome } = await seen(sandbox, partner, plate);
      return { outcome: `${isGone ? '' : 'not '}blocked at the partner, ${outcome}`, workflowId: workflowId() };
    },
  );
}

/** A story that was cut off in the middle has left the vehicle there. */
async function registerVehicle(
  app: AppBackend,
  plate: string,
  houseId: string,
): Promise<{ vehicleId: string; status: string }> {
  const path = `/app/v1/residents/${RESIDENTS.anna.id}/vehicles`;
  const { status, body } = await app.post(path, { plate, houseId });
  if (status !== 409) return { vehicleId: String(body['vehicleId']), status: String(body['status'] ?? body['title']) };
  const known = (await app.get(path)).body['vehicles'] as { vehicleId: string; plate: string; status: string }[];
  const vehicle = known.find((each) => each.plate === plate && each.status === 'active');
  if (!vehicle) throw new Error('the vehicle is neither new nor known');
  return vehicle;
}

/** Waits until the partner holds the plate, or no longer does. */
async function settled(sandbox: Sandbox, partner: TownPartner, plate: string, isHeld: boolean): Promise<boolean> {
  for (const untilMs = Date.now() + SETTLED_WITHIN_MS; Date.now() < untilMs;) {
    const held = await sandbox.platesHeld(partner.id);
    const isThere = held.some((each) => each.plate === plate && each.houseId === partner.partnerHouseId);
    if (isThere === isHeld) return true;
    await pause(200);
  }
  return false;
}

/** What the reader made of the plate, and for a barrier of ours what the partner's own ledger says of it. */
async function seen(sandbox: Sandbox, partner: TownPartner, plate: string): Promise<Told> {
  const { company, opened } = await sandbox.showPlate(partner.id, partner.barrierDeviceId, plate);
  if (opened) return { outcome: 'opened by the partner' };
  if (company === null) return { outcome: 'not recognized' };
  const { body } = company;
  const openingId = String(body['openingId']);
  const workflowId = openAccessWorkflowId(openingId);
  if (body['status'] !== 'opened') {
    return { outcome: String(body['type']).endsWith('access-denied') ? 'denied' : String(body['title']), workflowId };
  }
  const effects = await sandbox.effects(partner.id, `open/${openingId}`);
  return { outcome: effects === 1 ? 'opened once' : `opened ${effects.toString()} times`, workflowId };
}

/** As a camera may write it down. */
const inLatin = (plate: string): string =>
  plate.replaceAll(/[АВЕКМНОРСТУХ]/g, (letter) => 'ABEKMHOPCTYX'.charAt('АВЕКМНОРСТУХ'.indexOf(letter)));

/** Every plate of this chapter, as it is registered and as cameras write it. */
export const PLATES_TOLD = [...Object.values(PLATES), STRANGER].flatMap((plate) => [plate, inLatin(plate)]);
