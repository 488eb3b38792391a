import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';
import { compactDecrypt, createLocalJWKSet, importJWK, jwtVerify, type JSONWebKeySet } from 'jose';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { Agent, request } from 'undici';
import { MESSAGE_SIGNING_KEY, TOKEN_SIGNING_KEY, type CredentialRef } from '../../contracts/credentials';
import { signRequest, verifyResponse } from '../../partners/message-signature';
import { createAppBackend, type AppBackend } from '../../stack/story/app-backend';
import { createClient } from '../../stack/story/http';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS } from '../../stack/town';
import { credentialAnnounced } from '../../workflows/credential-rotation/messages';
import {
  CERTIFICATE,
  CREDENTIALS as PARTNERS_CREDENTIALS,
  credentialsOf,
  ISSUED,
  MESSAGE_KEY,
  objectIdOf,
  PRESENTED,
  rotationOf,
  type CredentialsOf,
} from '../support/credentials';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { firstCertificate, nextCertificate, presenting, type Presented, type Presenting } from '../support/presenting';
import { staffMember, type StaffCaller } from '../support/staff';
import { newAppToken, signerOf } from '../support/tokens';
import { until } from '../support/until';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const OVERLAP_MS = DAY_MS;
/** The harness publishes a key of ours for so long before it signs. */
const OWN_KEY_LEAD_MS = HOUR_MS / 2;
/** What a step that fails now and then may add to an overlap. */
const REPEATS_MS = HOUR_MS;

// Failures are what these tests are about: thousands of lines of them help nobody.
Runtime.install({ logger: new DefaultLogger('ERROR') });

let h: Harness;
let credentials: CredentialsOf;
let http: ReturnType<typeof createClient>;
/** What shlagbaum shows us now. */
let certificate: Presented;
const shlagbaum = (shown: Presented): Presenting => presenting(h, shown);
const OBLIGATIONS = '/partner/v1/obligations';
beforeAll(async () => {
  h = await createHarness({ core: true, wrap: watched });
  credentials = credentialsOf(h);
  http = createClient(h.caPem);
  certificate = firstCertificate(h);
  // The first message of a partner tells us what it proves itself by.
  expect(await credentials.call('kluch')).toBe(202);
  expect((await shlagbaum(certificate).call('GET', OBLIGATIONS)).status).toBe(200);
}, 120_000);
afterEach(() => mendEverything(h));
afterAll(async () => {
  await http.close();
  await h.close();
});

const [PASSWORD, KEY, CLIENT_SECRET] = PRESENTED as [CredentialRef, CredentialRef, CredentialRef];
const BEGUN_BY_US: readonly CredentialRef[] = [...PARTNERS_CREDENTIALS, TOKEN_SIGNING_KEY, MESSAGE_SIGNING_KEY];
const CREDENTIALS: readonly CredentialRef[] = [...BEGUN_BY_US, MESSAGE_KEY, CERTIFICATE];
const doorOf = (partnerId: string): string => PARTNERS.find(({ id }) => id === partnerId)?.doorId ?? '';
const runOf = async (credential: CredentialRef) =>
  (await h.temporal.client.workflow.getHandle(rotationOf(credential)).describe()).runId;
const inUse = async (credential: CredentialRef) =>
  (await credentials.versions(credential)).find(({ state }) => state === 'active');
/** The version that was in use before is gone: revocations are over when it is. */
const isReplaced = async (credential: CredentialRef, before: number): Promise<boolean> => {
  const versions = await credentials.versions(credential);
  const older = versions.filter(({ version }) => version <= before);
  return (
    versions.some(({ version, state }) => version > before && state === 'active') && older.every((v) => v.destroyed)
  );
};

it('has one execution for each credential, however often the round comes by', async () => {
  await credentials.round();
  const first = await Promise.all(CREDENTIALS.map(runOf));
  await credentials.round();
  expect(await Promise.all(CREDENTIALS.map(runOf))).toEqual(first);
  expect(new Set(first).size).toBe(CREDENTIALS.length);
});

describe('a revocation of the key of our answers', () => {
  /** kluch asks what it owes us, by itself and not by the simulator. @returns how to check our answer */
  async function ask() {
    const url = `${h.apiUrl}/partner/v1/obligations`;
    const password = Buffer.from(`kluch:${h.secrets.fromKluchPassword.value}`).toString('base64');
    const plain = { method: 'GET', url, headers: { authorization: `Basic ${password}` }, body: Buffer.alloc(0) };
    const own = { keyId: 'kluch-1', key: createPrivateKey(h.secrets.fromKluchSigningKey.value) };
    const signed = { ...plain, headers: { ...plain.headers, ...(await signRequest(plain, own, Date.now())) } };
    const dispatcher = new Agent({ connect: { ca: h.caPem } });
    const answer = await request(url, { dispatcher, headers: signed.headers });
    const body = Buffer.from(await answer.body.arrayBuffer());
    await dispatcher.close();
    const message = { status: answer.statusCode, headers: answer.headers as Record<string, string>, body };
    return (keys: ReadonlyMap<string, KeyObject>) =>
      verifyResponse(message, signed, (keyId) => keys.get(keyId) ?? null, Date.now());
  }
  async function messageKeys(): Promise<ReadonlyMap<string, KeyObject>> {
    const { body } = await http.send(h.apiUrl + PUBLISHED_AT.message, {});
    const keys = body['keys'] as (JsonWebKey & { kid: string })[];
    return new Map(keys.map((key) => [key.kid, createPublicKey({ key, format: 'jwk' })]));
  }

  it('leaves partners believing the new one, and what the old one signed no more', async () => {
    const before = await ask();
    expect(await before(await messageKeys())).toMatchObject({ ok: true });
    const [first = ''] = await publishedKeys('message');
    const security = await staffMember(h, ['information-security']);
    expect((await security.call('post', '/staff/v1/message-signing-key/revocations')).status).toBe(202);
    await until('the old one is gone', async () => {
      // The partner asks all the time, and believes the answer whichever key is in use.
      expect(await credentials.call('kluch')).toBe(202);
      return isReplaced(MESSAGE_SIGNING_KEY, 1);
    });
    const known = await messageKeys();
    expect([known.size, known.has(first)]).toEqual([1, false]);
    expect(await before(known)).toEqual({ ok: false, refusal: 'key' });
    expect(await (await ask())(known)).toMatchObject({ ok: true });
    expect(await credentials.outcomes(MESSAGE_SIGNING_KEY)).toEqual(
      expect.arrayContaining(['revoked ', 'issued version-2', 'in-use version-2', 'refused version-1']),
    );
  });
});

describe('a revocation', () => {
  it.each(PRESENTED)(
    'of $partnerId/$name ends the old one at once and leaves a new one that works',
    async (credential) => {
      const { partnerId } = credential;
      await credentials.revoke(credential);
      await until('the old one is gone', () => isReplaced(credential, 1));
      expect(await credentials.openWithFirst(credential)).toBe(`${partnerId}: PartnerUnauthorized`);
      expect(await credentials.openWithCurrent(partnerId)).toBe('opened');
      const opening = { residentId: RESIDENTS.anna.id };
      expect((await h.app.post(`/app/v1/access-points/${doorOf(partnerId)}/openings`, opening)).status).toBe(200);
    },
  );

  it('by staff names only what there is between us and that partner, and is written down', async () => {
    const security = await staffMember(h, ['information-security']);
    const ask = (partnerId: string, body: object) =>
      security.call('post', `/staff/v1/partners/${partnerId}/credential-revocations`, { body });
    const before = await Promise.all(CREDENTIALS.map(runOf));
    for (const [partnerId, direction, name, status] of [
      ['vizor', 'presented', 'signing-key', 404],
      ['vizor', 'issued', 'kluch', 404],
      ['shlagbaum', 'issued', 'shlagbaum', 404],
      ['nobody', 'presented', 'client-secret', 404],
      ['kluch', 'presented', 'billing-secret', 400],
      ['kluch', 'own', 'token-signing-key', 400],
    ] as const) {
      expect((await ask(partnerId, { direction, name })).status).toBe(status);
    }
    expect(await Promise.all(CREDENTIALS.map(runOf))).toEqual(before);

    const { version = 0 } = (await inUse(PASSWORD)) ?? {};
    expect(await ask('kluch', { direction: 'presented', name: 'basic-password' })).toMatchObject({ status: 202 });
    await until('it is replaced', () => isReplaced(PASSWORD, version));
    const { actor } = await h.owner.journalEntry.findFirstOrThrow({
      where: { kind: 'credential', objectId: objectIdOf(PASSWORD), outcome: 'revoked' },
    });
    expect(actor).toBe(`staff/${security.memberId}`);
  });

  it.each(ISSUED)('of what $partnerId shows us ends it at once, also while the partner is out', async (credential) => {
    const { partnerId } = credential;
    expect(await credentials.call(partnerId)).toBe(202);
    await breakPartner(h, partnerId, { endpoint: 'credentials', fault: 'error' });
    const [first = ''] = await acceptedFrom(partnerId);
    await credentials.revoke(credential);
    await until('the old one is valid no longer', async () => !(await acceptedFrom(partnerId)).includes(first));
    expect(await acceptedFrom(partnerId)).toHaveLength(1);
    expect(await credentials.callWithFirst(partnerId)).not.toBe(202);

    await mendEverything(h);
    await until('the partner has the new one', async () => {
      await h.temporal.sleep('10 minutes');
      return (await inUse(credential)) !== undefined;
    });
    expect(await credentials.call(partnerId)).toBe(202);
  });
});

describe('a partner without an interface for credentials', () => {
  const credential = ISSUED.find(({ partnerId }) => partnerId === 'vizor') as CredentialRef;
  const deliverBy = async (credentialDelivery: string): Promise<void> => {
    await h.owner.$executeRaw`
      UPDATE partners SET revision = revision + 1,
        profile = jsonb_set(profile, '{credentialDelivery}', to_jsonb(${credentialDelivery}::text)) WHERE id = 'vizor'`;
  };
  const offers = () => h.owner.credentialHandover.findMany({ orderBy: { offeredAt: 'desc' } });
  const isOffered = async (count: number): Promise<boolean> => {
    await h.temporal.sleep('10 minutes');
    return (await offers()).length === count;
  };
  let manager: StaffCaller;
  beforeAll(async () => {
    await deliverBy('person');
    manager = await staffMember(h, ['integration-manager:smart-home']);
  });
  afterAll(() => deliverBy('api'));

  it('is given a new one by a person, who takes it once, sealed to a key of its own', async () => {
    const { version = 0 } = (await inUse(credential)) ?? {};
    await credentials.revoke(credential);
    await until('it is offered', () => isOffered(1));
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const body = { publicKey: publicKey.export({ format: 'jwk' }) };
    const download = (by: StaffCaller, id: string, request: object = body) =>
      by.call('post', `/staff/v1/credential-handovers/${id}/download`, { body: request });

    // An offer that nobody took runs out, and is made anew.
    const [late] = await offers();
    await h.owner.credentialHandover.updateMany({ data: { expiresAt: new Date() } });
    expect((await download(manager, late?.id ?? '')).status).toBe(410);
    await until('it is offered anew', () => isOffered(2));

    const listed = await manager.call('get', '/staff/v1/credential-handovers');
    const [offer] = listed.body['handovers'] as { handoverId: string; name: string; takenAt: string | null }[];
    expect(offer).toMatchObject({ name: 'vizor', takenAt: null });
    const id = offer?.handoverId ?? '';
    const stranger = await staffMember(h, ['integration-manager:communal/shlagbaum']);
    expect((await download(stranger, id)).status).toBe(404);
    expect((await download(manager, id, { publicKey: privateKey.export({ format: 'jwk' }) })).status).toBe(400);
    expect((await download(manager, id, { publicKey: { ...body.publicKey, x: 'AAAA' } })).status).toBe(400);

    const both = await Promise.all([download(manager, id), download(manager, id)]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 410]);
    expect((await download(manager, id)).status).toBe(410);
    const taken = String(both.find(({ status }) => status === 200)?.body['jwe']);
    const { plaintext } = await compactDecrypt(
      taken,
      await importJWK(privateKey.export({ format: 'jwk' }), 'ECDH-ES+A256KW'),
    );
    const { value } = JSON.parse(Buffer.from(plaintext).toString()) as { value: string };
    expect(value).toBe(await credentials.valueOf(credential, version + 1));
    const written = await h.owner.journalEntry.findMany({ where: { kind: 'credential', outcome: 'handed-over' } });
    expect(written).toMatchObject([{ actor: `staff/${manager.memberId}`, objectId: objectIdOf(credential) }]);

    // The person enters it at the partner's, and the partner's next call proves it.
    await credentials.adopt('vizor', { clientSecret: value });
    expect(await credentials.call('vizor')).toBe(202);
    await until('it is in use', async () => {
      await h.temporal.sleep('6 hours');
      return (await inUse(credential))?.version === version + 1;
    });
  });
});

describe('a revocation of the key of our tokens', () => {
  it('ends what it signed at once, and no other token', async () => {
    const before = newApp();
    expect(await statusOf(before)).toBe(200);
    const [first = ''] = await publishedKeys();
    const security = await staffMember(h, ['information-security']);
    expect((await security.call('post', '/staff/v1/token-signing-key/revocations')).status).toBe(202);
    await until('the old one is gone', () => isReplaced(TOKEN_SIGNING_KEY, 1));
    expect(await statusOf(before)).toBe(401);
    const after = newApp();
    expect(await statusOf(after)).toBe(200);
    expect(await publishedKeys()).not.toContain(first);
    expect(await publishedKeys()).toHaveLength(1);
    await Promise.all([before.close(), after.close()]);
  });

  it('signs nothing with the new one until every API process goes by it', async () => {
    const { version = 0 } = (await inUse(TOKEN_SIGNING_KEY)) ?? {};
    const behind = randomUUID();
    await h.owner.ownKeyReader.create({ data: { processId: behind, kids: [] } });
    await credentials.revoke(TOKEN_SIGNING_KEY);
    await until('the API publishes both', async () => (await publishedKeys()).length === 2);
    expect(await inUse(TOKEN_SIGNING_KEY)).toMatchObject({ version });
    await h.owner.ownKeyReader.delete({ where: { processId: behind } });
    await until('the new one is alone', () => isReplaced(TOKEN_SIGNING_KEY, version));
  });
});

it('signs with a new key when those who kept the keys of before have had time to ask again', async () => {
  const { version = 0 } = (await inUse(TOKEN_SIGNING_KEY)) ?? {};
  const [before = ''] = await publishedKeys();
  await h.temporal.client.workflow.getHandle(rotationOf(TOKEN_SIGNING_KEY)).signal(credentialAnnounced);
  await until('the new one is published', async () => (await publishedKeys()).length === 2);
  const kept = createLocalJWKSet((await http.send(`${h.apiUrl}/oauth/jwks`, {})).body as unknown as JSONWebKeySet);
  expect(await newAppToken(h).then(signerOf)).toBe(before);
  await h.temporal.sleep('20 minutes');
  expect(await newAppToken(h).then(signerOf)).toBe(before);

  await until('the new one signs', async () => {
    await h.temporal.sleep('5 minutes');
    return (await inUse(TOKEN_SIGNING_KEY))?.version === version + 1;
  });
  await until('the API signs with it', async () => signerOf(await newAppToken(h)) !== before);
  await expect(jwtVerify(await newAppToken(h), kept)).resolves.toMatchObject({ payload: { client_id: APP_CLIENT_ID } });
  await until('the old one is gone', async () => {
    await h.temporal.sleep('1 hour');
    return isReplaced(TOKEN_SIGNING_KEY, version);
  });
  expect(await publishedKeys()).toHaveLength(1);
});

describe('what a partner makes itself', () => {
  const path = '/partner/v1/credentials';
  const isRetired = async (credential: CredentialRef, count: number): Promise<boolean> => {
    await h.temporal.sleep('1 hour');
    return (await credentials.versions(credential)).filter(({ destroyed }) => destroyed).length === count;
  };
  const isInUse = async (credential: CredentialRef, version: number): Promise<boolean> => {
    await h.temporal.sleep('1 minute');
    return (await inUse(credential))?.version === version;
  };
  it('a client certificate overlaps with its successor, and then is refused together with the tokens it got', async () => {
    const first = shlagbaum(certificate);
    const stranger = await nextCertificate(h);
    expect((await first.call('GET', OBLIGATIONS)).status).toBe(200);
    // From the first one on, the name alone lets nobody in.
    expect(await shlagbaum(stranger).token()).toBe(401);

    const next = await nextCertificate(h);
    expect((await first.call('POST', path, next.body)).status).toBe(202);
    expect((await first.call('POST', path, next.body)).status).toBe(202);
    expect(await credentials.standing(CERTIFICATE)).toEqual(['active', 'pending']);
    const second = shlagbaum(next);
    expect((await second.call('GET', OBLIGATIONS)).status).toBe(200);
    await until('it is in use', () => isInUse(CERTIFICATE, 2));
    expect((await first.call('GET', OBLIGATIONS)).status).toBe(200);
    expect(await first.token()).toBe(200);
    expect((await second.call('POST', path, (await nextCertificate(h)).body)).body['type']).toBe(
      '/problems/credential-under-way',
    );

    await until('the old one is refused', () => isRetired(CERTIFICATE, 1));
    expect((await first.call('GET', OBLIGATIONS)).status).toBe(401);
    expect(await first.token()).toBe(401);
    expect((await second.call('GET', OBLIGATIONS)).status).toBe(200);
    const old = { name: 'client-certificate', certificatePem: certificate.cert };
    expect((await second.call('POST', path, old)).body['type']).toBe('/problems/credential-known');
    certificate = next;
    expect(await credentials.outcomes(CERTIFICATE)).toEqual(
      expect.arrayContaining(['adopted version-1', 'announced version-2', 'in-use version-2', 'refused version-1']),
    );
  });

  it('a message key overlaps with its successor, also for what we are answered, and then is refused', async () => {
    const { version = 0 } = (await inUse(MESSAGE_KEY)) ?? {};
    const { answer, body, own } = await credentials.announceMessageKey('kluch-2');
    expect(answer).toMatchObject({ status: 202, body: { keyId: 'kluch-2', state: 'pending' } });
    for (const wrong of [
      { ...body, keyId: 'kluch-3' },
      { ...body, keyId: 'kluch-1' },
    ]) {
      expect(await h.sandbox.callCompany('kluch', path, wrong)).toMatchObject({ status: 409 });
    }
    const { body: of } = await nextCertificate(h);
    expect(await h.sandbox.callCompany('kluch', path, of)).toMatchObject({ status: 422 });
    expect(await credentials.call('kluch')).toBe(202);
    await credentials.adopt('kluch', own);
    expect(await credentials.call('kluch')).toBe(202);
    await until('it is in use', () => isInUse(MESSAGE_KEY, version + 1));
    expect(await credentials.openWithCurrent('kluch')).toBe('opened');

    await until('the old one is refused', () => isRetired(MESSAGE_KEY, 1));
    expect(await credentials.openWithCurrent('kluch')).toBe('opened');
    await credentials.adopt('kluch', { signingKeyId: 'kluch-1', signingKey: h.secrets.fromKluchSigningKey.value });
    expect(await credentials.call('kluch')).toBe(401);
    await credentials.adopt('kluch', own);
    expect(await credentials.call('kluch')).toBe(202);
  });

  it('ends at once when staff revoke it, with what whoever held it announced, until staff bring another', async () => {
    const { version = 0 } = (await inUse(MESSAGE_KEY)) ?? {};
    const security = await staffMember(h, ['information-security']);
    const stranger = await staffMember(h, ['integration-manager:communal/shlagbaum']);
    const thief = await credentials.announceMessageKey('kluch-thief');
    await credentials.adopt('kluch', thief.own);
    const which = { direction: 'announced', name: 'message-key' };
    await security.call('post', '/staff/v1/partners/kluch/credential-revocations', { body: which });
    await until('nothing of it is good', async () =>
      (await credentials.standing(MESSAGE_KEY)).every((state) => state === 'retired'),
    );
    expect(await credentials.call('kluch')).toBe(401);

    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const body = { name: 'message-key', keyId: 'kluch-by-staff', publicKeyPem };
    const register = '/staff/v1/partners/kluch/announced-credentials';
    expect((await stranger.call('post', register, { body })).status).toBe(404);
    expect(
      (await security.call('post', register, { body: { ...body, publicKeyPem: thief.own.signingKey } })).status,
    ).toBe(400);
    expect((await security.call('post', register, { body: thief.body })).status).toBe(409);
    expect((await security.call('post', register, { body })).status).toBe(202);
    const signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await credentials.adopt('kluch', { signingKeyId: 'kluch-by-staff', signingKey });
    expect(await credentials.call('kluch')).toBe(202);
    await until('it is in use, and the others are refused', async () => {
      await h.temporal.sleep('10 minutes');
      const versions = await credentials.versions(MESSAGE_KEY);
      return versions[0]?.state === 'active' && versions.slice(1).every(({ destroyed }) => destroyed);
    });
    expect((await inUse(MESSAGE_KEY))?.version).toBe(version + 2);
  });

  it('a certificate that staff revoke ends at once, with its tokens and what whoever held it announced', async () => {
    const { version = 0 } = (await inUse(CERTIFICATE)) ?? {};
    const security = await staffMember(h, ['information-security']);
    const stranger = await staffMember(h, ['integration-manager:smart-home']);
    const held = shlagbaum(certificate);
    const thief = await nextCertificate(h);
    expect((await held.call('POST', path, thief.body)).status).toBe(202);
    const tokensLeft = () => h.owner.$queryRaw<object[]>`
      SELECT payload ->> 'x5t#S256' FROM oidc_payloads WHERE payload ->> 'clientId' = 'shlagbaum'`;
    expect(await tokensLeft()).not.toEqual([]);
    const which = { direction: 'announced', name: 'client-certificate' };
    const revocation = '/staff/v1/partners/shlagbaum/credential-revocations';
    expect((await security.call('post', revocation, { body: which })).status).toBe(202);
    await until('nothing of it is good', async () =>
      (await credentials.standing(CERTIFICATE)).every((state) => state === 'retired'),
    );
    // Neither what was stolen, nor the token that it got, nor what it announced; and the name alone lets nobody in.
    expect((await held.call('GET', OBLIGATIONS)).status).toBe(401);
    for (const shown of [certificate, thief, await nextCertificate(h)])
      expect(await shlagbaum(shown).token()).toBe(401);
    expect(await tokensLeft()).toEqual([]);

    const next = await nextCertificate(h);
    const register = '/staff/v1/partners/shlagbaum/announced-credentials';
    expect((await stranger.call('post', register, { body: next.body })).status).toBe(404);
    expect((await security.call('post', register, { body: thief.body })).status).toBe(409);
    expect((await security.call('post', register, { body: next.body })).status).toBe(202);
    certificate = next;
    expect((await shlagbaum(certificate).call('GET', OBLIGATIONS)).status).toBe(200);
    await until('it is in use, and the others are refused', async () => {
      await h.temporal.sleep('10 minutes');
      const versions = await credentials.versions(CERTIFICATE);
      return versions[0]?.state === 'active' && versions.slice(1).every(({ destroyed }) => destroyed);
    });
    expect((await inUse(CERTIFICATE))?.version).toBe(version + 2);
    expect((await held.call('GET', OBLIGATIONS)).status).toBe(401);
  });
});

it('replaces once when the answer to every call is lost', async () => {
  const { version = 0 } = (await inUse(KEY)) ?? {};
  await breakPartner(h, 'kluch', { endpoint: 'credentials', fault: 'lost-answer', times: 2 });
  await credentials.revoke(KEY);
  await until('it is replaced', () => isReplaced(KEY, version));
  expect((await credentials.versions(KEY))[0]).toMatchObject({ version: version + 1, state: 'active' });
  expect(await credentials.accepted(KEY)).toEqual([`domovoy-signing-key-${(version + 1).toString()}`]);
});

it('does not take a new one into use that the partner refuses, though it said that it accepts it', async () => {
  const { version = 0 } = (await inUse(CLIENT_SECRET)) ?? {};
  await breakPartner(h, 'vizor', { endpoint: 'token', fault: 'unauthorized' });
  await credentials.revoke(CLIENT_SECRET);
  const isIssued = async () => (await credentials.versions(CLIENT_SECRET)).some((each) => each.version > version);
  await until('it was issued', isIssued);
  await h.temporal.sleep('1 hour');
  expect(await credentials.versions(CLIENT_SECRET)).toMatchObject([
    { version: version + 1, state: 'pending' },
    { version, state: 'active' },
    ...Array.from({ length: version - 1 }, () => ({ destroyed: true })),
  ]);

  await mendEverything(h);
  await until('it is replaced then', async () => {
    await h.temporal.sleep('10 minutes');
    return isReplaced(CLIENT_SECRET, version);
  });
});

describe('ninety days, with failures at each step', () => {
  const SAMPLE_HOURS = 12;
  const SAMPLES = (90 * 24) / SAMPLE_HOURS;
  type Seen = { atMs: number; ageMs: number; isInUseValid: boolean };
  const seen = new Map<CredentialRef, Seen[]>(CREDENTIALS.map((each) => [each, []]));
  const broken: string[] = [];
  let firstRuns: string[] = [];
  let beganMs = 0;
  let validity: ReadonlyMap<string, readonly Validity[]>;
  /** What a partner showed us before what it shows now. */
  const before: { certificate?: Presented; messageKey?: object; current?: object } = {};

  beforeAll(async () => {
    firstRuns = await Promise.all(CREDENTIALS.map(runOf));
    beganMs = await h.temporal.currentTimeMs();
    const moments = await writeDownValidity();
    await moments.begin();
    await refuseEveryThirdWrite();
    for (const { id } of PARTNERS) {
      // Fewer than half: the circuit breaker goes by the real clock, in which a day passes in an instant here.
      await breakPartner(h, id, { endpoint: 'credentials', fault: 'error', every: 4 });
      await breakPartner(h, id, { endpoint: 'credentials', fault: 'lost-answer', every: 5 });
    }
    for (let index = 0; index < SAMPLES; index++) {
      await h.temporal.sleep(SAMPLE_HOURS * HOUR_MS);
      const atMs = await h.temporal.currentTimeMs();
      await announceIfOld(atMs);
      await Promise.all(CREDENTIALS.map(async (each) => seen.get(each)?.push(await sample(each, atMs))));
      if (index % 4 === 0) broken.push(...(await whoFails()), ...(await whoIsMistaken()));
    }
    for (const table of TABLES_OF_CREDENTIALS) await h.owner.$executeRawUnsafe(`DROP TRIGGER now_and_then ON ${table}`);
    validity = await moments.stop();
  }, 240_000);

  it.each(CREDENTIALS)('$partnerId/$direction/$name has failed at every step of its replacement', async (each) => {
    const failed = await failedActivities(each, firstRuns[CREDENTIALS.indexOf(each)] ?? '');
    expect(failed).toEqual(expect.arrayContaining([...STEPS]));
  });

  it.each(CREDENTIALS)('$partnerId/$direction/$name is replaced, and at no moment without a valid one', (each) => {
    const samples = seen.get(each) ?? [];
    expect(samples).toHaveLength(SAMPLES);
    expect(samples.filter(({ isInUseValid }) => !isInUseValid)).toEqual([]);
    expect(Math.max(...samples.map(({ ageMs }) => ageMs))).toBeLessThan(30 * DAY_MS);
    // Each lives for at most 23 days before its successor is issued.
    expect(replacements(samples).length).toBeGreaterThanOrEqual(3);
    const moments = validity.get(objectIdOf(each)) ?? [];
    expect(moments.filter(({ valid }) => valid < 1)).toEqual([]);
    expect(spansOfTwo(moments).length).toBeGreaterThanOrEqual(3);
  });

  it.each(CREDENTIALS)('$partnerId/$direction/$name has never two beyond the overlap, and never three', (each) => {
    const moments = validity.get(objectIdOf(each)) ?? [];
    expect(Math.max(...moments.map(({ valid }) => valid))).toBe(2);
    const publishedMs = each.direction === 'own' ? OWN_KEY_LEAD_MS : 0;
    expect(Math.max(...spansOfTwo(moments))).toBeLessThanOrEqual(publishedMs + OVERLAP_MS + REPEATS_MS);
  });

  it('neither our openings nor the partners’ calls failed, what was over was refused, and nobody was alarmed', async () => {
    expect(broken).toEqual([]);
    expect(await h.owner.securityAlert.findMany({ where: { kind: 'credential-expiry' } })).toEqual([]);
  });

  it('partners did not rotate together: each credential began at an hour of its own', () => {
    const begun = BEGUN_BY_US.map((each) => {
      const [{ atMs, ageMs } = { atMs: 0, ageMs: 0 }] = replacements(seen.get(each) ?? []);
      return Math.floor((atMs - ageMs) / HOUR_MS);
    });
    expect(Math.min(...begun)).toBeGreaterThan(beganMs / HOUR_MS);
    expect(new Set(begun).size).toBe(BEGUN_BY_US.length);
  });

  /** Partners keep to the thirty days: they make the next one in time, announce it and prove themselves by it. */
  async function announceIfOld(atMs: number): Promise<void> {
    if (await isOld(MESSAGE_KEY, atMs)) {
      const { own } = await announced(MESSAGE_KEY, atMs, async () => {
        const made = await credentials.announceMessageKey(`kluch-at-${atMs.toString()}`);
        return { ...made, use: () => credentials.adopt('kluch', made.own).then(() => credentials.call('kluch')) };
      });
      if (before.current) before.messageKey = before.current;
      before.current = own;
    }
    if (!(await isOld(CERTIFICATE, atMs))) return;
    // Good by the clock of the API, which stands still meanwhile, and by that of the execution.
    const days = Math.ceil((atMs - Date.now()) / DAY_MS) + 90;
    const made = await nextCertificate(h, days);
    await announced(CERTIFICATE, atMs, async () => {
      const answer = await shlagbaum(certificate).call('POST', '/partner/v1/credentials', made.body);
      return { answer, use: () => shlagbaum(made).call('GET', OBLIGATIONS) };
    });
    [before.certificate, certificate] = [certificate, made];
  }

  async function isOld(credential: CredentialRef, atMs: number): Promise<boolean> {
    const { issuedAt = new Date(0) } = (await inUse(credential)) ?? {};
    return atMs - issuedAt.getTime() >= 21 * DAY_MS;
  }

  /** Announces until it is taken in, and uses it until it is in use. */
  async function announced<
    T extends { answer: { status: number | null; body: Record<string, unknown> }; use: () => Promise<unknown> },
  >(credential: CredentialRef, atMs: number, announce: () => Promise<T>): Promise<T> {
    const { version = 0 } = (await inUse(credential)) ?? {};
    await setClock();
    let made = await announce();
    // Writes fail now and then; what was refused left nothing behind.
    while (made.answer.status !== 202) made = await announce();
    const { partnerId, name } = credential;
    const newest = { partnerId, name, keyId: String(made.answer.body['keyId']) };
    await until('it is as old as time says here', () =>
      h.owner.partnerCredential.updateMany({ where: newest, data: { announcedAt: new Date(atMs) } }).then(
        () => true,
        () => false,
      ),
    );
    await until('it has been used', async () => {
      await made.use();
      return (await h.owner.partnerCredential.count({ where: { ...newest, usedAt: { not: null } } })) === 1;
    });
    await until('it is in use', async () => {
      await h.temporal.sleep('1 minute');
      return (await inUse(credential))?.version === version + 1;
    });
    return made;
  }

  /** The first sample of each successor. */
  const replacements = (samples: readonly Seen[]): Seen[] =>
    samples.filter(({ ageMs }, index) => ageMs < (samples[index - 1]?.ageMs ?? 0));

  /** Whether what is in use is valid where it is checked: at the partner, or at our API. */
  async function sample(credential: CredentialRef, atMs: number): Promise<Seen> {
    const current = await inUse(credential);
    const { version = 0, issuedAt = new Date(0) } = current ?? {};
    return { atMs, ageMs: atMs - issuedAt.getTime(), isInUseValid: await isValid(credential, version) };
  }

  async function isValid(credential: CredentialRef, version: number): Promise<boolean> {
    const { direction, partnerId, name } = credential;
    if (direction === 'presented') {
      return (await credentials.accepted(credential)).includes(`domovoy-${name}-${version.toString()}`);
    }
    if (direction === 'own') {
      const purpose = credential === TOKEN_SIGNING_KEY ? 'token' : 'message';
      const { kid } = await h.owner.ownSigningKey.findUniqueOrThrow({
        where: { purpose_version: { purpose, version } },
      });
      return (await publishedKeys(purpose)).includes(kid);
    }
    // What partners show us by a call: what the row says is what the moments are made of.
    if (credential === CERTIFICATE) return (await shlagbaum(certificate).token()) === 200;
    return (await credentials.call(partnerId)) === 202;
  }

  async function whoFails(): Promise<string[]> {
    const openings = PARTNERS.map(({ id }) => credentials.openWithCurrent(id));
    const calls = ISSUED.map(async ({ partnerId }) => `${partnerId}: ${String(await credentials.call(partnerId))}`);
    const app = newApp();
    const results = await Promise.all([
      ...openings,
      ...calls,
      shlagbaum(certificate)
        .call('GET', OBLIGATIONS)
        .then(({ status }) => `shlagbaum: ${status.toString()}`),
      statusOf(app).then((status) => `app: ${String(status)}`),
    ]);
    await app.close();
    return results.filter((result) => result !== 'opened' && !/: 20[02]$/.test(result));
  }

  /** What partners showed us before is good in the overlap, and refused after it. */
  async function whoIsMistaken(): Promise<string[]> {
    const mistaken: string[] = [];
    const overlaps = async (each: CredentialRef) => (await credentials.standing(each)).includes('retiring');
    const judge = async (credential: CredentialRef, ask: () => Promise<number | null>): Promise<void> => {
      const isGood = await overlaps(credential);
      const status = await ask();
      // Its time may have come meanwhile.
      if (isGood !== (await overlaps(credential))) return;
      if (isGood ? status !== 200 && status !== 202 : status !== 401) {
        mistaken.push(`${credential.name} of before, ${isGood ? 'in' : 'after'} its overlap: ${String(status)}`);
      }
    };
    const { certificate: older, messageKey, current } = before;
    if (older) await judge(CERTIFICATE, () => shlagbaum(older).token());
    if (messageKey && current) {
      await credentials.adopt('kluch', messageKey);
      await judge(MESSAGE_KEY, () => credentials.call('kluch'));
      await credentials.adopt('kluch', current);
    }
    return mistaken;
  }
});

/** How many were valid from then on, by the clock of the executions. */
type Validity = { readonly atMs: number; readonly valid: number };

/** How long two were valid at a time, each time, milliseconds. */
function spansOfTwo(moments: readonly Validity[]): number[] {
  const spans: number[] = [];
  let sinceMs: number | undefined;
  for (const { atMs, valid } of moments) {
    if (valid >= 2) sinceMs ??= atMs;
    else if (sinceMs !== undefined) {
      spans.push(atMs - sinceMs);
      sinceMs = undefined;
    }
  }
  // One that has not ended yet has lasted until the last moment, at the least.
  return sinceMs === undefined ? spans : [...spans, (moments.at(-1)?.atMs ?? 0) - sinceMs];
}

const STEPS = [
  'issueCredential',
  'deliverCredential',
  'proveCredential',
  'useCredential',
  'retireOlder',
  'proveRefused',
] as const;
type Step = (typeof STEPS)[number];
const isStep = (name: string): name is Step => STEPS.some((step) => step === name);

type Try = (credential: CredentialRef, ...rest: unknown[]) => Promise<unknown>;
/** What stands between the workers and the steps of a rotation; nothing but in the ninety days. */
let around: ((step: Step, credential: CredentialRef, work: () => Promise<unknown>) => Promise<unknown>) | undefined;
function watched<T extends object>(activities: T): T {
  const entries = Object.entries(activities).map(([name, work]: [string, Try]): [string, Try] => [
    name,
    isStep(name)
      ? (credential, ...rest) =>
          around ? around(name, credential, () => work(credential, ...rest)) : work(credential, ...rest)
      : work,
  ]);
  return Object.fromEntries(entries) as T;
}

/** What the database takes for the time of the executions: it stands still while a step is done. */
const setClock = async (): Promise<void> => {
  const at = new Date(await h.temporal.currentTimeMs());
  await h.owner.$executeRaw`UPDATE clock_of_executions SET at = ${at}`;
};

/**
 * Writes down how many versions are valid whenever that may have changed. Our own tables do it at each commit, so that
 * nothing between two steps is missed, nor within one; of partners it is asked after each try of a step, which is one call.
 * The first try of each step fails before it has done anything, the third after it has.
 */
async function writeDownValidity() {
  const tries = new Map<string, number>();
  const atPartners = new Map<string, Validity[]>();
  const ask = async (credential: CredentialRef): Promise<void> => {
    const moment = { atMs: await h.temporal.currentTimeMs(), valid: (await credentials.accepted(credential)).length };
    const id = objectIdOf(credential);
    atPartners.set(id, [...(atPartners.get(id) ?? []), moment]);
  };
  await h.owner.$executeRaw`CREATE TABLE clock_of_executions (at timestamptz NOT NULL)`;
  await h.owner.$executeRaw`INSERT INTO clock_of_executions VALUES (now())`;
  await h.owner.$executeRaw`
    CREATE TABLE moments (seq bigserial, at timestamptz NOT NULL, credential text NOT NULL, valid integer NOT NULL)`;
  await h.owner.$executeRaw`
    CREATE FUNCTION write_moment() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE id text; good integer;
    BEGIN
      IF TG_TABLE_NAME = 'partner_credentials' THEN
        id := NEW.partner_id || '/announced/' || NEW.name;
        SELECT count(*) INTO good FROM partner_credentials
          WHERE partner_id = NEW.partner_id AND name = NEW.name AND state <> 'retired';
      ELSIF TG_TABLE_NAME = 'own_signing_keys' THEN
        id := 'domovoy/own/' || NEW.purpose || '-signing-key';
        SELECT count(*) INTO good FROM own_signing_keys WHERE purpose = NEW.purpose AND state <> 'retired';
      ELSE
        id := coalesce(NEW.partner_id, '') || '/issued/' || NEW.id;
        SELECT cardinality(secret_hashes) INTO good FROM oauth_clients WHERE oauth_clients.id = NEW.id;
      END IF;
      INSERT INTO moments (at, credential, valid) SELECT at, id, good FROM clock_of_executions;
      RETURN NULL;
    END $$`;
  return {
    async begin() {
      await setClock();
      for (const table of ['partner_credentials', 'own_signing_keys', 'oauth_clients']) {
        // When the transaction commits: what others see.
        await h.owner.$executeRawUnsafe(`CREATE CONSTRAINT TRIGGER moments AFTER INSERT OR UPDATE ON ${table}
          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_moment()`);
      }
      around = async (step, credential, work) => {
        const key = `${objectIdOf(credential)} ${step}`;
        const which = (tries.get(key) ?? 0) + 1;
        tries.set(key, which);
        await setClock();
        if (which === 1) throw new Error('not now');
        try {
          const done = await work();
          if (which === 3) throw new Error('not heard of');
          return done;
        } finally {
          if (credential.direction === 'presented') await ask(credential);
        }
      };
    },
    async stop(): Promise<ReadonlyMap<string, readonly Validity[]>> {
      around = undefined;
      for (const table of ['partner_credentials', 'own_signing_keys', 'oauth_clients']) {
        await h.owner.$executeRawUnsafe(`DROP TRIGGER moments ON ${table}`);
      }
      const rows = await h.owner.$queryRaw<{ credential: string; at: Date; valid: number }[]>`
        SELECT credential, at, valid FROM moments ORDER BY seq`;
      const moments = new Map(atPartners);
      for (const { credential, at, valid } of rows) {
        moments.set(credential, [...(moments.get(credential) ?? []), { atMs: at.getTime(), valid }]);
      }
      return moments;
    },
  };
}

const TABLES_OF_CREDENTIALS = ['secrets', 'own_signing_keys', 'partner_credentials'];

/** Our own tables fail too: every third change of a credential is refused, and counted although it is rolled back. */
async function refuseEveryThirdWrite(): Promise<void> {
  await h.owner.$executeRaw`CREATE SEQUENCE writes_of_secrets`;
  await h.owner.$executeRaw`
    CREATE FUNCTION refuse_now_and_then() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF nextval('writes_of_secrets') % 3 = 0 THEN RAISE EXCEPTION 'not now'; END IF;
      RETURN NEW;
    END $$`;
  for (const table of TABLES_OF_CREDENTIALS) {
    await h.owner.$executeRawUnsafe(
      `CREATE TRIGGER now_and_then BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION refuse_now_and_then()`,
    );
  }
}

const acceptedFrom = async (partnerId: string): Promise<string[]> =>
  (await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: partnerId } })).secretHashes;

/** The app's backend with a token of its own. */
const newApp = (): AppBackend =>
  createAppBackend({
    apiUrl: h.apiUrl,
    caPem: h.caPem,
    clientId: APP_CLIENT_ID,
    clientSecret: h.secrets.appClient.value,
  });
const statusOf = async (app: AppBackend): Promise<number> =>
  (await app.get(`/app/v1/residents/${RESIDENTS.anna.id}/reminders`)).status;
const PUBLISHED_AT = { token: '/oauth/jwks', message: '/.well-known/domovoy-message-keys' } as const;
/** Key ids that anybody may look up. */
async function publishedKeys(purpose: keyof typeof PUBLISHED_AT = 'token'): Promise<string[]> {
  const { body } = await http.send(h.apiUrl + PUBLISHED_AT[purpose], {});
  return (body['keys'] as { kid: string }[]).map(({ kid }) => kid);
}

/** Types of activities of which a try failed, from this run to the newest. */
async function failedActivities(credential: CredentialRef, firstRunId: string): Promise<string[]> {
  const failed = new Set<string>();
  for (let runId: string | undefined = firstRunId; runId;) {
    const { events } = await h.temporal.client.workflow.getHandle(rotationOf(credential), runId).fetchHistory();
    const types = new Map<string, string>();
    runId = undefined;
    for (const event of events ?? []) {
      const scheduled = event.activityTaskScheduledEventAttributes;
      if (scheduled) types.set(String(event.eventId), scheduled.activityType?.name ?? '');
      const started = event.activityTaskStartedEventAttributes;
      const ended = event.activityTaskFailedEventAttributes;
      if ((started?.attempt ?? 1) > 1) failed.add(types.get(String(started?.scheduledEventId)) ?? '');
      if (ended) failed.add(types.get(String(ended.scheduledEventId)) ?? '');
      runId = event.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? runId;
    }
  }
  return [...failed];
}

it('keeps the old one alive while delivery fails for weeks, and alarms exactly 5, 3, 1 and 0 days before its end', async () => {
  const { version = 0 } = (await inUse(PASSWORD)) ?? {};
  // shlagbaum announces no other certificate in all that time.
  const ends = await Promise.all(
    [PASSWORD, CERTIFICATE].map(async (each) => ({
      credential: each,
      endMs: ((await inUse(each))?.issuedAt.getTime() ?? 0) + 30 * DAY_MS,
    })),
  );
  await breakPartner(h, 'kluch', { endpoint: 'credentials', fault: 'error' });
  const lastMs = Math.max(...ends.map(({ endMs }) => endMs));
  await h.temporal.sleep(lastMs + HOUR_MS - (await h.temporal.currentTimeMs()));

  for (const { credential, endMs } of ends) {
    const alarms = await h.owner.securityAlert.findMany({
      where: { kind: 'credential-expiry', objectId: objectIdOf(credential) },
      orderBy: { raisedAt: 'asc' },
    });
    expect(alarms.map(({ scope }) => scope)).toEqual(['5-days', '3-days', '1-days', '0-days']);
    const daysBefore = alarms.map(({ raisedAt }) => (endMs - raisedAt.getTime()) / DAY_MS);
    [5, 3, 1, 0].forEach((day, index) => expect(Math.abs((daysBefore[index] ?? 99) - day)).toBeLessThan(5 / 1_440));
    const outcomes = await credentials.outcomes(credential);
    expect(outcomes.filter((each) => each.startsWith('expiry-alarm'))).toHaveLength(4);
  }
  expect(await inUse(PASSWORD)).toMatchObject({ version });
  expect(await credentials.openWithCurrent('kluch')).toBe('opened');
  expect((await shlagbaum(certificate).call('GET', OBLIGATIONS)).status).toBe(200);

  await mendEverything(h);
  await until('it is replaced then', async () => {
    await h.temporal.sleep('6 hours');
    return isReplaced(PASSWORD, version);
  });
  expect(await credentials.openWithCurrent('kluch')).toBe('opened');
}, 180_000);
