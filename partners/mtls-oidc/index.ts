import { z } from 'zod';
import { PHOTO_REFUSALS } from '../../contracts/enrollment';
import { createTokenCache } from '../access-token';
import { authorizedBy } from '../bearer';
import { agreedOnly, type AgreedFields, type PartnerCallName } from '../data-set';
import { PartnerError } from '../failure';
import { answerCode, parseAnswer, refuse, type HttpAnswer, type PartnerHttp } from '../http';
import {
  certificateRequestOf,
  hasCertificate,
  tlsIdentityOf,
  withCertificate,
  type TlsIdentity,
} from '../client-certificate';
import type { CredentialCheck, PartnerCall, PartnerGateway } from '../ports';
import type { NoteRequest } from '../noted-request';
import type { PartnerSecrets, ProfileOf } from '../profile';
import { createLogin } from './tokens';

const Opened = z.object({ requestId: z.string(), status: z.literal('OPENED'), at: z.iso.datetime() });
const Code = z.object({ code: z.string() });
const Accepted = z.object({ userId: z.string(), status: z.literal('PENDING') });
const PhotoRefused = z.object({ code: z.literal('PHOTO'), reason: z.enum(PHOTO_REFUSALS).catch('not-usable') });
const FaceStatus = z.object({
  status: z.enum(['PENDING', 'ACTIVE', 'REJECTED', 'DELETED', 'NONE']),
  reason: z.enum(PHOTO_REFUSALS).catch('not-usable').optional(),
});
const Deleted = z.object({ status: z.literal('DELETED') });
const Deleting = z.object({ status: z.literal('DELETING') });
const PlateAllowed = z.object({ status: z.literal('ALLOWED') });
const PlateRemoved = z.object({ status: z.literal('REMOVED') });
const PlateStatus = z.object({ status: z.enum(['ALLOWED', 'NONE']) });
const PasswordAccepted = z.object({ id: z.string(), status: z.literal('ACCEPTED') });
const PasswordsRemoved = z.object({ status: z.literal('REMOVED') });
const CertificateIssued = z.object({
  id: z.string(),
  status: z.literal('ISSUED'),
  certificate: z.string().max(20_000),
});
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
  /** Sockets with another client certificate, for trying it. */
  httpAs: (identity: TlsIdentity) => PartnerHttp;
  secrets: PartnerSecrets;
  agreed: AgreedFields;
  /** Told of requests for tokens, which no operation of the gateway is. */
  note?: NoteRequest;
}): PartnerGateway {
  const { profile, http } = deps;
  const login = createLogin(deps);
  const authorized = authorizedBy(http, createTokenCache(login.fetch), deps.note);
  const house = (partnerHouseId: string): string => `/v1/houses/${encodeURIComponent(partnerHouseId)}`;

  const post = (path: string, json: object, key: Record<string, string>, call: PartnerCall): Promise<HttpAnswer> => {
    const headers = { 'content-type': 'application/json', ...key };
    const body = Buffer.from(JSON.stringify(json));
    return authorized({ method: 'POST', url: new URL(profile.baseUrl + path), headers, body }, call);
  };

  /** An order has one effect by its idempotency key. */
  async function order(name: PartnerCallName, path: string, json: object, call: PartnerCall): Promise<HttpAnswer> {
    await agreedOnly(deps.agreed, name);
    return post(path, json, { 'idempotency-key': call.idempotencyKey }, call);
  }

  /** About credentials: nothing of it is in any data-set agreement, which is about residents. */
  const tell = (path: string, json: object, call: PartnerCall): Promise<HttpAnswer> =>
    post(path, json, { 'idempotency-key': call.idempotencyKey }, call);

  /** One login with this certificate in place of the one in use. A server may end the handshake instead of answering. */
  async function tryCertificate(value: string): Promise<CredentialCheck> {
    let tried: PartnerHttp | undefined;
    try {
      tried = deps.httpAs(tlsIdentityOf(value, profile.certificatePem));
      return await createLogin({ ...deps, http: tried }).tryOut();
    } catch (error) {
      if (error instanceof PartnerError && error.type === 'PartnerUnauthorized') return 'refused';
      throw error;
    } finally {
      await tried?.close();
    }
  }

  async function ask(name: PartnerCallName, path: string, json: object, call: PartnerCall): Promise<HttpAnswer> {
    await agreedOnly(deps.agreed, name);
    return post(path, json, {}, call);
  }

  return {
    partnerId: deps.partnerId,
    close: () => http.close(),
    doors: {
      async open({ commandId, deviceId, kind, notAfter }, call) {
        const path = `/v1/${kind === 'door' ? 'doors' : 'barriers'}/${encodeURIComponent(deviceId)}/open`;
        const answer = await order('open', path, { requestId: commandId, notAfter }, call);
        if (answer.status === 410 && answerCode(answer, Code)?.code === 'EXPIRED') {
          return { result: 'expired', at: new Date().toISOString() };
        }
        if (answer.status !== 200) return refuse(answer);
        const { requestId, at } = parseAnswer(answer, Opened);
        if (requestId !== commandId) throw misanswered();
        return { result: 'opened', at };
      },
    },
    biometrics: {
      custody: 'partner',
      custodian: {
        async enroll({ subjectToken, partnerHouseId, photo }, call) {
          const face = { userId: subjectToken, photo: photo.toString('base64') };
          const answer = await order('enroll-face', `${house(partnerHouseId)}/faces`, face, call);
          if (answer.status === 202) {
            if (parseAnswer(answer, Accepted).userId !== subjectToken) throw misanswered();
            return { state: 'accepted' };
          }
          const refused = answer.status === 422 ? answerCode(answer, PhotoRefused) : null;
          return refused ? { state: 'rejected', refusal: refused.reason } : refuse(answer);
        },
        async enrollmentState({ subjectToken, partnerHouseId }, call) {
          const path = `${house(partnerHouseId)}/faces/status`;
          const answer = await ask('face-state', path, { userId: subjectToken }, call);
          if (answer.status !== 200) return refuse(answer);
          const { status, reason } = parseAnswer(answer, FaceStatus);
          return status === 'REJECTED'
            ? { state: 'rejected', refusal: reason ?? 'not-usable' }
            : { state: STATES[status] };
        },
        async remove({ subjectToken, partnerHouseId }, call) {
          const path = `${house(partnerHouseId)}/faces/removal`;
          const answer = await order('remove-face', path, { userId: subjectToken }, call);
          if (answer.status !== 200 && answer.status !== 202) return refuse(answer);
          const isDone = answer.status === 200;
          parseAnswer<unknown>(answer, isDone ? Deleted : Deleting);
          return { state: isDone ? 'deleted' : 'pending' };
        },
      },
    },
    plates: {
      async allow({ plate, partnerHouseId }, call) {
        const answer = await order('allow-plate', `${house(partnerHouseId)}/plates`, { plate }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PlateAllowed);
      },
      async block({ plate, partnerHouseId }, call) {
        const path = `${house(partnerHouseId)}/plates/removal`;
        const answer = await order('block-plate', path, { plate }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PlateRemoved);
      },
      async isAllowed({ plate, partnerHouseId }, call) {
        const answer = await ask('plate-state', `${house(partnerHouseId)}/plates/status`, { plate }, call);
        if (answer.status !== 200) return refuse(answer);
        return parseAnswer(answer, PlateStatus).status === 'ALLOWED';
      },
    },
    equipment: {
      async list(partnerHouseId, call) {
        await agreedOnly(deps.agreed, 'list-equipment');
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
    credentials: {
      async add({ name, id, value }, call) {
        if (name === 'tls-key') {
          // Whoever died after it was stored asks once more, and has no request any more to ask with.
          if (hasCertificate(value)) return value;
          const answer = await tell('/v1/account/certificates', { id, csr: certificateRequestOf(value) }, call);
          if (answer.status !== 200) refuse(answer);
          const issued = parseAnswer(answer, CertificateIssued);
          if (issued.id !== id) throw misanswered();
          return withCertificate(value, issued.certificate);
        }
        const answer = await tell('/v1/account/passwords', { id, password: value }, call);
        if (answer.status !== 200) refuse(answer);
        if (parseAnswer(answer, PasswordAccepted).id !== id) throw misanswered();
        return value;
      },
      check: ({ name, value }) => (name === 'tls-key' ? tryCertificate(value) : login.check(value)),
      async retireOthers({ name, keep }, call) {
        const kind = name === 'tls-key' ? 'certificates' : 'passwords';
        const answer = await tell(`/v1/account/${kind}/removal`, { keep }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PasswordsRemoved);
      },
      /** The partner proves itself by its certificate alone: there is nothing that we would issue. */
      handOver: () => Promise.reject(new PartnerError('PartnerRejected', 'This partner shows us no secret.')),
    },
  };
}

const misanswered = (): PartnerError => new PartnerError('PartnerMisanswered', 'The answer is about something else.');
