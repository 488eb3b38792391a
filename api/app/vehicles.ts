import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Plate } from '../../access/plates';
import { vehiclePlace } from '../../contracts/sealed-places';
import { VehicleList, VehicleRequest, VehicleView } from '../../contracts/vehicles';
import { removeVehicle } from '../../erasure/vehicle-removal';
import { appendAbout } from '../../journal/subjects';
import type { Database } from '../../prisma/database';
import type { PlateIndex } from '../../vault/plate-index';
import type { SubjectVault } from '../../vault/subject-keys';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { usablePlate } from '../plate-identification';
import { HttpProblem, invalidField, notFound } from '../problem';
import { tellVehicleAccess, type PlatePartner } from '../../workflows/vehicle-access/start';
import { platePartnersOf } from '../vehicle-access';

type Dependencies = { database: Database; temporal: Client; plateIndex: PlateIndex; subjects: SubjectVault };
type VehicleRow = NonNullable<Awaited<ReturnType<Database['vehicle']['findUnique']>>> & {
  readonly partners: readonly { readonly state: string }[];
};

/**
 * Vehicles that residents register in the app (R1.9, R3.13). Answers hold the resident's own plate, so none is stored
 * for repeats: the Idempotency-Key makes the vehicle's id instead.
 */
export function vehicleOperations(deps: Dependencies): Operation[] {
  const { database, temporal, plateIndex } = deps;
  return [
    defineOperation({
      id: 'registerVehicle',
      method: 'post',
      path: '/residents/{residentId}/vehicles',
      summary: 'Register a vehicle, which opens barriers by its plate',
      scope: 'app',
      params: z.object({ residentId: z.uuid() }),
      body: { kind: 'json', schema: VehicleRequest },
      idempotency: 'own',
      responses: { 201: { description: 'The vehicle is registered', schema: VehicleView } },
      async handle({ params: { residentId }, body, caller, idempotencyKey }) {
        const resident = await database.resident.findUnique({ where: { id: residentId } });
        if (resident?.status !== 'active') throw notFound('residentId');
        const plate = usablePlate(body.plate);
        const houseId = body.houseId ?? null;
        const vehicleId = resourceIdFor(caller.clientId, `vehicle/${residentId}`, idempotencyKey);
        const request = { vehicleId, residentId, houseId, plate, actor: caller.clientId };
        const earlier = await database.vehicle.findUnique({ where: { id: vehicleId }, include: { partners: true } });
        if (earlier) {
          assertSameVehicle(earlier, request);
          await tellVehicleAccess(temporal, vehicleId, earlier.partners.filter(isOpen));
        } else await register(request);
        return { status: 201, body: await view(vehicleId) };
      },
    }),
    defineOperation({
      id: 'listVehicles',
      method: 'get',
      path: '/residents/{residentId}/vehicles',
      summary: "The resident's vehicles that are registered or not yet removed everywhere",
      scope: 'app',
      params: z.object({ residentId: z.uuid() }),
      responses: { 200: { description: 'Vehicles', schema: VehicleList } },
      async handle({ params: { residentId } }) {
        const resident = await database.resident.findUnique({ where: { id: residentId } });
        if (!resident) throw notFound('residentId');
        const rows = await database.vehicle.findMany({
          where: { residentId, sealed: { not: null } },
          include: { partners: true },
          orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
        });
        return { status: 200, body: { vehicles: await views(rows) } };
      },
    }),
    defineOperation({
      id: 'removeVehicle',
      method: 'post',
      path: '/vehicles/{vehicleId}/removal',
      summary: 'Remove a vehicle: it opens nothing from now on, and partners that read plates themselves are told',
      scope: 'app',
      params: z.object({ vehicleId: z.uuid() }),
      idempotency: 'own',
      responses: { 200: { description: 'The vehicle is removed', schema: VehicleView } },
      async handle({ params: { vehicleId }, caller }) {
        const row = await database.vehicle.findUnique({ where: { id: vehicleId } });
        if (!row) throw notFound('vehicleId');
        const open = await database.$transaction((tx) => removeVehicle(tx, deps.subjects, vehicleId, caller.clientId));
        await tellVehicleAccess(temporal, vehicleId, open);
        return { status: 200, body: await view(vehicleId) };
      },
    }),
  ];

  type Registration = {
    readonly vehicleId: string;
    readonly residentId: string;
    readonly houseId: string | null;
    readonly plate: Plate;
    readonly actor: string;
  };

  /**
   * Executions begin before the row that they are about is written: should we die in between, they end by themselves,
   * while a row without its execution would be heard of by no partner.
   */
  async function register(request: Registration): Promise<void> {
    const { vehicleId, residentId } = request;
    const houseIds = await housesWithRight(residentId, request.houseId);
    const known = await database.vehicle.findFirst({
      where: { residentId, plateIndex: plateIndex.of(request.plate.canonical), status: 'active' },
      select: { id: true },
    });
    if (known) throw conflict();
    const partners = await platePartnersOf(database, houseIds);
    await tellVehicleAccess(temporal, vehicleId, partners);
    await write(request, partners);
    await tellVehicleAccess(temporal, vehicleId, partners);
  }

  /** One transaction: the vehicle, who has to hear of it, and the evidence. */
  async function write(request: Registration, partners: readonly PlatePartner[]): Promise<void> {
    const { vehicleId, residentId, houseId, plate, actor } = request;
    await database.$transaction(async (tx) => {
      const sealed = await deps.subjects.seal(tx, residentId, Buffer.from(plate.canonical), vehiclePlace(vehicleId));
      const row = { id: vehicleId, residentId, houseId, plateIndex: plateIndex.of(plate.canonical), sealed };
      const { count } = await tx.vehicle.createMany({ data: [{ ...row, kind: plate.kind }], skipDuplicates: true });
      if (count === 0) {
        // Ours from a try at the same time, or the index "vehicles_one_of_a_plate" kept it out because of another.
        if (await tx.vehicle.findUnique({ where: { id: vehicleId } })) return;
        throw conflict();
      }
      await tx.vehiclePartner.createMany({ data: partners.map((partner) => ({ vehicleId, ...partner })) });
      const entry = { integration: null, objectId: vehicleId, actor, outcome: 'registered' };
      const details = { kind: plate.kind, ...(houseId !== null && { houseId }) };
      await appendAbout(tx, deps.subjects, { residentId, details }, { kind: 'vehicle', ...entry });
    });
  }

  /** @throws HttpProblem when the resident has no right in force at that house, or at any */
  async function housesWithRight(residentId: string, houseId: string | null): Promise<string[]> {
    const now = new Date();
    const inForce = { residentId, startsAt: { lte: now }, OR: [{ endsAt: null }, { endsAt: { gt: now } }] };
    const properties = await database.property.findMany({
      where: { rights: { some: inForce }, ...(houseId !== null && { houseId }) },
      select: { houseId: true },
    });
    if (properties.length > 0) return [...new Set(properties.map((property) => property.houseId))];
    if (houseId !== null) throw invalidField('houseId', 'is not a house of the resident', 404);
    throw new HttpProblem({ status: 403, type: 'no-right', title: 'The resident has no right at any house' });
  }

  function assertSameVehicle(
    earlier: { houseId: string | null; plateIndex: Uint8Array | null },
    request: Registration,
  ) {
    const samePlate =
      earlier.plateIndex === null || plateIndex.of(request.plate.canonical).equals(Buffer.from(earlier.plateIndex));
    if (samePlate && earlier.houseId === request.houseId) return;
    throw new HttpProblem({
      status: 422,
      type: 'idempotency-key-reused',
      title: 'The Idempotency-Key was used for another request',
    });
  }

  async function view(vehicleId: string): Promise<VehicleView> {
    const row = await database.vehicle.findUnique({ where: { id: vehicleId }, include: { partners: true } });
    const [found] = row ? await views([row]) : [];
    if (!found) throw notFound('vehicleId');
    return found;
  }

  /** A plate whose key is gone with its resident is shown as gone. */
  async function views(rows: readonly VehicleRow[]): Promise<VehicleView[]> {
    const sealed = rows.flatMap((row) =>
      row.sealed === null
        ? []
        : [{ id: row.id, residentId: row.residentId, sealed: row.sealed, place: vehiclePlace(row.id) }],
    );
    const opened = await deps.subjects.openMany(database, sealed);
    const plates = new Map(opened.map(({ id, plain }) => [id, plain.toString()]));
    return rows.map(({ id, residentId, houseId, kind, status, createdAt, removedAt, partners }) => ({
      vehicleId: id,
      residentId,
      houseId,
      plate: plates.get(id) ?? null,
      kind,
      status: status === 'active' ? 'active' : partners.some(isOpen) ? 'removing' : 'removed',
      registeredAt: createdAt.toISOString(),
      removedAt: removedAt?.toISOString() ?? null,
    }));
  }
}

const isOpen = ({ state }: { state: string }): boolean => state === 'open';

const conflict = (): HttpProblem =>
  new HttpProblem({ status: 409, type: 'vehicle-conflict', title: 'The resident has registered this plate already' });
