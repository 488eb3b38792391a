import { randomUUID } from 'node:crypto';
import { cancellationSignal, log } from '@temporalio/activity';
import type { Integration } from '../contracts/ids';
import { KEPT_FOR_ANOTHER } from '../contracts/erasure';
import { vehiclePlace } from '../contracts/sealed-places';
import type { VehicleAccessRequest, VehicleStanding } from '../contracts/vehicle-access';
import { callOnce } from '../journal/alerts';
import { appendAbout } from '../journal/subjects';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import type { PartnerCall, PartnerGateway, PlateAtHouse, PlateCustodian } from '../partners/ports';
import type { Database, Transaction } from '../prisma/database';
import { isPlateWanted } from '../reads/plate-wanted';
import type { SubjectVault } from '../vault/subject-keys';

export type VehicleAccessActivities = ReturnType<typeof createVehicleAccessActivities>;

/** Time of one order to a partner about a plate, milliseconds. */
const PLATE_CALL_TIMEOUT_MS = 10_000;
const PROCESS = 'vehicle-access';

type PlateAtPartner = {
  readonly vehicleId: string;
  readonly residentId: string;
  readonly partnerId: string;
  readonly plateIndex: Uint8Array<ArrayBuffer>;
};
type House = { readonly houseId: string; readonly partnerHouseId: string };
type Order = { readonly kind: 'allow' | 'block'; readonly holdingId: string; readonly orders: number };

/**
 * Effects of keeping a partner's list of plates right. The row in `plate_holdings` says what the partner may have; it is
 * written before an order leaves. An order that was begun is finished before the opposite one is given, so that one
 * which is late on its way meets its own idempotency key and changes nothing.
 */
export function createVehicleAccessActivities(deps: {
  integration: Integration;
  database: Database;
  gatewayOf: (partnerId: string) => Promise<PartnerGateway>;
  subjects: SubjectVault;
}) {
  const { integration, database } = deps;

  return {
    /** Makes the partner's list agree with what holds now, at every house concerned. Also right when it does already. */
    async settleVehicle({ vehicleId, partnerId }: VehicleAccessRequest): Promise<VehicleStanding> {
      const vehicle = await database.vehicle.findUnique({ where: { id: vehicleId } });
      if (!vehicle) return { state: 'absent', nextChangeAt: null };
      const { residentId, plateIndex, sealed, status } = vehicle;
      if (plateIndex === null || sealed === null) return { state: 'removed', nextChangeAt: null };
      const place = vehiclePlace(vehicleId);
      const plate = (await deps.subjects.open(database, residentId, sealed, place)).toString();
      const subject: PlateAtPartner = { vehicleId, residentId, partnerId, plateIndex };

      // A house that fails keeps no other house waiting.
      const failures: unknown[] = [];
      for (const house of await housesOf(partnerId, residentId, plateIndex)) {
        await settleAt(subject, house, plate).catch((error: unknown) => failures.push(error));
      }
      if (failures.length > 0) throw toApplicationFailure(worst(failures));
      if (status === 'removed') {
        await close(subject);
        return { state: 'removed', nextChangeAt: null };
      }
      const held = await database.plateHolding.count({ where: { partnerId, plateIndex, state: 'allowed' } });
      return { state: held > 0 ? 'allowed' : 'not-allowed', nextChangeAt: await nextChange(residentId, partnerId) };
    },
  };

  /** Where the plate may be wanted, and where the partner may have it although it no longer is. */
  function housesOf(
    partnerId: string,
    residentId: string,
    plateIndex: Uint8Array<ArrayBuffer>,
  ): Promise<readonly House[]> {
    return database.housePartner.findMany({
      where: {
        partnerId,
        house: {
          OR: [
            { properties: { some: { rights: { some: { residentId } } } } },
            { plates: { some: { partnerId, plateIndex } } },
          ],
        },
      },
      orderBy: { houseId: 'asc' },
    });
  }

  async function settleAt(subject: PlateAtPartner, house: House, plate: string): Promise<void> {
    for (;;) {
      const order = await database.$transaction((tx) => nextOrder(tx, subject, house.houseId));
      if (order === null) return;
      const custodian = await custodianOf(subject.partnerId);
      const call = {
        idempotencyKey: keyOf(order),
        signal: cancellationSignal(),
        timeoutMs: PLATE_CALL_TIMEOUT_MS,
      };
      const plateAtHouse = { plate, partnerHouseId: house.partnerHouseId };
      await custodian[order.kind](plateAtHouse, call);
      // Asked while there is still a plate to ask by: with the last confirmation it is gone (docs/adr/0074).
      if (order.kind === 'block' && (await isStillAllowed(custodian, plateAtHouse, call))) {
        await database.$transaction((tx) => orderAnew(tx, subject, order));
        throw new PartnerError(
          'PartnerUnavailable',
          'The partner confirmed to have blocked a plate that it lets pass.',
        );
      }
      await database.$transaction((tx) => confirm(tx, subject, order));
    }
  }

  /** The next try has a key of its own: the partner has answered this one with a confirmation that was not true. */
  async function orderAnew(tx: Transaction, subject: PlateAtPartner, { holdingId, orders }: Order): Promise<void> {
    const { count } = await tx.plateHolding.updateMany({
      where: { id: holdingId, state: 'blocking', orders },
      data: { orders: { increment: 1 } },
    });
    if (count === 0) return;
    const call = { process: PROCESS, objectId: callOf(subject), reason: 'found-at-holder', level: orders + 1 };
    await callOnce(tx, { ...call, integration, raisedAt: new Date() });
    await record(tx, subject, 'found-at-partner');
    log.error('a partner confirmed to have blocked a plate that it lets pass', {
      event: 'escalated',
      code: call.reason,
      count: call.level,
    });
  }

  /** What the partner has to be told next; `null`: nothing, what it has is what is wanted. */
  async function nextOrder(tx: Transaction, subject: PlateAtPartner, houseId: string): Promise<Order | null> {
    const { partnerId, plateIndex } = subject;
    const where = { partnerId_houseId_plateIndex: { partnerId, houseId, plateIndex } };
    // Locked before anybody asks who wants it: two residents of a family must not see each other's moment before.
    await tx.$queryRaw`SELECT 1 FROM plate_holdings
      WHERE partner_id = ${partnerId} AND house_id = ${houseId}::uuid AND plate_index = ${plateIndex} FOR UPDATE`;
    let holding = await tx.plateHolding.findUnique({ where });
    if (!holding) {
      if (!(await isPlateWanted(tx, { ...subject, houseId }))) return null;
      const row = { id: randomUUID(), partnerId, houseId, integration, plateIndex, state: 'allowing' };
      await tx.plateHolding.createMany({ data: [row], skipDuplicates: true });
      holding = await tx.plateHolding.findUniqueOrThrow({ where });
    }
    const { id: holdingId, orders } = holding;
    if (holding.state === 'allowing') return { kind: 'allow', holdingId, orders };
    if (holding.state === 'blocking') return { kind: 'block', holdingId, orders };
    if (await isPlateWanted(tx, { ...subject, houseId })) return null;
    await tx.plateHolding.updateMany({ where: { id: holdingId, state: 'allowed' }, data: { state: 'blocking' } });
    return { kind: 'block', holdingId, orders };
  }

  async function confirm(tx: Transaction, subject: PlateAtPartner, { kind, holdingId }: Order): Promise<void> {
    const { count } =
      kind === 'allow'
        ? await tx.plateHolding.updateMany({
            where: { id: holdingId, state: 'allowing' },
            data: { state: 'allowed' },
          })
        : await tx.plateHolding.deleteMany({ where: { id: holdingId, state: 'blocking' } });
    if (count === 0) return;
    await record(tx, subject, kind === 'allow' ? 'allowed-at-partner' : 'blocked-at-partner');
    if (kind === 'allow') return;
    await tx.escalation.updateMany({
      where: { process: PROCESS, objectId: callOf(subject), resolvedAt: null },
      data: { resolvedAt: new Date() },
    });
  }

  /** The partner has nothing of the vehicle any more; the last one to say so takes the plate with it (a trigger). */
  async function close(subject: PlateAtPartner): Promise<void> {
    const { vehicleId, partnerId, plateIndex } = subject;
    await database.$transaction(async (tx) => {
      // Every order is settled: what the partner still has of the plate, it has for somebody else of the family.
      const keptForAnother = (await tx.plateHolding.count({ where: { partnerId, plateIndex } })) > 0;
      const { count } = await tx.vehiclePartner.updateMany({
        where: { vehicleId, partnerId, state: 'open' },
        data: { state: 'closed', closedAt: new Date(), keptForAnother },
      });
      if (count === 0) return;
      await record(tx, subject, 'removed-at-partner', keptForAnother ? KEPT_FOR_ANOTHER : undefined);
    });
  }

  async function record(
    tx: Transaction,
    { vehicleId: objectId, residentId, partnerId }: PlateAtPartner,
    outcome: string,
    reason?: string,
  ): Promise<void> {
    const actor = 'vehicle-access-process';
    const about = { residentId, details: { partnerId } };
    await appendAbout(tx, deps.subjects, about, { kind: 'vehicle', integration, objectId, actor, outcome, reason });
  }

  async function custodianOf(partnerId: string): Promise<PlateCustodian> {
    const { plates } = await deps.gatewayOf(partnerId);
    if (plates === null) throw new PartnerError('PartnerRejected', 'This partner leaves plates to us.');
    return plates;
  }

  async function nextChange(residentId: string, partnerId: string): Promise<string | null> {
    const rights = await database.propertyRight.findMany({
      where: { residentId, property: { house: { partners: { some: { partnerId } } } } },
      select: { startsAt: true, endsAt: true },
    });
    const nowMs = Date.now();
    const times = rights
      .flatMap(({ startsAt, endsAt }) => [startsAt.getTime(), endsAt?.getTime() ?? 0])
      .filter((timeMs) => timeMs > nowMs);
    return times.length === 0 ? null : new Date(Math.min(...times)).toISOString();
  }
}

/** What a person is called about. */
const callOf = ({ vehicleId, partnerId }: PlateAtPartner): string => `${vehicleId}/${partnerId}`;

/** Named after the order and not after a try at it. */
const keyOf = ({ kind, holdingId, orders }: Order): string =>
  `${kind}-plate/${holdingId}${kind === 'block' && orders > 0 ? `/${orders.toString()}` : ''}`;

/** Of a partner that does not take the question its confirmation is all there is. */
async function isStillAllowed(custodian: PlateCustodian, plate: PlateAtHouse, call: PartnerCall): Promise<boolean> {
  try {
    return await custodian.isAllowed(plate, call);
  } catch (error) {
    if (error instanceof PartnerError && error.type === 'PartnerRejected') return false;
    throw error;
  }
}

/** One that trying again may mend decides: what a partner refuses at one house must not end the tries at another. */
function worst(failures: readonly unknown[]): unknown {
  const isRefusal = (error: unknown): boolean => error instanceof PartnerError && error.type === 'PartnerRejected';
  return failures.find((error) => !isRefusal(error)) ?? failures[0];
}
