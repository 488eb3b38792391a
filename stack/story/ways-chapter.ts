import { setTimeout as pause } from 'node:timers/promises';
import { RESIDENTS, type TownPartner } from '../town';
import { told, type Cast } from './opening-chapter';

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
