import { z } from 'zod';
import { FACE_VECTOR_LENGTH } from '../../contracts/access';
import { PHOTO_REFUSALS } from '../../contracts/enrollment';
import { createTokenCache } from '../access-token';
import { authorizedBy } from '../bearer';
import { agreedOnly, type AgreedFields, type PartnerCallName } from '../data-set';
import { PartnerError } from '../failure';
import { answerCode, parseAnswer, refuse, type HttpAnswer, type PartnerHttp } from '../http';
import type { PartnerCall, PartnerGateway } from '../ports';
import type { NoteRequest } from '../noted-request';
import type { PartnerSecrets, ProfileOf } from '../profile';
import { createTokenSource } from './tokens';

const Opened = z.object({ commandId: z.string(), result: z.literal('opened'), openedAt: z.iso.datetime() });
const Extracted = z.object({
  vector: z.array(z.number()).length(FACE_VECTOR_LENGTH),
  modelVersion: z.string().max(64),
});
const Devices = z.object({
  items: z.array(
    z.object({
      id: z.string().min(1).max(128),
      kind: z.enum(['door', 'barrier']),
      name: z.string().max(200),
      status: z.enum(['online', 'offline']),
    }),
  ),
});
const SecretAccepted = z.object({ id: z.string(), status: z.literal('accepted') });
const SecretsRetired = z.object({ status: z.literal('retired') });
const SecretAdopted = z.object({ status: z.literal('adopted') });
const ErrorCode = z.object({ error: z.object({ code: z.string() }) });
const Quality = z.object({
  error: z.object({ code: z.literal('quality'), reason: z.enum(PHOTO_REFUSALS).catch('not-usable') }),
});

/** Profile `oauth-client` (R1.5, R1.8): client credentials at the partner's own authorization server, JSON in camelCase. */
export function createOauthClientPartner(deps: {
  partnerId: string;
  profile: ProfileOf<'oauth-client'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
  agreed: AgreedFields;
  /** Told of requests for tokens, which no operation of the gateway is. */
  note?: NoteRequest;
}): PartnerGateway {
  const { profile, http } = deps;
  const tokens = createTokenSource(deps);
  const authorized = authorizedBy(http, createTokenCache(tokens.fetch), deps.note);

  async function post(
    name: PartnerCallName,
    path: string,
    { contentType, body, key }: { contentType: string; body: Buffer; key?: string },
    call: PartnerCall,
  ): Promise<HttpAnswer> {
    await agreedOnly(deps.agreed, name);
    const headers = { 'content-type': contentType, ...(key !== undefined && { 'idempotency-key': key }) };
    return authorized({ method: 'POST', url: new URL(profile.baseUrl + path), headers, body }, call);
  }

  /** About credentials: nothing of it is in any data-set agreement, which is about residents. */
  const tell = (path: string, json: object, call: PartnerCall): Promise<HttpAnswer> => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': call.idempotencyKey };
    const body = Buffer.from(JSON.stringify(json));
    return authorized({ method: 'POST', url: new URL(profile.baseUrl + path), headers, body }, call);
  };

  return {
    partnerId: deps.partnerId,
    plates: null,
    close: () => http.close(),
    doors: {
      async open({ commandId, deviceId, notAfter }, call) {
        const path = `/api/v1/devices/${encodeURIComponent(deviceId)}/open`;
        const body = Buffer.from(JSON.stringify({ commandId, notAfter }));
        const order = { contentType: 'application/json', body, key: call.idempotencyKey };
        const answer = await post('open', path, order, call);
        if (answer.status === 200) {
          const opened = parseAnswer(answer, Opened);
          if (opened.commandId !== commandId) throw misanswered();
          return { result: 'opened', at: opened.openedAt };
        }
        if (answer.status === 409 && answerCode(answer, ErrorCode)?.error.code === 'expired') {
          return { result: 'expired', at: new Date().toISOString() };
        }
        return refuse(answer);
      },
    },
    biometrics: {
      custody: 'company',
      extractor: {
        async extract(photo, call) {
          // Nothing is kept, so there is no effect to make single and no key to pass.
          const question = { contentType: 'image/jpeg', body: photo };
          const answer = await post('extract-face', '/api/v1/face-vectors', question, call);
          if (answer.status === 200) return { ok: true, ...parseAnswer(answer, Extracted) };
          const quality = answer.status === 422 ? answerCode(answer, Quality) : null;
          return quality ? { ok: false, refusal: quality.error.reason } : refuse(answer);
        },
      },
    },
    equipment: {
      async list(partnerHouseId, call) {
        await agreedOnly(deps.agreed, 'list-equipment');
        const url = new URL(`${profile.baseUrl}/api/v1/houses/${encodeURIComponent(partnerHouseId)}/devices`);
        const answer = await authorized({ method: 'GET', url, headers: {} }, call);
        if (answer.status !== 200) return refuse(answer);
        const { items } = parseAnswer(answer, Devices);
        return items.map(({ id, kind, name, status }) => ({
          deviceId: id,
          kind,
          label: name,
          online: status === 'online',
        }));
      },
    },
    credentials: {
      async add({ id, value }, call) {
        const answer = await tell('/api/v1/client-secrets', { id, secret: value }, call);
        if (answer.status !== 200) refuse(answer);
        if (parseAnswer(answer, SecretAccepted).id !== id) throw misanswered();
        return value;
      },
      check: ({ value }) => tokens.check(value),
      async retireOthers({ keep }, call) {
        const answer = await tell('/api/v1/client-secrets/retirements', { keep }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, SecretsRetired);
      },
      async handOver(value, call) {
        const answer = await tell('/api/v1/own-credentials', { clientSecret: value }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, SecretAdopted);
      },
    },
  };
}

const misanswered = (): PartnerError => new PartnerError('PartnerMisanswered', 'The answer is about something else.');
