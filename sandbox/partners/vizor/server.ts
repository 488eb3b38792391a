import type { Express, Request } from 'express';
import { z } from 'zod';
import { invalidToken, ACCESS_TOKEN_S, type AccessTokens } from '../access-tokens';
import { Refusal, type Answer } from '../answer';
import type { CallLog } from '../call-log';
import type { CustodyStore } from '../custody-store';
import type { Effects } from '../effects';
import { asked, createExchange, jsonBody, mediaType, type Profile } from '../exchange';
import { faceFeatures, MODEL_VERSION } from '../face-features';
import type { Faults } from '../faults';
import { credentialHash, type KnownCredentials } from '../known-credentials';
import { UnreadablePhoto } from '../photo-quality';
import { clientSecretBasic, tokenForm, TokenRefusal } from '../token-request';

const BASE = '/api/v1';
const Id = z.string().min(1).max(200);
const Secret = z.string().min(32).max(200);
const AddedSecret = z.strictObject({ id: Id, secret: Secret });
const Retirement = z.strictObject({ keep: Id });
const OwnSecret = z.strictObject({ clientSecret: Secret });
const Opening = z.strictObject({ commandId: z.string().min(1).max(200), notAfter: z.iso.datetime() });

/** `vizor`: OAuth 2.0 client credentials; computes vectors and keeps nothing. */
export function vizorApp(deps: {
  readonly store: CustodyStore;
  readonly effects: Effects;
  readonly faults: Faults;
  readonly calls: CallLog;
  readonly credentials: KnownCredentials;
  readonly tokens: AccessTokens;
  /** Origin under which this port is called, also the issuer; no slash at the end. */
  readonly publicUrl: () => string;
  /** It has a new credential of its own at the company. */
  readonly adopted: () => void;
  readonly now: () => Date;
  readonly onUnexpected: (error: unknown) => void;
}): { app: Express; stop: () => void } {
  const { store, effects, credentials, tokens } = deps;

  const profile: Profile = {
    async authenticate(req) {
      const claims = await tokens.check(req.get('authorization'));
      if (!credentials.knowsClient(claims.client_id)) throw invalidToken();
    },
    errorBody: ({ code, reason }) => ({ error: { code, ...(reason === undefined ? {} : { reason }) } }),
    seal: (_req, answer) => Promise.resolve(answer),
  };
  const exchange = createExchange({ profile, ...deps });
  const app = exchange.createApp();

  app.get('/.well-known/oauth-authorization-server', (_req, res) => {
    const issuer = deps.publicUrl();
    res.json({
      issuer,
      token_endpoint: `${issuer}/oauth/token`,
      jwks_uri: `${issuer}/oauth/jwks`,
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
      response_types_supported: [],
    });
  });
  app.get('/oauth/jwks', (_req, res) => {
    res.json(tokens.jwks);
  });
  app.post(
    '/oauth/token',
    exchange.endpoint(
      'token',
      async ({ req, body }) => {
        try {
          const { clientId, secret } = clientSecretBasic(req);
          if (!credentials.secret(clientId, secret)) throw new TokenRefusal('invalid_client');
          const form = tokenForm(req, body);
          if (form.get('grant_type') !== 'client_credentials') throw new TokenRefusal('unsupported_grant_type');
          if (form.has('client_secret') || (form.get('client_id') ?? clientId) !== clientId)
            throw new TokenRefusal('invalid_request');
          const resource = form.get('resource');
          if (resource !== undefined && resource !== `${deps.publicUrl()}${BASE}`)
            throw new TokenRefusal('invalid_target');
          if (form.has('scope')) throw new TokenRefusal('invalid_scope');
          return ok({
            access_token: await tokens.issue({ sub: clientId, client_id: clientId }),
            token_type: 'Bearer',
            expires_in: ACCESS_TOKEN_S,
          });
        } catch (error) {
          if (!(error instanceof TokenRefusal)) throw error;
          const headers: Record<string, string> =
            error.status === 401 ? { 'www-authenticate': 'Basic realm="vizor"' } : {};
          return { status: error.status, body: { error: error.code }, headers };
        }
      },
      true,
    ),
  );
  app.post(
    `${BASE}/devices/:deviceId/open`,
    exchange.endpoint('open', (call) => {
      const deviceId = String(call.req.params['deviceId']);
      const opening = jsonBody(call, Opening);
      if (store.device(deviceId) === undefined) throw new Refusal(404, 'unknown_device');
      return effects.open(asked(call.req, opening), { deviceId, ...opening }, ({ result, at }) =>
        result === 'opened'
          ? ok({ commandId: opening.commandId, result, openedAt: at })
          : { status: 409, body: { error: { code: 'expired' } } },
      );
    }),
  );
  app.post(
    `${BASE}/face-vectors`,
    exchange.endpoint('face-vectors', async ({ req, body, bent }) => {
      if (mediaType(req) !== 'image/jpeg') throw new Refusal(415, 'unsupported_media_type');
      const features = await faceFeatures(body).catch((error: unknown) => {
        throw error instanceof UnreadablePhoto ? new Refusal(400, 'photo_unreadable') : error;
      });
      const reason = bent.refusePhoto ?? (features.ok ? undefined : features.reason);
      if (reason !== undefined || !features.ok)
        throw new Refusal(422, 'quality', reason === undefined ? {} : { reason });
      return ok({ vector: features.vector, modelVersion: MODEL_VERSION });
    }),
  );
  app.get(
    `${BASE}/houses/:houseId/devices`,
    exchange.endpoint('equipment', ({ req }) => {
      const house = store.houses().find(({ id }) => id === req.params['houseId']);
      if (house === undefined) throw new Refusal(404, 'unknown_house');
      return ok({
        items: house.devices.map(({ id, kind, name, online }) => ({
          id,
          kind,
          name,
          status: online ? 'online' : 'offline',
        })),
      });
    }),
  );
  const clientOf = async (req: Request): Promise<string> => (await tokens.check(req.get('authorization'))).client_id;
  app.post(
    `${BASE}/client-secrets`,
    exchange.endpoint('credentials', async (call) => {
      const added = jsonBody(call, AddedSecret);
      const clientId = await clientOf(call.req);
      const hash = credentialHash(clientId, added.secret).toString('hex');
      const credential = { type: 'secret', clientId, hash } as const;
      return effects.addCredential(
        asked(call.req, added),
        { id: added.id, credential },
        () => credentials.isFree(added.id),
        () => ok({ id: added.id, status: 'accepted' }),
      );
    }),
  );
  app.post(
    `${BASE}/client-secrets/retirements`,
    exchange.endpoint('credentials', async (call) => {
      const retirement = jsonBody(call, Retirement);
      const others = credentials.othersThan(retirement.keep, 'secret', await clientOf(call.req));
      if (others === undefined) throw new Refusal(404, 'unknown_secret');
      return effects.retireCredentials(asked(call.req, retirement), others, () => ok({ status: 'retired' }));
    }),
  );
  app.post(
    `${BASE}/own-credentials`,
    exchange.endpoint('credentials', async (call) => {
      const own = jsonBody(call, OwnSecret);
      const taken = { name: 'clientSecret', value: own.clientSecret } as const;
      const answer = await effects.takeOwnCredential(asked(call.req, own), taken, () => ok({ status: 'adopted' }));
      deps.adopted();
      return answer;
    }),
  );
  exchange.closeWith(app);
  return { app, stop: exchange.stop };
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}
