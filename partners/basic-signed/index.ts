import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { PHOTO_REFUSALS } from '../../contracts/enrollment';
import { assertAgreed, type AgreedFields, type DataSetField } from '../data-set';
import { PartnerError } from '../failure';
import { answerCode, parseAnswer, refuse, type HttpAnswer, type PartnerHttp } from '../http';
import { signRequest, verifyResponse, type SignedRequest } from '../message-signature';
import type { PartnerCall, PartnerGateway } from '../ports';
import type { PartnerSecrets, ProfileOf } from '../profile';

const Commanded = z.object({ command_id: z.string(), state: z.enum(['done', 'expired']), at: z.iso.datetime() });
const PhotoRefused = z.object({ error: z.literal('photo'), reason: z.enum(PHOTO_REFUSALS).catch('not-usable') });
const FaceState = z.object({
  state: z.enum(['processing', 'active', 'rejected', 'deleted', 'unknown']),
  reason: z.enum(PHOTO_REFUSALS).catch('not-usable').optional(),
});
const Deleted = z.object({ state: z.enum(['deleted', 'pending']) });
const PlateState = z.object({ state: z.enum(['allowed', 'deleted']) });
const Devices = z.object({
  devices: z.array(
    z.object({
      device_id: z.string().min(1).max(128),
      kind: z.enum(['door', 'barrier']),
      title: z.string().max(200),
      online: z.boolean(),
    }),
  ),
});

const BASE = '/smart-home/v1';

/** Profile `basic-signed` (R0.6, R0.8): HTTP Basic, every message signed in both directions, JSON in snake_case. */
export function createBasicSignedPartner(deps: {
  partnerId: string;
  profile: ProfileOf<'basic-signed'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
  agreed: AgreedFields;
}): PartnerGateway {
  const { profile, http, secrets } = deps;
  const partnerKeys = new Map<string, KeyObject>(
    profile.partnerKeys.map(({ keyId, publicKeyPem }) => [keyId, createPublicKey(publicKeyPem)]),
  );

  /** Secrets are read for each call, so that a rotated one is used at once. */
  async function exchange(method: 'GET' | 'POST', path: string, body: Buffer, call: PartnerCall): Promise<HttpAnswer> {
    const [password, keyPem] = await Promise.all([secrets('basic-password'), secrets('signing-key')]);
    const url = new URL(profile.baseUrl + BASE + path);
    const headers: Record<string, string> = {
      authorization: `Basic ${Buffer.from(`${profile.username}:${password}`).toString('base64')}`,
      ...(method === 'POST' && { 'content-type': 'application/json', 'idempotency-key': call.idempotencyKey }),
    };
    const request: SignedRequest = { method, url: url.toString(), headers, body };
    const key = { keyId: profile.keyId, key: createPrivateKey(keyPem) };
    const signed = { ...headers, ...(await signRequest(request, key, Date.now())) };
    const answer = await http.send({ method, url, headers: signed, ...(body.length > 0 && { body }) }, call);
    // What fails before it understands us may be unable to sign: such an answer is never believed to say yes.
    if (answer.status >= 400 && answer.headers['signature'] === undefined) return refuse(answer);
    const bound = { ...request, headers: signed };
    const checked = await verifyResponse(answer, bound, (keyId) => partnerKeys.get(keyId) ?? null, Date.now());
    if (!checked.ok) throw new PartnerError('PartnerMisanswered', 'The answer is not signed as agreed.');
    return answer;
  }

  async function post(path: string, json: object, fields: DataSetField[], call: PartnerCall): Promise<HttpAnswer> {
    await assertAgreed(deps.agreed, fields);
    return exchange('POST', path, Buffer.from(JSON.stringify(json)), call);
  }

  return {
    partnerId: deps.partnerId,
    close: () => http.close(),
    doors: {
      async open({ commandId, deviceId, notAfter }, call) {
        const command = { command_id: commandId, device_id: deviceId, action: 'open', not_after: notAfter };
        const answer = await post('/commands', command, ['commandId', 'deviceId', 'notAfter'], call);
        if (answer.status !== 200) return refuse(answer);
        const commanded = parseAnswer(answer, Commanded);
        if (commanded.command_id !== commandId) {
          throw new PartnerError('PartnerMisanswered', 'The answer is about another command.');
        }
        return { result: commanded.state === 'done' ? 'opened' : 'expired', at: commanded.at };
      },
    },
    biometrics: {
      custody: 'partner',
      custodian: {
        async enroll({ subjectToken, partnerHouseId, photo }, call) {
          const face = { client_id: subjectToken, house_id: partnerHouseId, photo: photo.toString('base64') };
          const answer = await post('/faces', face, ['subjectToken', 'partnerHouseId', 'photo'], call);
          if (answer.status === 202) return { state: 'accepted' };
          const refused = answer.status === 422 ? answerCode(answer, PhotoRefused) : null;
          return refused ? { state: 'rejected', refusal: refused.reason } : refuse(answer);
        },
        async enrollmentState({ subjectToken, partnerHouseId }, call) {
          const face = { client_id: subjectToken, house_id: partnerHouseId };
          const answer = await post('/faces/state', face, ['subjectToken', 'partnerHouseId'], call);
          if (answer.status !== 200) return refuse(answer);
          const { state, reason } = parseAnswer(answer, FaceState);
          return state === 'rejected' ? { state, refusal: reason ?? 'not-usable' } : { state };
        },
        async remove({ subjectToken, partnerHouseId }, call) {
          const face = { client_id: subjectToken, house_id: partnerHouseId };
          const answer = await post('/faces/deletions', face, ['subjectToken', 'partnerHouseId'], call);
          if (answer.status !== 200 && answer.status !== 202) return refuse(answer);
          return { state: parseAnswer(answer, Deleted).state };
        },
      },
    },
    plates: {
      async allow({ plate, partnerHouseId }, call) {
        const answer = await post('/plates', { plate, house_id: partnerHouseId }, ['plate', 'partnerHouseId'], call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PlateState);
      },
      async block({ plate, partnerHouseId }, call) {
        const body = { plate, house_id: partnerHouseId };
        const answer = await post('/plates/deletions', body, ['plate', 'partnerHouseId'], call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PlateState);
      },
    },
    equipment: {
      async list(partnerHouseId, call) {
        await assertAgreed(deps.agreed, ['partnerHouseId']);
        const path = `/houses/${encodeURIComponent(partnerHouseId)}/devices`;
        const answer = await exchange('GET', path, Buffer.alloc(0), call);
        if (answer.status !== 200) return refuse(answer);
        const { devices } = parseAnswer(answer, Devices);
        return devices.map(({ device_id, kind, title, online }) => ({
          deviceId: device_id,
          kind,
          label: title,
          online,
        }));
      },
    },
  };
}
