import { X509Certificate } from 'node:crypto';
import type { Express, Request } from 'express';
import { z } from 'zod';
import { controlInput, ControlRefusal, createControlApp, pathParameter } from '../control-port';
import { TAMPERINGS, type CompanyCall } from './company-client';
import { EFFECTS, House, Settings, type LedgerEntry } from './custody';
import { deviceRoutes } from './devices';
import { NewFault } from './faults';
import { credentialHash } from './known-credentials';
import { PARTNERS, type Partner, type PartnerName } from './partner';
import { PHOTO_REASONS } from './photo-quality';
import type { PartnersConfig } from './config';
import { deliverLogExports, LogExportWish } from './log-exports';
import { thumbprintOf } from './shlagbaum/client-certificate';
import { privateKey, publicKey } from './signing-key';

const LedgerQuery = z.strictObject({
  partner: z.enum(PARTNERS).optional(),
  kind: z.enum(EFFECTS).optional(),
  key: z.string().optional(),
  deviceId: z.string().optional(),
});
const EnrollmentResult = z
  .strictObject({
    houseId: z.string().optional(),
    state: z.enum(['active', 'rejected']),
    reason: z.enum(PHOTO_REASONS).optional(),
  })
  .refine(({ state, reason }) => (state === 'rejected') === (reason !== undefined), {
    path: ['reason'],
    message: 'comes with rejected, and only with it',
  });
const Equipment = z.strictObject({ houses: z.array(House) });
const SettingsChange = Settings.partial();
const Text = z.string().min(1).max(10_000);
const NewCredential = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('password'), id: Text, username: Text, password: Text }),
  z.strictObject({ type: z.literal('secret'), id: Text, clientId: Text, secret: Text }),
  z.strictObject({ type: z.literal('key'), id: Text, keyid: Text, publicKey: Text }),
  z.strictObject({ type: z.literal('certificate'), id: Text, clientId: Text, certificate: Text }),
]);
const OWN_CREDENTIALS = ['username', 'password', 'clientId', 'clientSecret', 'signingKeyId', 'signingKey'] as const;
const OwnCredentials = z.partialRecord(z.enum(OWN_CREDENTIALS), Text);
const RawCall = z.strictObject({
  method: z.enum(['GET', 'POST']).default('POST'),
  path: z.string().regex(/^\/[\x21-\x7e]*$/),
  body: z.unknown().optional(),
  idempotencyKey: z.string().optional(),
  tampering: z.enum(TAMPERINGS).optional(),
  attempts: z.int().min(1).max(5).default(1),
});

/** The control port of the partner simulator; sandbox/README.md describes it. */
export function partnersControl(
  partners: Readonly<Record<PartnerName, Partner>>,
  logExportKeys: PartnersConfig['logExportKeys'],
): Express {
  const app = createControlApp();
  const partnerOf = (req: Request): Partner => {
    const name = z.enum(PARTNERS).safeParse(pathParameter(req, 'partner'));
    if (!name.success) throw new ControlRefusal(404, 'unknown_partner', `Partners are ${PARTNERS.join(', ')}.`);
    return partners[name.data];
  };
  const all = Object.values(partners);

  app.get('/health/ready', (_req, res) => {
    res.json({ ready: true, partners: Object.fromEntries(all.map(({ name, url }) => [name, url])) });
  });

  deviceRoutes(app, partnerOf);

  app.post('/partners/:partner/log-exports', async (req, res) => {
    const partner = partnerOf(req);
    const key = logExportKeys?.[partner.name];
    if (key === undefined) throw new ControlRefusal(409, 'not_configured', 'This partner has no key for log exports.');
    const how = controlInput(LogExportWish, req.body);
    res.json({ delivered: await deliverLogExports(partner, privateKey(key, 'the key for log exports'), how) });
  });

  app.get('/ledger', async (req, res) => {
    const wanted = controlInput(LedgerQuery, req.query);
    await Promise.all(all.map(({ store }) => store.settled()));
    res.json({
      entries: all
        .filter(({ name }) => (wanted.partner ?? name) === name)
        .flatMap(({ name, store }) => [...store.ledger.values()].map((entry) => shownEntry(name, entry)))
        .filter(
          ({ kind, key, deviceId }) =>
            (wanted.kind ?? kind) === kind && (wanted.key ?? key) === key && (wanted.deviceId ?? deviceId) === deviceId,
        ),
    });
  });

  app.get('/partners/:partner/holdings', async (req, res) => {
    const { store } = partnerOf(req);
    await store.settled();
    const plates = store.plates();
    res.json({
      faces: store.faces().map(({ clientId, houseId, state, reason, vector, photoSha256, since, keptSecretly }) => ({
        clientId,
        houseId,
        state,
        reason,
        since,
        photoSha256,
        hasVector: vector !== null,
        keptSecretly,
      })),
      plates: {
        count: plates.length,
        held: plates.map(({ plate, houseId, keptSecretly }) => ({ plate, houseId, keptSecretly })),
      },
    });
  });

  app.get('/partners/:partner/equipment', (req, res) => {
    res.json({ houses: partnerOf(req).store.houses() });
  });
  app.put('/partners/:partner/equipment', async (req, res) => {
    const { store } = partnerOf(req);
    const { houses } = controlInput(Equipment, req.body);
    const ids = houses.flatMap(({ devices }) => devices.map(({ id }) => id));
    if (new Set(ids).size < ids.length) throw new ControlRefusal(400, 'input', 'Two devices have one id.');
    await store.commit([{ record: 'houses', houses }]);
    res.json({ houses: store.houses() });
  });

  app.get('/partners/:partner/settings', (req, res) => {
    res.json(partnerOf(req).store.settings());
  });
  app.patch('/partners/:partner/settings', async (req, res) => {
    const { store } = partnerOf(req);
    const settings = Settings.parse({ ...store.settings(), ...controlInput(SettingsChange, req.body) });
    await store.commit([{ record: 'settings', settings }]);
    res.json(store.settings());
  });

  app.post('/partners/:partner/enrollments/:clientId/result', async (req, res) => {
    const partner = partnerOf(req);
    const { houseId, state, reason } = controlInput(EnrollmentResult, req.body);
    const face = await partner.effects.endEnrollment(pathParameter(req, 'clientId'), {
      ...(houseId === undefined ? {} : { houseId }),
      state,
      reason: reason ?? null,
    });
    if (face === undefined) throw new ControlRefusal(404, 'unknown_enrollment', 'This partner has no such enrollment.');
    res.json({ clientId: face.clientId, houseId: face.houseId, state: face.state, reason: face.reason });
  });

  faultRoutes(app, partnerOf);

  app.get('/partners/:partner/calls', (req, res) => {
    res.json({ calls: partnerOf(req).calls.list() });
  });
  app.delete('/partners/:partner/calls', (req, res) => {
    partnerOf(req).calls.clear();
    res.status(204).end();
  });

  app.get('/partners/:partner/outbox', async (req, res) => {
    const { store } = partnerOf(req);
    await store.settled();
    res.json({ events: [...store.events.values()] });
  });
  app.post('/partners/:partner/outbox/retries', async (req, res) => {
    res.json({ taken: await partnerOf(req).outbox.retryGivenUp() });
  });

  app.get('/partners/:partner/credentials', (req, res) => {
    res.json({ accepted: partnerOf(req).credentials.list() });
  });
  app.post('/partners/:partner/credentials', async (req, res) => {
    const { store, credentials } = partnerOf(req);
    const change = controlInput(NewCredential, req.body);
    if (credentials.list().some(({ id }) => id === change.id))
      throw new ControlRefusal(409, 'id', 'A credential of this id is accepted already.');
    await store.commit([
      { record: 'credential', credential: { change: 'add', id: change.id, credential: kept(change) } },
    ]);
    res.status(201).json({ accepted: credentials.list() });
  });
  app.delete('/partners/:partner/credentials/:id', async (req, res) => {
    const { store, credentials } = partnerOf(req);
    const id = pathParameter(req, 'id');
    if (!credentials.list().some((each) => each.id === id))
      throw new ControlRefusal(404, 'unknown_credential', 'No credential of this id is accepted.');
    await store.commit([{ record: 'credential', credential: { change: 'retire', id } }]);
    res.json({ accepted: credentials.list() });
  });
  app.get('/partners/:partner/own-credentials', (req, res) => {
    res.json(partnerOf(req).usedAtCompany());
  });
  app.put('/partners/:partner/own-credentials', (req, res) => {
    partnerOf(req).useAtCompany(controlInput(OwnCredentials, req.body));
    res.status(204).end();
  });

  app.delete('/partners/:partner/access-tokens', (req, res) => {
    const { revokeTokens } = partnerOf(req);
    if (revokeTokens === null) throw new ControlRefusal(409, 'no_tokens', 'This partner gives no access tokens.');
    res.json({ revoked: revokeTokens() });
  });
  app.delete('/partners/:partner/logins', async (req, res) => {
    const { endLogins } = partnerOf(req);
    if (endLogins === null) throw new ControlRefusal(409, 'no_logins', 'Nobody logs in at this partner.');
    res.json({ ended: await endLogins() });
  });

  app.post('/partners/:partner/company-calls', async (req, res) => {
    const { tampering, attempts, idempotencyKey, ...call } = controlInput(RawCall, req.body);
    const made: CompanyCall = { ...call, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
    res.json(await partnerOf(req).company.call(made, { attempts, ...(tampering === undefined ? {} : { tampering }) }));
  });

  return app;
}

function faultRoutes(app: Express, partnerOf: (req: Request) => Partner): void {
  const heal = (partner: Partner) => {
    if (!partner.faults.list().some(({ fault }) => fault === 'expired-certificate')) partner.presentExpired(false);
  };
  app.get('/partners/:partner/faults', (req, res) => {
    res.json({ faults: partnerOf(req).faults.list() });
  });
  app.post('/partners/:partner/faults', (req, res) => {
    const partner = partnerOf(req);
    const fault = controlInput(NewFault, req.body);
    if (fault.fault === 'expired-certificate' && !partner.presentExpired(true))
      throw new ControlRefusal(409, 'not_configured', 'No expired certificate is configured for this partner.');
    res.status(201).json(partner.faults.add(fault));
  });
  app.delete('/partners/:partner/faults', (req, res) => {
    const partner = partnerOf(req);
    res.json({ removed: partner.faults.clear().length });
    heal(partner);
  });
  app.delete('/partners/:partner/faults/:id', (req, res) => {
    const partner = partnerOf(req);
    const removed = partner.faults.remove(pathParameter(req, 'id'));
    if (removed === undefined) throw new ControlRefusal(404, 'unknown_fault', 'There is no such fault.');
    res.json(removed);
    heal(partner);
  });
}

/** Only the hash of a secret is kept. */
function kept(change: z.infer<typeof NewCredential>) {
  switch (change.type) {
    case 'password':
      return {
        type: change.type,
        username: change.username,
        hash: credentialHash(change.username, change.password).toString('hex'),
      };
    case 'secret':
      return {
        type: change.type,
        clientId: change.clientId,
        hash: credentialHash(change.clientId, change.secret).toString('hex'),
      };
    case 'certificate':
      try {
        const thumbprint = thumbprintOf(new X509Certificate(change.certificate));
        return { type: change.type, clientId: change.clientId, thumbprint };
      } catch {
        throw new ControlRefusal(400, 'input', 'certificate: is not a certificate in PEM form');
      }
    case 'key':
      try {
        publicKey(change.publicKey, 'the public key');
      } catch {
        throw new ControlRefusal(400, 'input', 'publicKey: is not an Ed25519 public key in PEM or JWK form');
      }
      return { type: change.type, keyid: change.keyid, publicKey: change.publicKey };
  }
}

function shownEntry(partner: PartnerName, { fingerprint: _fingerprint, ...entry }: LedgerEntry) {
  return { partner, ...entry };
}
