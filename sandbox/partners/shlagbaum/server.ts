import type { Express, Request } from 'express';
import { z } from 'zod';
import { ACCESS_TOKEN_S, invalidToken, type AccessTokens } from '../access-tokens';
import { Refusal, type Answer } from '../answer';
import type { CallLog } from '../call-log';
import type { CustodyStore } from '../custody-store';
import type { Effects } from '../effects';
import { asked, createExchange, digest, jsonBody, PhotoBase64, type Profile } from '../exchange';
import type { Faults } from '../faults';
import { credentialHash, type KnownCredentials } from '../known-credentials';
import { tokenForm, TokenRefusal } from '../token-request';
import { clientCertificate, type ClientCertificate } from './client-certificate';
import { issueCertificate } from './certificate-authority';
import type { Logins } from './logins';

const BASE = '/v1';
const Id = z.string().min(1).max(200);
const Opening = z.strictObject({ requestId: Id, notAfter: z.iso.datetime() });
const Face = z.strictObject({ userId: Id, photo: PhotoBase64 });
const FaceSubject = z.strictObject({ userId: Id });
const AddedPassword = z.strictObject({ id: Id, password: z.string().min(32).max(200) });
const CertificateRequest = z.strictObject({ id: Id, csr: z.string().min(1).max(10_000) });
const Removal = z.strictObject({ keep: Id });
const Plate = z.strictObject({ plate: z.string().min(1).max(20) });

const SCOPES = ['openid', 'offline_access'];

const FACE_STATUS = {
  processing: 'PENDING',
  active: 'ACTIVE',
  // While it is being deleted it is still there: the contract has no status of its own for that.
  deleting: 'ACTIVE',
  rejected: 'REJECTED',
  deleted: 'DELETED',
  unknown: 'NONE',
} as const;

/** One sentence per code, for people. */
const MESSAGES: Readonly<Record<string, string>> = {
  EXPIRED: 'The time given for the command has passed.',
  PHOTO: 'The photo cannot be used.',
  NOT_FOUND: 'There is no such thing here.',
  INVALID_TOKEN: 'The access token is not accepted.',
  THROTTLED: 'Too many requests.',
};

/** `shlagbaum`: mutual TLS and OIDC, faces and plates in its own custody. */
export function shlagbaumApp(deps: {
  readonly store: CustodyStore;
  readonly effects: Effects;
  readonly faults: Faults;
  readonly calls: CallLog;
  readonly credentials: KnownCredentials;
  readonly tokens: AccessTokens;
  readonly logins: Logins;
  /** The company's client here and the dNSName its certificate must bear. */
  readonly client: { readonly clientId: string; readonly sanDns: string };
  /** Issues the company's next certificates. */
  readonly authority: { readonly cert: string; readonly key: string } | undefined;
  readonly publicUrl: () => string;
  readonly now: () => Date;
  readonly onUnexpected: (error: unknown) => void;
}): { app: Express; stop: () => void } {
  const { store, effects, tokens, logins, client } = deps;

  function requireCertificate(req: Request): ClientCertificate {
    const certificate = clientCertificate(req);
    if (certificate?.isFor(client.sanDns) !== true) throw new Refusal(403, 'certificate');
    if (!deps.credentials.certificate(certificate.thumbprint)) throw new Refusal(403, 'certificate');
    return certificate;
  }

  const profile: Profile = {
    async authenticate(req) {
      const certificate = requireCertificate(req);
      const claims = await tokens.check(req.get('authorization'));
      const bound = claims.cnf?.['x5t#S256'] === certificate.thumbprint;
      const alive = claims.sid === undefined || logins.isAlive(claims.sid);
      if (!bound || !alive || claims.client_id !== client.clientId) throw invalidToken();
    },
    errorBody: ({ code, reason }) => {
      const upper = code.toUpperCase();
      return {
        code: upper,
        message: MESSAGES[upper] ?? 'The request was refused.',
        ...(reason === undefined ? {} : { reason }),
      };
    },
    seal: (_req, answer) => Promise.resolve(answer),
  };
  const exchange = createExchange({ profile, ...deps });
  const app = exchange.createApp();

  const issuer = () => `${deps.publicUrl()}/oidc`;
  app.get('/oidc/.well-known/openid-configuration', (_req, res) => {
    res.json({
      issuer: issuer(),
      token_endpoint: `${issuer()}/token`,
      jwks_uri: `${issuer()}/jwks`,
      grant_types_supported: ['password', 'client_credentials', 'refresh_token'],
      token_endpoint_auth_methods_supported: ['tls_client_auth'],
      tls_client_certificate_bound_access_tokens: true,
      scopes_supported: SCOPES,
      response_types_supported: [],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['EdDSA'],
    });
  });
  app.get('/oidc/jwks', (_req, res) => {
    res.json(tokens.jwks);
  });
  app.post(
    '/oidc/token',
    exchange.endpoint(
      'token',
      async ({ req, body }) => {
        try {
          return ok(await token(requireCertificate(req), tokenForm(req, body)));
        } catch (error) {
          if (error instanceof TokenRefusal) return { status: error.status, body: { error: error.code } };
          if (error instanceof Refusal) return { status: 401, body: { error: 'invalid_client' } };
          throw error;
        }
      },
      true,
    ),
  );

  async function token({ thumbprint }: ClientCertificate, form: ReadonlyMap<string, string>): Promise<unknown> {
    const { clientId } = client;
    if (form.get('client_id') !== clientId) throw new TokenRefusal('invalid_client');
    if (form.has('client_secret')) throw new TokenRefusal('invalid_request');
    const resource = form.get('resource');
    if (resource !== undefined && resource !== `${deps.publicUrl()}${BASE}`) throw new TokenRefusal('invalid_target');
    const scopes = (form.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
    if (!scopes.every((scope) => SCOPES.includes(scope))) throw new TokenRefusal('invalid_scope');
    const bound = { client_id: clientId, cnf: { 'x5t#S256': thumbprint } };
    const answer = { token_type: 'Bearer', expires_in: ACCESS_TOKEN_S };
    // A login gives a refresh token whether or not `offline_access` was asked for: the contract has it so.
    const identity = async (sub: string) => ({
      ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
      ...(scopes.includes('openid') ? { id_token: await tokens.idToken(clientId, sub) } : {}),
    });

    switch (form.get('grant_type')) {
      case 'client_credentials':
        return { access_token: await tokens.issue({ sub: clientId, ...bound }), ...answer };
      case 'password': {
        const username = form.get('username') ?? '';
        if (!deps.credentials.password(username, form.get('password') ?? '')) throw new TokenRefusal('invalid_grant');
        const { familyId, refreshToken } = await logins.begin(username, thumbprint);
        return {
          access_token: await tokens.issue({ sub: username, sid: familyId, ...bound }),
          refresh_token: refreshToken,
          ...answer,
          ...(await identity(username)),
        };
      }
      case 'refresh_token': {
        const { family, refreshToken } = await logins.refresh(form.get('refresh_token') ?? '', thumbprint);
        return {
          access_token: await tokens.issue({ sub: family.username, sid: family.familyId, ...bound }),
          refresh_token: refreshToken,
          ...answer,
          ...(await identity(family.username)),
        };
      }
      default:
        throw new TokenRefusal('unsupported_grant_type');
    }
  }

  for (const kind of ['door', 'barrier'] as const)
    app.post(
      `${BASE}/${kind}s/:id/open`,
      exchange.endpoint('open', (call) => {
        const deviceId = String(call.req.params['id']);
        const opening = jsonBody(call, Opening);
        if (store.device(deviceId)?.device.kind !== kind) throw new Refusal(404, 'not_found');
        const command = { commandId: opening.requestId, deviceId, notAfter: opening.notAfter };
        return effects.open(asked(call.req, opening), command, ({ result, at }) =>
          result === 'opened'
            ? ok({ requestId: opening.requestId, status: 'OPENED', at })
            : { status: 410, body: profile.errorBody(new Refusal(410, 'expired')) },
        );
      }),
    );
  app.post(
    `${BASE}/houses/:houseId/faces`,
    exchange.endpoint('faces', (call) => {
      const houseId = requireHouse(call.req).id;
      const { userId, photo } = jsonBody(call, Face);
      return effects.enroll(
        asked(call.req, [userId, digest(photo)]),
        { clientId: userId, houseId, photo },
        call.bent,
        () => ({
          status: 202,
          body: { userId, status: 'PENDING' },
        }),
      );
    }),
  );
  app.post(
    `${BASE}/houses/:houseId/faces/status`,
    exchange.endpoint('face-state', (call) => {
      const { userId } = jsonBody(call, FaceSubject);
      const { state, reason } = effects.faceStanding(userId, String(call.req.params['houseId']));
      return ok({ status: FACE_STATUS[state], ...(reason === null ? {} : { reason }) });
    }),
  );
  app.post(
    `${BASE}/houses/:houseId/faces/removal`,
    exchange.endpoint('face-deletions', (call) => {
      const subject = jsonBody(call, FaceSubject);
      const face = { clientId: subject.userId, houseId: String(call.req.params['houseId']) };
      return effects.deleteFace(asked(call.req, subject), face, call.bent, (said) =>
        said.state === 'deleted'
          ? ok({ status: 'DELETED', at: said.at })
          : { status: 202, body: { status: 'DELETING' } },
      );
    }),
  );
  app.post(
    `${BASE}/houses/:houseId/plates`,
    exchange.endpoint('plates', (call) => {
      const houseId = requireHouse(call.req).id;
      const body = jsonBody(call, Plate);
      return effects.allowPlate(asked(call.req, body), { ...body, houseId }, () => ok({ status: 'ALLOWED' }));
    }),
  );
  app.post(
    `${BASE}/houses/:houseId/plates/removal`,
    exchange.endpoint('plates', (call) => {
      const body = jsonBody(call, Plate);
      const plate = { ...body, houseId: String(call.req.params['houseId']) };
      return effects.blockPlate(asked(call.req, body), plate, call.bent, () => ok({ status: 'REMOVED' }));
    }),
  );
  app.post(
    `${BASE}/houses/:houseId/plates/status`,
    exchange.endpoint('plate-state', (call) => {
      const { plate } = jsonBody(call, Plate);
      const isAllowed = effects.isPlateAllowed(plate, String(call.req.params['houseId']));
      return ok({ status: isAllowed ? 'ALLOWED' : 'NONE' });
    }),
  );
  app.get(
    `${BASE}/houses/:houseId/equipment`,
    exchange.endpoint('equipment', ({ req }) =>
      ok({
        equipment: requireHouse(req).devices.map(({ id, kind, name, online }) => ({
          id,
          type: kind.toUpperCase(),
          label: name,
          active: online,
        })),
      }),
    ),
  );
  /** The technical account that is logged in; a client without one has no password to change. */
  const accountOf = async (req: Request): Promise<string> => {
    const { sub } = await tokens.check(req.get('authorization'));
    if (!deps.credentials.list().some(({ type, name }) => type === 'password' && name === sub))
      throw new Refusal(404, 'not_found');
    return sub;
  };
  app.post(
    `${BASE}/account/passwords`,
    exchange.endpoint('credentials', async (call) => {
      const added = jsonBody(call, AddedPassword);
      const username = await accountOf(call.req);
      const hash = credentialHash(username, added.password).toString('hex');
      const credential = { type: 'password', username, hash } as const;
      return effects.addCredential(
        asked(call.req, added),
        { id: added.id, credential },
        () => deps.credentials.isFree(added.id),
        () => ok({ id: added.id, status: 'ACCEPTED' }),
      );
    }),
  );
  app.post(
    `${BASE}/account/passwords/removal`,
    exchange.endpoint('credentials', async (call) => {
      const removal = jsonBody(call, Removal);
      const others = deps.credentials.othersThan(removal.keep, 'password', await accountOf(call.req));
      if (others === undefined) throw new Refusal(404, 'not_found');
      const answer = await effects.retireCredentials(asked(call.req, removal), others, () => ok({ status: 'REMOVED' }));
      // What was begun with a password that is gone does not go on.
      await logins.endAll();
      return answer;
    }),
  );
  app.post(
    `${BASE}/account/certificates`,
    exchange.endpoint('credentials', async (call) => {
      const wanted = jsonBody(call, CertificateRequest);
      if (deps.authority === undefined) throw new Refusal(404, 'not_found');
      const issued = await issueCertificate(wanted.csr, client.sanDns, deps.authority, deps.now());
      if (issued === undefined) throw new Refusal(422, 'request');
      const credential = { type: 'certificate', clientId: client.clientId, thumbprint: issued.thumbprint } as const;
      return effects.addCredential(
        asked(call.req, wanted),
        { id: wanted.id, credential },
        () => deps.credentials.isFree(wanted.id),
        () => ok({ id: wanted.id, status: 'ISSUED', certificate: issued.pem }),
      );
    }),
  );
  app.post(
    `${BASE}/account/certificates/removal`,
    exchange.endpoint('credentials', (call) => {
      const removal = jsonBody(call, Removal);
      const others = deps.credentials.othersThan(removal.keep, 'certificate');
      if (others === undefined) throw new Refusal(404, 'not_found');
      return effects.retireCredentials(asked(call.req, removal), others, () => ok({ status: 'REMOVED' }));
    }),
  );
  exchange.closeWith(app);
  return { app, stop: exchange.stop };

  function requireHouse(req: Request) {
    const house = store.houses().find(({ id }) => id === req.params['houseId']);
    if (house === undefined) throw new Refusal(404, 'not_found');
    return house;
  }
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}
