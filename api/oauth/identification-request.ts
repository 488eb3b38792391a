import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { errors } from 'oidc-provider';
import { normalizeVector } from '../../access/face-matching';
import { normalizePlate } from '../../access/plates';
import { decideAccess } from '../../access/decision';
import { FACE_VECTOR_LENGTH, type DenialReason } from '../../contracts/access';
import type { Database } from '../../prisma/database';
import { factsAt, readAccessFacts } from '../../reads/access-facts';
import type { SubjectVault } from '../../vault/subject-keys';
import { requestFingerprint } from '../idempotency';
import type { Identification } from '../identification';
import { networkOf } from '../network';
import type { Identity } from '../identity-tokens';
import { denyAtOnce } from '../openings';
import { partnerSubjectToken } from '../partner-subjects';
import { withSteadyRefusals } from '../steady-refusals';
import { findClientRow } from './client-row';

export type IdentifiedAtTokenEndpoint = {
  /** The resident's tokenised id at this partner: the `sub` of the token (R3.4). */
  readonly subject: string;
  readonly deviceId: string;
  readonly identity: Identity & { clientId: string; partnerId: string; integration: string };
};

/**
 * Looks for the face or plate of a token request of variant A, after the client has proved itself (R1.6, R1.9). When
 * nobody is to be let in, that is an opening that was denied, with the evidence of one.
 *
 * @returns null when the request names none: it is a plain client-credentials request
 * @throws errors.InvalidRequest when it cannot be read; errors.InvalidGrant, always the same and at the same steps of
 *   time, when nobody is to be let in
 */
export type IdentifyAtTokenEndpoint = (
  clientId: string,
  body: Readonly<Record<string, unknown>>,
  req: IncomingMessage,
) => Promise<IdentifiedAtTokenEndpoint | null>;

type Presented = { readonly deviceId: string } & (
  | { readonly method: 'face'; readonly vector: Float32Array }
  | { readonly method: 'plate'; readonly plate: Extract<ReturnType<typeof normalizePlate>, { ok: true }>['plate'] }
);

type Asked = {
  readonly accessPointId: string;
  readonly partnerId: string;
  readonly method: 'face' | 'plate';
  readonly residentId: string | null;
};

export function createIdentifyAtTokenEndpoint(deps: {
  database: Database;
  subjects: SubjectVault;
  identification: Identification;
  /** As long as an opening may take: whoever stands at the device waits for both. */
  withinMs: number;
}): IdentifyAtTokenEndpoint {
  const { database } = deps;

  return async (clientId, body, req) => {
    const presented = readPresented(body);
    if (presented === null) return null;
    return withSteadyRefusals(async () => {
      const client = await findClientRow(database, clientId);
      const { partnerId, integration } = client ?? {};
      if (!partnerId || !integration) throw nobody();
      const { deviceId, method } = presented;
      const accessPoint = await database.accessPoint.findUnique({
        where: { partnerId_deviceId: { partnerId, deviceId } },
      });
      if (accessPoint?.kind !== (method === 'face' ? 'door' : 'barrier')) throw nobody();
      const notAfterMs = Date.now() + deps.withinMs;
      const attempt = { accessPoint, clientId, network: networkOf(req.socket.remoteAddress), notAfterMs };
      const found = await (presented.method === 'face'
        ? deps.identification.byFace(attempt, presented.vector)
        : deps.identification.byPlate(attempt, presented.plate));
      const residentId = found.kind === 'resident' ? found.residentId : null;
      const asked = { accessPointId: accessPoint.id, partnerId, method, residentId };
      const reason = found.kind === 'locked' ? 'locked-out' : await denialOf(asked);
      if (reason !== null || residentId === null) {
        await denied({ ...asked, clientId, integration }, reason ?? 'identity-unknown');
        throw nobody();
      }
      const subject = await partnerSubjectToken(database, { residentId, partnerId, integration });
      const identity = { accessPointId: accessPoint.id, residentId, method, clientId, partnerId, integration };
      return { subject, deviceId, identity };
    });
  };

  /** A token for somebody without a right would say that the face is known. The whole decision follows with the opening. */
  async function denialOf(asked: Asked): Promise<DenialReason | null> {
    const nowMs = Date.now();
    const { facts } = factsAt(await readAccessFacts(database, asked), nowMs);
    const policy = { billingMaxAgeMs: 0 };
    const decision = decideAccess({ ...facts, nowMs, method: asked.method, billing: 'not-asked', policy });
    if (decision.kind === 'ask-billing') return null;
    return decision.kind === 'deny' ? decision.reason : 'billing-unknown';
  }

  /** Each request is one of its own: there is no key by which a repeat could be told. */
  async function denied(
    { integration, ...asked }: Asked & { readonly clientId: string; readonly integration: string },
    reason: DenialReason,
  ): Promise<void> {
    const openingId = randomUUID();
    const requestSha256 = requestFingerprint('issueToken', openingId, '');
    const requestedAt = new Date().toISOString();
    const opening = { ...asked, openingId, requestSha256, requestedAt, notAfter: requestedAt };
    await denyAtOnce(deps, opening, { integration, reason });
  }
}

const nobody = (): Error => new errors.InvalidGrant('nobody was identified');

const NUMBER = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** @throws errors.InvalidRequest that names the member at fault, never its value */
function readPresented(body: Readonly<Record<string, unknown>>): Presented | null {
  const { device_id: deviceId, face_vector: faceVector, plate } = body;
  if (deviceId === undefined && faceVector === undefined && plate === undefined) return null;
  if (typeof deviceId !== 'string' || deviceId.length < 1 || deviceId.length > 128 || deviceId.includes('\u0000')) {
    throw new errors.InvalidRequest('device_id is missing or is not the id of a device');
  }
  if ((faceVector === undefined) === (plate === undefined)) {
    throw new errors.InvalidRequest('face_vector or plate is wanted, and only one of the two');
  }
  if (plate !== undefined) {
    const reading = typeof plate === 'string' ? normalizePlate(plate) : null;
    if (!reading?.ok) throw new errors.InvalidRequest('plate is not a plate that can be used');
    return { deviceId, method: 'plate', plate: reading.plate };
  }
  const numbers = typeof faceVector === 'string' ? faceVector.split(',', FACE_VECTOR_LENGTH + 1) : [];
  const vector = numbers.every((text) => NUMBER.test(text)) ? normalizeVector(numbers.map(Number)) : null;
  if (vector === null) {
    throw new errors.InvalidRequest(`face_vector is not ${FACE_VECTOR_LENGTH.toString()} numbers of a usable norm`);
  }
  return { deviceId, method: 'face', vector };
}
