import { z } from 'zod';
import { PHOTO_REFUSALS } from '../../contracts/enrollment';
import { createTokenCache } from '../access-token';
import { authorizedBy } from '../bearer';
import { assertAgreed, type AgreedFields, type DataSetField } from '../data-set';
import { PartnerError } from '../failure';
import { answerCode, parseAnswer, refuse, type HttpAnswer, type PartnerHttp } from '../http';
import type { PartnerCall, PartnerGateway } from '../ports';
import type { PartnerSecrets, ProfileOf } from '../profile';
import { createLogin } from './tokens';

const Opened = z.object({ requestId: z.string(), status: z.literal('OPENED'), at: z.iso.datetime() });
const Code = z.object({ code: z.string() });
const PhotoRefused = z.object({ code: z.literal('PHOTO'), reason: z.enum(PHOTO_REFUSALS).catch('not-usable') });
const FaceStatus = z.object({
  status: z.enum(['PENDING', 'ACTIVE', 'REJECTED', 'DELETED', 'NONE']),
  reason: z.enum(PHOTO_REFUSALS).catch('not-usable').optional(),
});
const Removed = z.object({ status: z.enum(['DELETED', 'DELETING']) });
const PlateStatus = z.object({ status: z.enum(['ALLOWED', 'REMOVED']) });
const EquipmentList = z.object({
  equipment: z.array(
    z.object({
      id: z.string().min(1).max(128),
      type: z.enum(['DOOR', 'BARRIER']),
      label: z.string().max(200),
      active: z.boolean(),
    }),
  ),
});

const STATES = { PENDING: 'processing', ACTIVE: 'active', DELETED: 'deleted', NONE: 'unknown' } as const;

/** Profile `mtls-oidc` (R3.1, R3.10): mutual TLS, OpenID Connect with refresh, JSON with words in capitals. */
export function createMtlsOidcPartner(deps: {
  partnerId: string;
  profile: ProfileOf<'mtls-oidc'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
  agreed: AgreedFields;
}): PartnerGateway {
  const { profile, http } = deps;
  const authorized = authorizedBy(http, createTokenCache(createLogin(deps)));
  const house = (partnerHouseId: string): string => `/v1/houses/${encodeURIComponent(partnerHouseId)}`;

  async function post(path: string, json: object, fields: DataSetField[], call: PartnerCall): Promise<HttpAnswer> {
    await assertAgreed(deps.agreed, fields);
    const headers = { 'content-type': 'application/json', 'idempotency-key': call.idempotencyKey };
    const body = Buffer.from(JSON.stringify(json));
    return authorized({ method: 'POST', url: new URL(profile.baseUrl + path), headers, body }, call);
  }

  return {
    partnerId: deps.partnerId,
    close: () => http.close(),
    doors: {
      async open({ commandId, deviceId, kind, notAfter }, call) {
        const path = `/v1/${kind === 'door' ? 'doors' : 'barriers'}/${encodeURIComponent(deviceId)}/open`;
        const fields: DataSetField[] = ['commandId', 'deviceId', 'notAfter'];
        const answer = await post(path, { requestId: commandId, notAfter }, fields, call);
        if (answer.status === 410 && answerCode(answer, Code)?.code === 'EXPIRED') {
          return { result: 'expired', at: new Date().toISOString() };
        }
        if (answer.status !== 200) return refuse(answer);
        const { requestId, at } = parseAnswer(answer, Opened);
        if (requestId !== commandId) {
          throw new PartnerError('PartnerMisanswered', 'The answer is about another command.');
        }
        return { result: 'opened', at };
      },
    },
    biometrics: {
      custody: 'partner',
      custodian: {
        async enroll({ subjectToken, partnerHouseId, photo }, call) {
          const face = { userId: subjectToken, photo: photo.toString('base64') };
          const fields: DataSetField[] = ['subjectToken', 'partnerHouseId', 'photo'];
          const answer = await post(`${house(partnerHouseId)}/faces`, face, fields, call);
          if (answer.status === 202) return { state: 'accepted' };
          const refused = answer.status === 422 ? answerCode(answer, PhotoRefused) : null;
          return refused ? { state: 'rejected', refusal: refused.reason } : refuse(answer);
        },
        async enrollmentState({ subjectToken, partnerHouseId }, call) {
          const path = `${house(partnerHouseId)}/faces/status`;
          const answer = await post(path, { userId: subjectToken }, ['subjectToken', 'partnerHouseId'], call);
          if (answer.status !== 200) return refuse(answer);
          const { status, reason } = parseAnswer(answer, FaceStatus);
          return status === 'REJECTED'
            ? { state: 'rejected', refusal: reason ?? 'not-usable' }
            : { state: STATES[status] };
        },
        async remove({ subjectToken, partnerHouseId }, call) {
          const path = `${house(partnerHouseId)}/faces/removal`;
          const answer = await post(path, { userId: subjectToken }, ['subjectToken', 'partnerHouseId'], call);
          if (answer.status !== 200 && answer.status !== 202) return refuse(answer);
          return { state: parseAnswer(answer, Removed).status === 'DELETED' ? 'deleted' : 'pending' };
        },
      },
    },
    plates: {
      async allow({ plate, partnerHouseId }, call) {
        const answer = await post(`${house(partnerHouseId)}/plates`, { plate }, ['plate', 'partnerHouseId'], call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PlateStatus);
      },
      async block({ plate, partnerHouseId }, call) {
        const path = `${house(partnerHouseId)}/plates/removal`;
        const answer = await post(path, { plate }, ['plate', 'partnerHouseId'], call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PlateStatus);
      },
    },
    equipment: {
      async list(partnerHouseId, call) {
        await assertAgreed(deps.agreed, ['partnerHouseId']);
        const url = new URL(`${profile.baseUrl}${house(partnerHouseId)}/equipment`);
        const answer = await authorized({ method: 'GET', url, headers: {} }, call);
        if (answer.status !== 200) return refuse(answer);
        const { equipment } = parseAnswer(answer, EquipmentList);
        return equipment.map(({ id, type, label, active }) => ({
          deviceId: id,
          kind: type === 'DOOR' ? ('door' as const) : ('barrier' as const),
          label,
          online: active,
        }));
      },
    },
  };
}
