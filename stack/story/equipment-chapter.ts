import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { equipmentSyncWorkflowId } from '../../contracts/ids';
import { RESIDENTS, type TownPartner } from '../town';
import { told, type Cast } from './opening-chapter';
import type { EquipmentHouse } from './sandbox-control';

/** A partner takes a barrier away and puts it back; the company hears of it from the partner itself (R3.11). */
export async function tellEquipment({ teller, app, sandbox }: Cast, partner: TownPartner): Promise<void> {
  const { profile } = partner;
  const { anna } = RESIDENTS;
  teller.chapter(`${partner.displayName}: equipment`);
  const before = (await sandbox.equipment(partner.id)).map((house) => withBarrier(house, partner));
  const openBarrier = async () => {
    const { body } = await app.post(`/app/v1/access-points/${partner.barrierId}/openings`, { residentId: anna.id });
    return told(sandbox, partner, body);
  };
  const isListed = async (): Promise<boolean> => {
    const { body } = await app.get(`/app/v1/residents/${anna.id}/access-points`);
    return (body['accessPoints'] as { accessPointId: string }[]).some(
      ({ accessPointId }) => accessPointId === partner.barrierId,
    );
  };
  const report = async (wanted: boolean): Promise<void> => {
    const event = { eventId: randomUUID(), at: new Date().toISOString() };
    await sandbox.callCompany(partner.id, '/partner/v1/webhooks/equipment-changes', event);
    for (const untilMs = Date.now() + COMPARED_WITHIN_MS; Date.now() < untilMs && (await isListed()) !== wanted;) {
      await pause(100);
    }
  };

  await teller.step(
    {
      name: 'a barrier that the partner took away does not open',
      profile,
      asked: 'POST /partner/v1/webhooks/equipment-changes, then an opening',
      expected: 'denied: device-unavailable',
    },
    async () => {
      const without = before.map(({ devices, ...house }) => ({
        ...house,
        devices: devices.filter(({ id }) => id !== partner.barrierDeviceId),
      }));
      await sandbox.setEquipment(partner.id, without);
      await report(false);
      return openBarrier();
    },
  );
  await teller.step(
    {
      name: 'put back, it opens',
      profile,
      asked: 'POST /partner/v1/webhooks/equipment-changes, then an opening',
      expected: 'opened once',
    },
    async () => {
      await sandbox.setEquipment(partner.id, before);
      await report(true);
      const { outcome } = await openBarrier();
      return { outcome, workflowId: equipmentSyncWorkflowId(partner.id) };
    },
  );
}

/** A story that was cut off may have left the barrier out. */
function withBarrier(house: EquipmentHouse, { partnerHouseId, barrierDeviceId }: TownPartner): EquipmentHouse {
  if (house.id !== partnerHouseId || house.devices.some(({ id }) => id === barrierDeviceId)) return house;
  const barrier = { id: barrierDeviceId, kind: 'barrier', name: 'Barrier 1', online: true };
  return { ...house, devices: [...house.devices, barrier] };
}

const COMPARED_WITHIN_MS = 60_000;
