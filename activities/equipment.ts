import { randomUUID } from 'node:crypto';
import { cancellationSignal } from '@temporalio/activity';
import type { EquipmentChange, HouseSync } from '../contracts/equipment';
import type { Integration } from '../contracts/ids';
import { appendJournal } from '../journal/journal';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import type { Equipment, PartnerGateway } from '../partners/ports';
import type { Database, Transaction } from '../prisma/database';

export type EquipmentActivities = ReturnType<typeof createEquipmentActivities>;

type Changes = HouseSync['changes'];

/** Brings our access points in line with what a partner lists at each served house (R3.11). */
export function createEquipmentActivities(deps: {
  integration: Integration;
  database: Database;
  gatewayOf: (partnerId: string) => Promise<PartnerGateway>;
}) {
  const { integration, database } = deps;

  return {
    /** Partners of this integration whose equipment is to be asked for. */
    async partnersWithEquipment(): Promise<string[]> {
      const rows = await database.partner.findMany({ where: { active: true }, select: { id: true } });
      return rows.map(({ id }) => id);
    },

    async servedHouses(partnerId: string): Promise<string[]> {
      const rows = await database.housePartner.findMany({ where: { partnerId }, select: { houseId: true } });
      return rows.map(({ houseId }) => houseId);
    },

    /**
     * Asks for the list of one house and applies it in one transaction. What is not listed any more is removed, and the
     * decision denies it from that moment; a device that we blocked ourselves stays blocked.
     */
    async syncHouse({ partnerId, houseId }: { partnerId: string; houseId: string }): Promise<Changes> {
      const served = await database.housePartner.findUnique({ where: { houseId_partnerId: { houseId, partnerId } } });
      if (!served) return [];
      const listed = await ask(partnerId, served.partnerHouseId).catch((error: unknown) => {
        throw toApplicationFailure(error);
      });
      const listedAt = new Date();
      return database.$transaction(async (tx) => {
        const changes = [
          ...(await applyListed(tx, { partnerId, houseId, service: served.service, listed, listedAt })),
          ...(await removeUnlisted(tx, { partnerId, houseId, listed })),
        ];
        for (const { accessPointId: objectId, change: outcome } of changes) {
          await appendJournal(tx, { kind: 'equipment', integration, objectId, actor: 'equipment-sync', outcome });
        }
        return changes;
      });
    },
  };

  async function ask(partnerId: string, partnerHouseId: string): Promise<readonly Equipment[]> {
    const gateway = await deps.gatewayOf(partnerId);
    const call = { idempotencyKey: `equipment/${partnerHouseId}`, signal: cancellationSignal() };
    const listed = await gateway.equipment.list(partnerHouseId, call);
    if (new Set(listed.map(({ deviceId }) => deviceId)).size < listed.length) {
      throw new PartnerError('PartnerMisanswered', 'The list of equipment names a device twice.');
    }
    return listed;
  }

  async function applyListed(
    tx: Transaction,
    list: { partnerId: string; houseId: string; service: string; listed: readonly Equipment[]; listedAt: Date },
  ): Promise<Changes> {
    const { partnerId, houseId, service, listed, listedAt } = list;
    const changes: { accessPointId: string; change: EquipmentChange }[] = [];
    for (const { deviceId, kind, label, online } of listed) {
      const known = await tx.accessPoint.findUnique({ where: { partnerId_deviceId: { partnerId, deviceId } } });
      const told = { houseId, kind, label, online, listedAt };
      if (!known) {
        const id = randomUUID();
        await tx.accessPoint.create({ data: { id, partnerId, integration, deviceId, service, ...told } });
        changes.push({ accessPointId: id, change: 'added' });
        continue;
      }
      const restored = known.status === 'removed';
      // A device of another house takes over that house's service with it.
      const moved = known.houseId === houseId ? {} : { service };
      const status = restored ? { status: 'active' } : {};
      await tx.accessPoint.update({ where: { id: known.id }, data: { ...told, ...moved, ...status } });
      const differs = known.houseId !== houseId || known.kind !== kind || known.label !== label;
      const change = restored ? 'restored' : differs || known.online !== online ? 'changed' : null;
      if (change !== null) changes.push({ accessPointId: known.id, change });
    }
    return changes;
  }

  async function removeUnlisted(
    tx: Transaction,
    { partnerId, houseId, listed }: { partnerId: string; houseId: string; listed: readonly Equipment[] },
  ): Promise<Changes> {
    const deviceId = { notIn: listed.map((device) => device.deviceId) };
    const gone = await tx.accessPoint.findMany({
      // What we blocked ourselves stays so: off the list and back must not be a way to unblock it.
      where: { partnerId, houseId, deviceId, status: 'active' },
      select: { id: true },
    });
    const ids = gone.map(({ id }) => id);
    await tx.accessPoint.updateMany({ where: { id: { in: ids } }, data: { status: 'removed', online: false } });
    return ids.map((accessPointId) => ({ accessPointId, change: 'removed' as const }));
  }
}
