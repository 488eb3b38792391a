import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { RESIDENTS, type TownPartner } from '../town';
import type { AppBackend } from './app-backend';
import { told, type Cast } from './opening-chapter';
import type { Sandbox } from './sandbox-control';
import type { Told } from './teller';

/** One car for each house, seen by no other chapter. */
const PLATE = 'Т555ТТ77';
const ARRIVES_WITHIN_MS = 60_000;

/**
 * The ways in that only a partner of profile `oauth-client` uses: identified at our token endpoint first (variant A,
 * R1.6, R1.9). And the classic ones, which are written down and decided by nobody here (R1.10, R1.11).
 */
export async function tellWays({ teller, app, sandbox, photos }: Cast, partner: TownPartner): Promise<void> {
  const { profile } = partner;
  const { anna } = RESIDENTS;
  const { body } = await app.post(`/app/v1/residents/${anna.id}/vehicles`, { plate: PLATE, houseId: partner.houseId });
  const vehicleId = String(body['vehicleId']);

  await teller.step(
    { name: 'the camera sees the resident, variant A', profile, asked: 'POST /oauth/token', expected: 'opened once' },
    async () => {
      const { company } = await sandbox.showFace(partner.id, partner.doorDeviceId, photos.resident, 'a');
      return told(sandbox, partner, company?.body ?? {});
    },
  );
  await teller.step(
    { name: 'the barrier sees the plate, variant A', profile, asked: 'POST /oauth/token', expected: 'opened once' },
    async () => {
      const { company } = await sandbox.showPlate(partner.id, partner.barrierDeviceId, PLATE, { variant: 'a' });
      return told(sandbox, partner, company?.body ?? {});
    },
  );
  await teller.step(
    {
      name: 'a stranger is denied, variant A',
      profile,
      asked: 'POST /oauth/token',
      expected: 'no token: invalid_grant',
    },
    async () => {
      const { company } = await sandbox.showFace(partner.id, partner.doorDeviceId, photos.stranger, 'a');
      return { outcome: `no token: ${String(company?.body['error'])}` };
    },
  );
  await teller.step(
    { name: 'a plate that is no plate is refused', profile, asked: 'POST /oauth/token', expected: 'invalid_request' },
    async () => {
      const { company } = await sandbox.showPlate(partner.id, partner.barrierDeviceId, 'ZZZ', { variant: 'a' });
      return { outcome: String(company?.body['error']) };
    },
  );
  await app.post(`/app/v1/vehicles/${vehicleId}/removal`, {});
}

/** A resident asks at the device and the partner relays it: all it knows of them is its own client id (R0.4). */
export async function tellRelay(
  { teller, app, sandbox }: Pick<Cast, 'teller' | 'app' | 'sandbox'>,
  partner: TownPartner,
): Promise<void> {
  const { profile } = partner;
  const asked = 'POST /partner/v1/resident-requests';
  await teller.step(
    { name: 'a resident asks at the device, and the partner relays it', profile, asked, expected: 'opened once' },
    async () => {
      const clientId = await clientIdAt(app, partner, RESIDENTS.anna.id);
      return relayed(sandbox, partner, clientId);
    },
  );
  await teller.step({ name: 'somebody asks under an id that nobody has', profile, asked, expected: 'denied' }, () =>
    relayed(sandbox, partner, randomUUID()),
  );
}

/** The id by which the partner knows a resident, as its plugin in the app is given it (R0.1). */
export async function clientIdAt(app: AppBackend, { id: partnerId }: TownPartner, residentId: string): Promise<string> {
  return String((await app.post('/app/v1/plugin-sessions', { residentId, partnerId })).body['clientId']);
}

/** What we answered the partner. */
export async function relayed(sandbox: Sandbox, partner: TownPartner, clientId: string): Promise<Told> {
  const { company } = await sandbox.askAtDevice(partner.id, partner.doorDeviceId, clientId);
  return told(sandbox, partner, company?.body ?? {});
}

/** A key turns and a fob is held up; the partner tells us afterwards. */
export async function tellClassicWays({ teller, sandbox }: Pick<Cast, 'teller' | 'sandbox'>, partner: TownPartner) {
  const { profile } = partner;
  for (const carrier of ['key', 'fob'] as const) {
    const deviceId = carrier === 'key' ? partner.doorDeviceId : partner.barrierDeviceId;
    await teller.step(
      {
        name: `a ${carrier} opens, and we are told`,
        profile,
        asked: `POST /partner/v1/webhooks/${carrier}-openings`,
        expected: 'taken in',
      },
      async () => {
        const eventId = await sandbox.useCarrier(partner.id, deviceId, carrier);
        for (const untilMs = Date.now() + ARRIVES_WITHIN_MS; Date.now() < untilMs;) {
          if (await sandbox.wasDelivered(partner.id, eventId)) return { outcome: 'taken in' };
          await pause(100);
        }
        return { outcome: 'not delivered' };
      },
    );
  }
}
