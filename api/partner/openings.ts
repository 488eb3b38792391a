import { z } from 'zod';
import type { AccessMethod } from '../../contracts/access';
import { OpeningByFace, OpeningView } from '../../contracts/openings';
import { OpeningByPlate } from '../../contracts/vehicles';
import type { Caller } from '../authentication/caller';
import { usableVector } from '../face-identification';
import type { Answer } from '../idempotency';
import type { Identification, Identified } from '../identification';
import { useIdentity } from '../identity-tokens';
import { answerForOpening, namedOpening, openAccessPoint, viewOfOpening, type OpeningDependencies } from '../openings';
import { noteErasedToken } from '../erasures';
import { defineOperation, type Operation, type OperationInput } from '../operation';
import { usablePlate, type PlateIdentifier } from '../plate-identification';
import { HttpProblem, invalidField, notFound } from '../problem';
import { withSteadyRefusals } from '../steady-refusals';

type Dependencies = OpeningDependencies & {
  readonly identification: Identification;
  readonly plates: PlateIdentifier;
};

type AccessPoint = { id: string; houseId: string; partnerId: string; integration: string };
/** What an opening needs of the request that asked for it. */
type Asked = Pick<OperationInput<unknown, unknown, unknown>, 'caller' | 'idempotencyKey' | 'fingerprint'>;

const DeviceId = z.string().min(1).max(128);

/** What a partner's servers ask of us at the door (R0.4, R1.7). Every refusal looks the same to them. */
export function partnerOpeningOperations(deps: Dependencies): Operation[] {
  const { database } = deps;
  return [
    defineOperation({
      id: 'openDoorByFace',
      method: 'post',
      path: '/doors/{deviceId}/openings',
      summary: 'Open a door for the face in front of its camera',
      description:
        'Variant B: `faceVector` in the body. Variant A: a token that names the identified resident, and an empty object.',
      scope: 'openings:request',
      params: z.object({ deviceId: DeviceId }),
      names: 'deviceId',
      body: { kind: 'json', schema: OpeningByFace },
      idempotency: 'own',
      responses: { 200: { description: 'The door opened', schema: OpeningView } },
      handle: (input) =>
        withSteadyRefusals(async () => {
          const accessPoint = await deviceOf(input.caller, input.params.deviceId, 'door');
          const { body } = input;
          if (body.faceVector === undefined) return openForIdentity(input, accessPoint, 'face', 'faceVector');
          assertVariantB(input.caller, 'faceVector');
          const vector = usableVector(body.faceVector);
          const attempt = { accessPoint, clientId: input.caller.clientId, network: input.network };
          return open(input, accessPoint, 'face', (_openingId, notAfterMs) =>
            deps.identification.byFace({ ...attempt, notAfterMs }, vector),
          );
        }),
    }),
    defineOperation({
      id: 'openBarrierByPlate',
      method: 'post',
      path: '/barriers/{deviceId}/openings',
      summary: 'Open a barrier for the licence plate in front of its reader',
      description:
        'Variant B: `plate` in the body. Variant A: a token that names the identified resident, and an empty object.',
      scope: 'openings:request',
      params: z.object({ deviceId: DeviceId }),
      names: 'deviceId',
      body: { kind: 'json', schema: OpeningByPlate },
      idempotency: 'own',
      responses: { 200: { description: 'The barrier opened', schema: OpeningView } },
      handle: (input) =>
        withSteadyRefusals(async () => {
          const accessPoint = await deviceOf(input.caller, input.params.deviceId, 'barrier');
          const { body } = input;
          if (body.plate === undefined) return openForIdentity(input, accessPoint, 'plate', 'plate');
          assertVariantB(input.caller, 'plate');
          const plate = usablePlate(body.plate);
          const attempt = { accessPoint, clientId: input.caller.clientId, network: input.network };
          const hidden = { ...input, fingerprint: deps.plates.fingerprint(input.fingerprint) };
          return open(hidden, accessPoint, 'plate', (_openingId, notAfterMs) =>
            deps.identification.byPlate({ ...attempt, notAfterMs }, plate),
          );
        }),
    }),
    defineOperation({
      id: 'relayResidentRequest',
      method: 'post',
      path: '/resident-requests',
      summary: 'A resident asks at the device, or the partner recognised them: open for this client id',
      scope: 'resident-requests',
      params: z.object({}),
      names: 'deviceId',
      body: { kind: 'json', schema: ResidentRequest },
      idempotency: 'own',
      responses: { 200: { description: 'The device opened', schema: OpeningView } },
      handle: (input) =>
        withSteadyRefusals(async () => {
          const { body, caller } = input;
          const accessPoint = await deviceOf(caller, body.deviceId, null);
          const method = body.recognizedBy === 'request' ? 'relay' : body.recognizedBy;
          return open(input, accessPoint, method, () => residentOf(caller, body.clientId));
        }),
    }),
    defineOperation({
      id: 'getPartnerOpening',
      method: 'get',
      path: '/openings/{openingId}',
      summary: 'What became of an opening that this partner asked for',
      scope: 'openings:request',
      params: z.object({ openingId: z.uuid() }),
      names: 'openingId',
      responses: { 200: { description: 'The opening', schema: OpeningView } },
      async handle({ params, caller }) {
        const row = await database.opening.findUnique({ where: { id: params.openingId } });
        if (row?.clientId !== caller.clientId) throw notFound('openingId');
        return { status: 200, body: viewOfOpening(row) };
      },
    }),
  ];

  async function open(
    { caller, idempotencyKey, fingerprint }: Asked,
    accessPoint: AccessPoint,
    method: AccessMethod,
    identify: (openingId: string, notAfterMs: number) => Promise<Identified>,
  ): Promise<Answer> {
    const key = idempotencyKey;
    const named = await namedOpening(database, { clientId: caller.clientId, accessPointId: accessPoint.id, key });
    const row = await openAccessPoint(deps, { caller, named, fingerprint, accessPoint, method, identify });
    return { status: 200, body: answerForOpening(row, null) };
  }

  /** Variant A: who it is was found at the token endpoint, for this device and for one opening (R1.6, R1.9). */
  async function openForIdentity(
    input: Asked,
    accessPoint: AccessPoint,
    method: 'face' | 'plate',
    field: string,
  ): Promise<Answer> {
    const { identity } = input.caller;
    if (!identity) throw invalidField(field, 'is missing, and the token names nobody who was identified');
    if (identity.accessPointId !== accessPoint.id || identity.method !== method) throw notFound('deviceId');
    return open(input, accessPoint, method, async (openingId) => {
      const residentId = await useIdentity(database, identity.tokenId, openingId);
      if (residentId === null) throw usedToken();
      return { kind: 'resident', residentId };
    });
  }

  /** Another partner's device is answered like one that does not exist. */
  async function deviceOf({ partnerId }: Caller, deviceId: string, kind: 'door' | 'barrier' | null) {
    const row =
      partnerId === undefined
        ? null
        : await database.accessPoint.findUnique({ where: { partnerId_deviceId: { partnerId, deviceId } } });
    if (!row || (kind !== null && row.kind !== kind)) throw notFound('deviceId');
    return row;
  }

  /** A token of another partner names nobody here. */
  async function residentOf({ partnerId }: Caller, token: string): Promise<Identified> {
    const subject =
      partnerId === undefined
        ? null
        : await database.partnerSubject.findUnique({ where: { partnerId_token: { partnerId, token } } });
    if (subject) return { kind: 'resident', residentId: subject.residentId };
    if (partnerId !== undefined) await noteErasedToken(deps, partnerId, token);
    return { kind: 'nobody' };
  }
}

/** A token that names somebody opens for that somebody only: it must not become a client token again. */
function assertVariantB({ identity }: Caller, field: string): void {
  if (identity) throw invalidField(field, 'does not go together with a token that names who was identified');
}

const usedToken = (): HttpProblem =>
  new HttpProblem({
    status: 401,
    type: 'unauthorized',
    title: 'The token was used already, or its minute is over',
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  });

const ResidentRequest = z
  .strictObject({
    clientId: z.uuid().describe("The resident's client id at this partner"),
    deviceId: DeviceId,
    action: z.literal('open'),
    recognizedBy: z.enum(['face', 'plate', 'request']).default('request').describe('How the partner knows who it is'),
  })
  .meta({ id: 'ResidentRequest' });
