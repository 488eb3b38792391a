import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { PHOTO_REFUSALS } from '../../contracts/enrollment';
import { countdown } from '../bearer';
import { publicPemOf, signingKeyOf } from '../credential-values';
import { agreedOnly, type AgreedFields, type PartnerCallName } from '../data-set';
import { PartnerError } from '../failure';
import { answerCode, parseAnswer, refuse, type HttpAnswer, type PartnerHttp } from '../http';
import { signRequest, verifyResponse, type SignedRequest, type SigningKey } from '../message-signature';
import type { PartnerCall, PartnerGateway } from '../ports';
import type { NoteRequest } from '../noted-request';
import type { PartnerSecrets, ProfileOf } from '../profile';

const Commanded = z.object({ command_id: z.string(), state: z.enum(['done', 'expired']), at: z.iso.datetime() });
const Accepted = z.object({ client_id: z.string(), state: z.literal('processing') });
const PhotoRefused = z.object({ error: z.literal('photo'), reason: z.enum(PHOTO_REFUSALS).catch('not-usable') });
const FaceState = z.object({
  state: z.enum(['processing', 'active', 'rejected', 'deleted', 'unknown']),
  reason: z.enum(PHOTO_REFUSALS).catch('not-usable').optional(),
});
const Deleted = z.object({ state: z.literal('deleted') });
const Pending = z.object({ state: z.literal('pending') });
const PlateAllowed = z.object({ state: z.literal('allowed') });
const PlateState = z.object({ state: z.enum(['allowed', 'unknown']) });
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

const CredentialAccepted = z.object({ credential_id: z.string(), state: z.literal('accepted') });
const CredentialsRetired = z.object({ state: z.literal('retired') });
const CredentialAdopted = z.object({ state: z.literal('adopted') });

const BASE = '/smart-home/v1';

/** What is sent: an order has one effect by its idempotency key, a question may be asked any number of times. */
type Message = { readonly method: 'GET' | 'POST'; readonly path: string; readonly body: Buffer; readonly key?: string };

/** What proves that it is us. Read for each call, so that a rotated secret is used at once. */
type Credentials = { readonly password: string; readonly signing: SigningKey };

/** Profile `basic-signed` (R0.6, R0.8): HTTP Basic, every message signed in both directions, JSON in snake_case. */
export function createBasicSignedPartner(deps: {
  partnerId: string;
  profile: ProfileOf<'basic-signed'>;
  http: PartnerHttp;
  secrets: PartnerSecrets;
  agreed: AgreedFields;
  /** Told of a request that is sent once more; that one is what the operation is noted for. */
  note?: NoteRequest;
}): PartnerGateway {
  const { profile, http, secrets } = deps;
  const partnerKeys = new Map<string, KeyObject>(
    profile.partnerKeys.map(({ keyId, publicKeyPem }) => [keyId, createPublicKey(publicKeyPem)]),
  );

  async function credentials(): Promise<Credentials> {
    const [password, keyPem] = await Promise.all([secrets('basic-password'), secrets('signing-key')]);
    return { password, signing: signingKeyOf(keyPem, profile.keyId) };
  }

  /** Read once: taking another secret into use makes a gateway anew (gateways.ts). */
  let remembered: Promise<Credentials> | undefined;
  function rememberedCredentials(): Promise<Credentials> {
    remembered ??= credentials().catch((error: unknown) => {
      remembered = undefined;
      throw error;
    });
    return remembered;
  }

  /** A refusal of credentials that have been rotated meanwhile is no refusal: sends once more with the newest. */
  async function exchange(message: Message, call: PartnerCall): Promise<HttpAnswer> {
    const left = countdown(call);
    const known = await rememberedCredentials();
    const startedMs = performance.now();
    const answer = await send(message, known, left());
    if (answer.status !== 401) return answer;
    const tookMs = performance.now() - startedMs;
    const newest = await credentials();
    remembered = Promise.resolve(newest);
    if (same(known, newest)) return answer;
    deps.note?.('password-refused', 'PartnerUnauthorized', tookMs);
    return send(message, newest, left());
  }

  async function send(message: Message, { password, signing }: Credentials, call: PartnerCall): Promise<HttpAnswer> {
    const { method, path, body, key } = message;
    const url = new URL(profile.baseUrl + BASE + path);
    const headers: Record<string, string> = {
      authorization: `Basic ${Buffer.from(`${profile.username}:${password}`).toString('base64')}`,
      ...(body.length > 0 && { 'content-type': 'application/json' }),
      ...(key !== undefined && { 'idempotency-key': key }),
    };
    const plain: SignedRequest = { method, url: url.toString(), headers, body };
    const signed = { ...plain, headers: { ...headers, ...(await signRequest(plain, signing, Date.now())) } };
    const answer = await http.send({ method, url, headers: signed.headers, ...(body.length > 0 && { body }) }, call);
    const checked = await verifyResponse(answer, signed, (keyId) => partnerKeys.get(keyId) ?? null, Date.now());
    if (checked.ok || mayComeUnsigned(answer)) return answer;
    throw new PartnerError('PartnerMisanswered', 'The answer is not signed as agreed.');
  }

  const bodyOf = (json: object): Buffer => Buffer.from(JSON.stringify(json));

  async function order(name: PartnerCallName, path: string, json: object, call: PartnerCall): Promise<HttpAnswer> {
    await agreedOnly(deps.agreed, name);
    return exchange({ method: 'POST', path, body: bodyOf(json), key: call.idempotencyKey }, call);
  }

  /** About credentials: nothing of it is in any data-set agreement, which is about residents. */
  const tell = (path: string, json: object, call: PartnerCall): Promise<HttpAnswer> =>
    exchange({ method: 'POST', path, body: bodyOf(json), key: call.idempotencyKey }, call);

  async function ask(name: PartnerCallName, path: string, json: object, call: PartnerCall): Promise<HttpAnswer> {
    await agreedOnly(deps.agreed, name);
    return exchange({ method: 'POST', path, body: bodyOf(json) }, call);
  }

  return {
    partnerId: deps.partnerId,
    close: () => http.close(),
    doors: {
      async open({ commandId, deviceId, notAfter }, call) {
        const command = { command_id: commandId, device_id: deviceId, action: 'open', not_after: notAfter };
        const answer = await order('open', '/commands', command, call);
        if (answer.status !== 200) return refuse(answer);
        const commanded = parseAnswer(answer, Commanded);
        if (commanded.command_id !== commandId) throw misanswered();
        return { result: commanded.state === 'done' ? 'opened' : 'expired', at: commanded.at };
      },
    },
    biometrics: {
      custody: 'partner',
      custodian: {
        async enroll({ subjectToken, partnerHouseId, photo }, call) {
          const face = { client_id: subjectToken, house_id: partnerHouseId, photo: photo.toString('base64') };
          const answer = await order('enroll-face', '/faces', face, call);
          if (answer.status === 202) {
            if (parseAnswer(answer, Accepted).client_id !== subjectToken) throw misanswered();
            return { state: 'accepted' };
          }
          const refused = answer.status === 422 ? answerCode(answer, PhotoRefused) : null;
          return refused ? { state: 'rejected', refusal: refused.reason } : refuse(answer);
        },
        async enrollmentState({ subjectToken, partnerHouseId }, call) {
          const face = { client_id: subjectToken, house_id: partnerHouseId };
          const answer = await ask('face-state', '/faces/state', face, call);
          if (answer.status !== 200) return refuse(answer);
          const { state, reason } = parseAnswer(answer, FaceState);
          return state === 'rejected' ? { state, refusal: reason ?? 'not-usable' } : { state };
        },
        async remove({ subjectToken, partnerHouseId }, call) {
          const face = { client_id: subjectToken, house_id: partnerHouseId };
          const answer = await order('remove-face', '/faces/deletions', face, call);
          if (answer.status === 200) return parseAnswer(answer, Deleted);
          return answer.status === 202 ? parseAnswer(answer, Pending) : refuse(answer);
        },
      },
    },
    plates: {
      async allow({ plate, partnerHouseId }, call) {
        const answer = await order('allow-plate', '/plates', { plate, house_id: partnerHouseId }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, PlateAllowed);
      },
      async block({ plate, partnerHouseId }, call) {
        const body = { plate, house_id: partnerHouseId };
        const answer = await order('block-plate', '/plates/deletions', body, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, Deleted);
      },
      async isAllowed({ plate, partnerHouseId }, call) {
        const answer = await ask('plate-state', '/plates/state', { plate, house_id: partnerHouseId }, call);
        if (answer.status !== 200) return refuse(answer);
        return parseAnswer(answer, PlateState).state === 'allowed';
      },
    },
    equipment: {
      async list(partnerHouseId, call) {
        await agreedOnly(deps.agreed, 'list-equipment');
        const path = `/houses/${encodeURIComponent(partnerHouseId)}/devices`;
        const answer = await exchange({ method: 'GET', path, body: Buffer.alloc(0) }, call);
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
    credentials: {
      async add({ name, id, value }, call) {
        const what =
          name === 'signing-key'
            ? { type: 'key', public_key: publicPemOf(signingKeyOf(value, id).key) }
            : { type: 'password', password: value };
        const answer = await tell('/credentials', { credential_id: id, ...what }, call);
        if (answer.status !== 200) refuse(answer);
        if (parseAnswer(answer, CredentialAccepted).credential_id !== id) throw misanswered();
        return value;
      },
      async check({ name, value }, call) {
        const known = await credentials();
        const shown =
          name === 'signing-key'
            ? { ...known, signing: signingKeyOf(value, profile.keyId) }
            : { ...known, password: value };
        const answer = await send({ method: 'GET', path: '/credentials', body: Buffer.alloc(0) }, shown, call);
        if (answer.status === 200) return 'accepted';
        return answer.status === 401 ? 'refused' : refuse(answer);
      },
      async retireOthers({ name, keep }, call) {
        const type = name === 'signing-key' ? 'key' : 'password';
        const answer = await tell('/credentials/retirements', { type, keep }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, CredentialsRetired);
      },
      async handOver(value, call) {
        const answer = await tell('/credentials/own', { password: value }, call);
        if (answer.status !== 200) refuse(answer);
        parseAnswer(answer, CredentialAdopted);
      },
    },
  };
}

/**
 * Whoever stands in front of the partner, or the partner before it knows who asks, cannot sign as agreed. Such an answer
 * is believed to be no answer at all, never to be a yes, nor a no to what was ordered.
 */
const mayComeUnsigned = ({ status }: HttpAnswer): boolean =>
  status === 401 || status === 403 || status === 429 || status >= 500;

const same = (a: Credentials, b: Credentials): boolean =>
  a.password === b.password && a.signing.keyId === b.signing.keyId && a.signing.key.equals(b.signing.key);

const misanswered = (): PartnerError => new PartnerError('PartnerMisanswered', 'The answer is about something else.');
