import * as oauth from 'openid-client';
import { fetch as undiciFetch } from 'undici';
import { z } from 'zod';
import { FACE_VECTOR_LENGTH } from '../../contracts/access';
import { PHOTO_REFUSALS } from '../../contracts/enrollment';
import { createTokenCache, usableUntil, type AccessToken } from '../access-token';
import { authorizedBy } from '../bearer';
import { assertAgreed, type AgreedFields, type DataSetField } from '../data-set';
import { PartnerError } from '../failure';
import { answerCode, parseAnswer, refuse, type PartnerHttp } from '../http';
import type { PartnerCall, PartnerGateway } from '../ports';
import type { PartnerSecrets, ProfileOf } from '../profile';

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
}): PartnerGateway {
  const { profile, http } = deps;
  const authorized = authorizedBy(
    http,
    createTokenCache(() => fetchToken(deps)),
  );

  async function post(
    path: string,
    body: { json: object } | { jpeg: Buffer },
    fields: DataSetField[],
    call: PartnerCall,
  ) {
    await assertAgreed(deps.agreed, fields);
    const [contentType, bytes] =
      'json' in body ? ['application/json', Buffer.from(JSON.stringify(body.json))] : ['image/jpeg', body.jpeg];
    const headers = { 'content-type': contentType, 'idempotency-key': call.idempotencyKey };
    return authorized({ method: 'POST', url: new URL(profile.baseUrl + path), headers, body: bytes }, call);
  }

  return {
    partnerId: deps.partnerId,
    plates: null,
    close: () => http.close(),
    doors: {
      async open({ commandId, deviceId, notAfter }, call) {
        const path = `/api/v1/devices/${encodeURIComponent(deviceId)}/open`;
        const fields: DataSetField[] = ['deviceId', 'commandId', 'notAfter'];
        const answer = await post(path, { json: { commandId, notAfter } }, fields, call);
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
          const answer = await post('/api/v1/face-vectors', { jpeg: photo }, ['photo'], call);
          if (answer.status === 200) return { ok: true, ...parseAnswer(answer, Extracted) };
          const quality = answer.status === 422 ? answerCode(answer, Quality) : null;
          return quality ? { ok: false, refusal: quality.error.reason } : refuse(answer);
        },
      },
    },
    equipment: {
      async list(partnerHouseId, call) {
        await assertAgreed(deps.agreed, ['partnerHouseId']);
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
  };
}

const misanswered = (): PartnerError => new PartnerError('PartnerMisanswered', 'The answer is about another command.');

/** Discovers the partner's authorization server (RFC 8414) and asks for a token with the newest secret. */
async function fetchToken(deps: {
  profile: ProfileOf<'oauth-client'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
}): Promise<AccessToken> {
  const { profile, http } = deps;
  const customFetch = ((url: string, init: object) =>
    undiciFetch(url, {
      ...init,
      redirect: 'error',
      dispatcher: http.dispatcher,
      signal: AbortSignal.timeout(profile.timeoutMs),
    })) as unknown as oauth.CustomFetch;
  try {
    const secret = await deps.secrets('client-secret');
    const configuration = await oauth.discovery(
      new URL(profile.issuer),
      profile.clientId,
      undefined,
      oauth.ClientSecretBasic(secret),
      { algorithm: 'oauth2', [oauth.customFetch]: customFetch },
    );
    const answer = await oauth.clientCredentialsGrant(configuration, profile.scope ? { scope: profile.scope } : {});
    return { value: answer.access_token, usableUntilMs: usableUntil(answer.expires_in ?? 60, Date.now()) };
  } catch (error) {
    throw tokenFailure(error);
  }
}

/** A 401 with a challenge arrives without `error`: classified by status, as the library's notes advise. */
function tokenFailure(error: unknown): PartnerError {
  const { status } = error as { status?: number };
  if (status === 400 || status === 401 || status === 403) {
    return new PartnerError('PartnerUnauthorized', "The partner's authorization server refused our credentials.");
  }
  return new PartnerError('PartnerUnreachable', "The partner's authorization server gave no token.");
}
