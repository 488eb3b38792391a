import type { Client } from '@temporalio/client';
import { z } from 'zod';
import { normalizeVector } from '../../access/face-matching';
import { OpeningByFace, OpeningView } from '../../contracts/openings';
import { OpeningByPlate } from '../../contracts/vehicles';
import type { Database } from '../../prisma/database';
import type { Caller } from '../authentication/caller';
import type { FaceIdentifier } from '../face-identification';
import type { FailedIdentifications } from '../failed-identifications';
import { answerForOpening, openAccessPoint, viewOfOpening } from '../openings';
import { defineOperation, type Operation } from '../operation';
import { usablePlate, type PlateIdentifier } from '../plate-identification';
import { invalidField, notFound } from '../problem';

type Dependencies = {
  database: Database;
  temporal: Client;
  openWithinMs: number;
  faces: FaceIdentifier;
  plates: PlateIdentifier;
  failedIdentifications: FailedIdentifications;
};

type AccessPoint = { id: string; houseId: string; partnerId: string };

const DeviceId = z.string().min(1).max(128);

/** What a partner's servers ask of us at the door (R0.4, R1.7). Every refusal looks the same to them. */
export function partnerOpeningOperations(deps: Dependencies): Operation[] {
  const { database } = deps;
  return [
    defineOperation({
      id: 'openDoorByFace',
      method: 'post',
      path: '/doors/{deviceId}/openings',
      summary: 'Open a door for the face in front of its camera (variant B)',
      scope: 'openings:request',
      params: z.object({ deviceId: DeviceId }),
      body: { kind: 'json', schema: OpeningByFace },
      idempotency: 'own',
      responses: { 200: { description: 'The door opened', schema: OpeningView } },
      async handle({ params, body, caller, idempotencyKey, fingerprint }) {
        const accessPoint = await deviceOf(caller, params.deviceId, 'door');
        const vector = normalizeVector(body.faceVector);
        if (vector === null) throw invalidField('faceVector', 'is not a usable vector: its norm is zero or too large');
        const row = await openAccessPoint(deps, {
          caller,
          key: idempotencyKey,
          fingerprint,
          accessPoint,
          method: 'face',
          identify: () => counted(accessPoint, deps.faces.identify(accessPoint, vector)),
        });
        return { status: 200, body: answerForOpening(row, null) };
      },
    }),
    defineOperation({
      id: 'openBarrierByPlate',
      method: 'post',
      path: '/barriers/{deviceId}/openings',
      summary: 'Open a barrier for the licence plate in front of its reader (variant B)',
      scope: 'openings:request',
      params: z.object({ deviceId: DeviceId }),
      body: { kind: 'json', schema: OpeningByPlate },
      idempotency: 'own',
      responses: { 200: { description: 'The barrier opened', schema: OpeningView } },
      async handle({ params, body, caller, idempotencyKey, fingerprint }) {
        const accessPoint = await deviceOf(caller, params.deviceId, 'barrier');
        const plate = usablePlate(body.plate);
        const row = await openAccessPoint(deps, {
          caller,
          key: idempotencyKey,
          fingerprint: deps.plates.fingerprint(fingerprint),
          accessPoint,
          method: 'plate',
          identify: () => counted(accessPoint, deps.plates.identify(accessPoint, plate)),
        });
        return { status: 200, body: answerForOpening(row, null) };
      },
    }),
    defineOperation({
      id: 'relayResidentRequest',
      method: 'post',
      path: '/resident-requests',
      summary: 'A resident asks at the device, or the partner recognised them: open for this client id',
      scope: 'resident-requests',
      params: z.object({}),
      body: { kind: 'json', schema: ResidentRequest },
      idempotency: 'own',
      responses: { 200: { description: 'The device opened', schema: OpeningView } },
      async handle({ body, caller, idempotencyKey, fingerprint }) {
        const accessPoint = await deviceOf(caller, body.deviceId, null);
        const row = await openAccessPoint(deps, {
          caller,
          key: idempotencyKey,
          fingerprint,
          accessPoint,
          method: body.recognizedBy === 'request' ? 'relay' : body.recognizedBy,
          identify: () => residentOf(caller, body.clientId),
        });
        return { status: 200, body: answerForOpening(row, null) };
      },
    }),
    defineOperation({
      id: 'getPartnerOpening',
      method: 'get',
      path: '/openings/{openingId}',
      summary: 'What became of an opening that this partner asked for',
      scope: 'openings:request',
      params: z.object({ openingId: z.uuid() }),
      responses: { 200: { description: 'The opening', schema: OpeningView } },
      async handle({ params, caller }) {
        const row = await database.opening.findUnique({ where: { id: params.openingId } });
        if (row?.clientId !== caller.clientId) throw notFound();
        return { status: 200, body: viewOfOpening(row) };
      },
    }),
  ];

  /** Whoever is nobody's counts against the device (R2.6). */
  async function counted(accessPoint: AccessPoint, identified: Promise<string | null>): Promise<string | null> {
    const residentId = await identified;
    if (residentId === null) await deps.failedIdentifications.record(accessPoint.id);
    return residentId;
  }

  /** Another partner's device is answered like one that does not exist. */
  async function deviceOf({ partnerId }: Caller, deviceId: string, kind: 'door' | 'barrier' | null) {
    const row =
      partnerId === undefined
        ? null
        : await database.accessPoint.findUnique({ where: { partnerId_deviceId: { partnerId, deviceId } } });
    if (!row || (kind !== null && row.kind !== kind)) throw notFound();
    return row;
  }

  /** A token of another partner names nobody here. */
  async function residentOf({ partnerId }: Caller, token: string): Promise<string | null> {
    if (partnerId === undefined) return null;
    const subject = await database.partnerSubject.findUnique({ where: { partnerId_token: { partnerId, token } } });
    return subject?.residentId ?? null;
  }
}

const ResidentRequest = z
  .strictObject({
    clientId: z.uuid().describe("The resident's client id at this partner"),
    deviceId: DeviceId,
    action: z.literal('open'),
    recognizedBy: z.enum(['face', 'plate', 'request']).default('request').describe('How the partner knows who it is'),
  })
  .meta({ id: 'ResidentRequest' });
