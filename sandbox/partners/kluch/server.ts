import type { Express, Request } from 'express';
import { z } from 'zod';
import { Refusal, type Answer } from '../answer';
import type { CallLog } from '../call-log';
import type { CustodyStore } from '../custody-store';
import type { AddedCredential, Effects } from '../effects';
import { asked, createExchange, digest, jsonBody, PhotoBase64, type Profile } from '../exchange';
import type { Faults } from '../faults';
import { credentialHash, type KnownCredentials } from '../known-credentials';
import { publicKey } from '../signing-key';
import { basicPair } from '../token-request';
import type { Nonces } from './nonces';
import { signAnswer, verifyRequest, type SignedRequest, type SigningKey } from './signatures';

const BASE = '/smart-home/v1';
const Id = z.string().min(1).max(200);
const Password = z.string().min(32).max(200);
const Added = z.discriminatedUnion('type', [
  z.strictObject({ credential_id: Id, type: z.literal('password'), password: Password }),
  z.strictObject({ credential_id: Id, type: z.literal('key'), public_key: z.string().min(1).max(1_000) }),
]);
const Retirement = z.strictObject({ type: z.enum(['password', 'key']), keep: Id });
const Own = z.strictObject({ password: Password });
const NotAfter = z.iso.datetime();
const Command = z.strictObject({ command_id: Id, device_id: Id, action: z.literal('open'), not_after: NotAfter });
const FaceSubject = z.strictObject({ client_id: Id, house_id: Id });
const Face = z.strictObject({ client_id: Id, house_id: Id, photo: PhotoBase64 });
const Plate = z.strictObject({ plate: z.string().min(1).max(20), house_id: Id });

/** `kluch`: HTTP Basic and signed messages, faces and plates in its own custody. */
export function kluchApp(deps: {
  readonly store: CustodyStore;
  readonly effects: Effects;
  readonly faults: Faults;
  readonly calls: CallLog;
  readonly credentials: KnownCredentials;
  readonly nonces: Nonces;
  readonly signing: () => SigningKey;
  /** A key nobody knows, for the fault `wrong-signature`. */
  readonly wrongKey: SigningKey;
  /** `host:port` forms under which this port is called. */
  readonly authorities: () => readonly string[];
  /** It has a new credential of its own at the company. */
  readonly adopted: () => void;
  readonly now: () => Date;
  readonly onUnexpected: (error: unknown) => void;
}): { app: Express; stop: () => void } {
  const { store, effects, credentials } = deps;
  const nonceOf = new WeakMap<Request, string>();

  const profile: Profile = {
    async authenticate(req, body) {
      const basic = basicPair(req.get('authorization'));
      if (basic === undefined || !credentials.password(basic.user, basic.password))
        throw new Refusal(401, 'credentials', { headers: { 'www-authenticate': 'Basic realm="kluch", Signature' } });
      if (!deps.authorities().includes(req.get('host') ?? '')) throw new Refusal(421, 'authority');
      const { nonce } = await verifyRequest(signedRequest(req, body), {
        now: deps.now(),
        keyOf: (keyid) => credentials.key(keyid),
        useNonce: (keyid, nonce, until) => deps.nonces.use(keyid, nonce, until),
      });
      nonceOf.set(req, nonce);
    },
    errorBody: ({ code, reason }) => ({ error: code, ...(reason === undefined ? {} : { reason }) }),
    async seal(req, answer, signature) {
      if (signature === 'none') return answer;
      const headers = await signAnswer(
        { status: answer.status, contentType: answer.headers['content-type'] ?? '', body: answer.body },
        signedRequest(req, Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0)),
        signature === 'wrong' ? deps.wrongKey : deps.signing(),
        deps.now(),
        nonceOf.get(req),
      );
      return { ...answer, headers: { ...answer.headers, ...headers } };
    },
  };
  const exchange = createExchange({ profile, ...deps });
  const app = exchange.createApp();

  app.post(
    `${BASE}/commands`,
    exchange.endpoint('open', (call) => {
      const command = jsonBody(call, Command);
      if (store.device(command.device_id) === undefined) throw new Refusal(404, 'unknown_device');
      return effects.open(
        asked(call.req, command),
        { commandId: command.command_id, deviceId: command.device_id, notAfter: command.not_after },
        ({ result, at }) => ok({ command_id: command.command_id, state: result === 'opened' ? 'done' : 'expired', at }),
      );
    }),
  );
  app.post(
    `${BASE}/faces`,
    exchange.endpoint('faces', (call) => {
      const { client_id: clientId, house_id: houseId, photo } = jsonBody(call, Face);
      requireHouse(houseId);
      return effects.enroll(
        asked(call.req, [clientId, houseId, digest(photo)]),
        { clientId, houseId, photo },
        call.bent,
        () => ({
          status: 202,
          body: { client_id: clientId, state: 'processing' },
        }),
      );
    }),
  );
  app.post(
    `${BASE}/faces/state`,
    exchange.endpoint('face-state', (call) => {
      const subject = jsonBody(call, FaceSubject);
      const { state, reason } = effects.faceStanding(subject.client_id, subject.house_id);
      // While it is being deleted it is still there: the contract has no state of its own for that.
      return ok({ state: state === 'deleting' ? 'active' : state, ...(reason === null ? {} : { reason }) });
    }),
  );
  app.post(
    `${BASE}/faces/deletions`,
    exchange.endpoint('face-deletions', (call) => {
      const subject = jsonBody(call, FaceSubject);
      return effects.deleteFace(
        asked(call.req, subject),
        { clientId: subject.client_id, houseId: subject.house_id },
        call.bent,
        (said) => (said.state === 'deleted' ? ok(said) : { status: 202, body: said }),
      );
    }),
  );
  app.post(
    `${BASE}/plates`,
    exchange.endpoint('plates', (call) => {
      const { plate, house_id: houseId } = jsonBody(call, Plate);
      requireHouse(houseId);
      return effects.allowPlate(asked(call.req, [plate, houseId]), { plate, houseId }, () => ok({ state: 'allowed' }));
    }),
  );
  app.post(
    `${BASE}/plates/deletions`,
    exchange.endpoint('plates', (call) => {
      const { plate, house_id: houseId } = jsonBody(call, Plate);
      return effects.blockPlate(asked(call.req, [plate, houseId]), { plate, houseId }, call.bent, () =>
        ok({ state: 'deleted' }),
      );
    }),
  );
  app.post(
    `${BASE}/plates/state`,
    exchange.endpoint('plate-state', (call) => {
      const { plate, house_id: houseId } = jsonBody(call, Plate);
      return ok({ state: effects.isPlateAllowed(plate, houseId) ? 'allowed' : 'unknown' });
    }),
  );
  app.get(
    `${BASE}/houses/:houseId/devices`,
    exchange.endpoint('equipment', ({ req }) => {
      const house = requireHouse(req.params['houseId']);
      return ok({
        devices: house.devices.map(({ id, kind, name, online }) => ({ device_id: id, kind, title: name, online })),
      });
    }),
  );
  app.get(
    `${BASE}/credentials`,
    exchange.endpoint('credentials', () => ok({ state: 'accepted' })),
  );
  app.post(
    `${BASE}/credentials`,
    exchange.endpoint('credentials', (call) => {
      const added = jsonBody(call, Added);
      const id = added.credential_id;
      return effects.addCredential(
        asked(call.req, added),
        { id, credential: credentialOf(added, userOf(call.req)) },
        () => credentials.isFree(id),
        () => ok({ credential_id: id, state: 'accepted' }),
      );
    }),
  );
  app.post(
    `${BASE}/credentials/retirements`,
    exchange.endpoint('credentials', (call) => {
      const retirement = jsonBody(call, Retirement);
      const name = retirement.type === 'password' ? userOf(call.req) : undefined;
      const others = credentials.othersThan(retirement.keep, retirement.type, name);
      if (others === undefined) throw new Refusal(404, 'unknown_credential');
      return effects.retireCredentials(asked(call.req, retirement), others, () => ok({ state: 'retired' }));
    }),
  );
  app.post(
    `${BASE}/credentials/own`,
    exchange.endpoint('credentials', async (call) => {
      const own = jsonBody(call, Own);
      const taken = { name: 'password', value: own.password } as const;
      const answer = await effects.takeOwnCredential(asked(call.req, own), taken, () => ok({ state: 'adopted' }));
      deps.adopted();
      return answer;
    }),
  );
  exchange.closeWith(app);
  return { app, stop: exchange.stop };

  function requireHouse(houseId: unknown) {
    const house = store.houses().find(({ id }) => id === houseId);
    if (house === undefined) throw new Refusal(404, 'unknown_house');
    return house;
  }
}

const userOf = (req: Request): string => basicPair(req.get('authorization'))?.user ?? '';

function credentialOf(added: z.infer<typeof Added>, username: string): AddedCredential['credential'] {
  if (added.type === 'key') {
    try {
      publicKey(added.public_key, 'the public key');
    } catch {
      throw new Refusal(400, 'invalid_body');
    }
    return { type: 'key', keyid: added.credential_id, publicKey: added.public_key };
  }
  return { type: 'password', username, hash: credentialHash(username, added.password).toString('hex') };
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

/** The request as it came: header occurrences in order, and the target as the client wrote it. */
function signedRequest(req: Request, body: Buffer): SignedRequest {
  const { rawHeaders } = req;
  return {
    method: req.method,
    url: `https://${req.get('host') ?? ''}${req.originalUrl}`,
    headers: Array.from({ length: rawHeaders.length / 2 }, (_, index) => [
      rawHeaders[2 * index] ?? '',
      rawHeaders[2 * index + 1] ?? '',
    ]),
    body,
  };
}
