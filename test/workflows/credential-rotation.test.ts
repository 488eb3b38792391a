import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  compactDecrypt,
  createLocalJWKSet,
  decodeProtectedHeader,
  importJWK,
  jwtVerify,
  type JSONWebKeySet,
} from 'jose';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { Agent, request } from 'undici';
import { MESSAGE_SIGNING_KEY, TOKEN_SIGNING_KEY, type CredentialRef } from '../../contracts/credentials';
import { signRequest, verifyResponse } from '../../partners/message-signature';
import { createAppBackend, type AppBackend } from '../../stack/story/app-backend';
import { createClient } from '../../stack/story/http';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS } from '../../stack/town';
import { credentialAnnounced } from '../../workflows/credential-rotation/messages';
import { secretChecks } from '../../vault/slow-hash';
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
import { issueClientCertificate } from '../support/client-certificates';
import { createHarness, type Harness } from '../support/harness';
import { staffMember, type StaffCaller } from '../support/staff';
import { until } from '../support/until';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const OVERLAP_MS = DAY_MS;
/** What a step that fails now and then may add to an overlap. */
const REPEATS_MS = HOUR_MS;

// Failures are what these tests are about: thousands of lines of them help nobody.
Runtime.install({ logger: new DefaultLogger('ERROR') });

let h: Harness;
let credentials: CredentialsOf;
let http: ReturnType<typeof createClient>;
beforeAll(async () => {
  h = await createHarness({ core: true });
  credentials = credentialsOf(h);
  http = createClient(h.caPem);
  // The first message of a partner tells us which key it signs with.
  expect(await credentials.call('kluch')).toBe(202);
}, 120_000);
afterEach(() => mendEverything(h));
afterAll(async () => {
  await http.close();
  await h.close();
});

const [PASSWORD, KEY, CLIENT_SECRET] = PRESENTED as [CredentialRef, CredentialRef, CredentialRef];
const BEGUN_BY_US: readonly CredentialRef[] = [...PARTNERS_CREDENTIALS, TOKEN_SIGNING_KEY, MESSAGE_SIGNING_KEY];
const CREDENTIALS: readonly CredentialRef[] = [...BEGUN_BY_US, MESSAGE_KEY];
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
  expect(await newToken().then(kidOf)).toBe(before);
  await h.temporal.sleep('20 minutes');
  expect(await newToken().then(kidOf)).toBe(before);

  await until('the new one signs', async () => {
    await h.temporal.sleep('5 minutes');
    return (await inUse(TOKEN_SIGNING_KEY))?.version === version + 1;
  });
  await until('the API signs with it', async () => kidOf(await newToken()) !== before);
  await expect(jwtVerify(await newToken(), kept)).resolves.toMatchObject({ payload: { client_id: APP_CLIENT_ID } });
  await until('the old one is gone', async () => {
    await h.temporal.sleep('1 hour');
    return isReplaced(TOKEN_SIGNING_KEY, version);
  });
  expect(await publishedKeys()).toHaveLength(1);
});

describe('what a partner makes itself', () => {
  const path = '/partner/v1/credentials';
  const shlagbaum = (certificate: Presented): Presenting => presenting(h, certificate);
  const isRetired = async (credential: CredentialRef, count: number): Promise<boolean> => {
    await h.temporal.sleep('1 hour');
    return (await credentials.versions(credential)).filter(({ destroyed }) => destroyed).length === count;
  };
  const isInUse = async (credential: CredentialRef, version: number): Promise<boolean> => {
    await h.temporal.sleep('1 minute');
    return (await inUse(credential))?.version === version;
  };
  const nextCertificate = async () => {
    const made = await issueClientCertificate(h.certificates.clientCa, { dnsNames: ['shlagbaum.partner.example'] });
    return { ...made, body: { name: 'client-certificate', certificatePem: made.cert } };
  };

  it('a client certificate overlaps with its successor, and then is refused together with the tokens it got', async () => {
    const { certificate, key } = h.certificates.shlagbaumClient;
    const first = shlagbaum({ cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') });
    const stranger = await nextCertificate();
    expect((await first.call('GET', '/partner/v1/obligations')).status).toBe(200);
    // From the first one on, the name alone lets nobody in.
    expect(await shlagbaum(stranger).token()).toBe(401);

    const next = await nextCertificate();
    expect((await first.call('POST', path, next.body)).status).toBe(202);
    expect((await first.call('POST', path, next.body)).status).toBe(202);
    expect(await credentials.standing(CERTIFICATE)).toEqual(['active', 'pending']);
    const second = shlagbaum(next);
    expect((await second.call('GET', '/partner/v1/obligations')).status).toBe(200);
    await until('it is in use', () => isInUse(CERTIFICATE, 2));
    expect((await first.call('GET', '/partner/v1/obligations')).status).toBe(200);
    expect(await first.token()).toBe(200);
    expect((await second.call('POST', path, (await nextCertificate()).body)).body['type']).toBe(
      '/problems/credential-under-way',
    );

    await until('the old one is refused', () => isRetired(CERTIFICATE, 1));
    expect((await first.call('GET', '/partner/v1/obligations')).status).toBe(401);
    expect(await first.token()).toBe(401);
    expect((await second.call('GET', '/partner/v1/obligations')).status).toBe(200);
    const old = { name: 'client-certificate', certificatePem: readFileSync(certificate, 'utf8') };
    expect((await second.call('POST', path, old)).body['type']).toBe('/problems/credential-known');
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
    const certificate = (await nextCertificate()).body;
    expect(await h.sandbox.callCompany('kluch', path, certificate)).toMatchObject({ status: 422 });
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
  type Seen = { atMs: number; ageMs: number; valid: number; isInUseValid: boolean };
  const seen = new Map<CredentialRef, Seen[]>(CREDENTIALS.map((each) => [each, []]));
  const broken: string[] = [];
  let firstRuns: string[] = [];
  let beganMs = 0;

  beforeAll(async () => {
    firstRuns = await Promise.all(CREDENTIALS.map(runOf));
    beganMs = await h.temporal.currentTimeMs();
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
      if (index % 4 === 0) broken.push(...(await whoFails()));
    }
    for (const table of TABLES_OF_CREDENTIALS) await h.owner.$executeRawUnsafe(`DROP TRIGGER now_and_then ON ${table}`);
  }, 240_000);

  it('has failed at every step of a replacement', async () => {
    const failed = await Promise.all(CREDENTIALS.map((each, index) => failedActivities(each, firstRuns[index] ?? '')));
    const steps = ['issueCredential', 'deliverCredential', 'proveCredential', 'useCredential', 'retireOlder'];
    expect([...new Set(failed.flat())]).toEqual(expect.arrayContaining([...steps, 'proveRefused']));
  });

  it.each(CREDENTIALS)('$partnerId/$direction/$name is replaced, and at no moment without a valid one', (each) => {
    const samples = seen.get(each) ?? [];
    expect(samples).toHaveLength(SAMPLES);
    expect(samples.filter(({ isInUseValid, valid }) => !isInUseValid || valid < 1)).toEqual([]);
    expect(Math.max(...samples.map(({ ageMs }) => ageMs))).toBeLessThan(30 * DAY_MS);
    // Each lives for at most 23 days before its successor is issued.
    expect(replacements(samples).length).toBeGreaterThanOrEqual(3);
  });

  it.each(CREDENTIALS)('$partnerId/$direction/$name has never two beyond the overlap, and never three', (each) => {
    const samples = seen.get(each) ?? [];
    expect(Math.max(...samples.map(({ valid }) => valid))).toBe(2);
    const spans = samples.map(({ atMs }, index) => {
      const sinceMs = samples.slice(0, index + 1).findLast(({ valid }) => valid === 1)?.atMs ?? beganMs;
      return samples[index]?.valid === 2 ? atMs - sinceMs - SAMPLE_HOURS * HOUR_MS : 0;
    });
    expect(Math.max(...spans)).toBeLessThanOrEqual(OVERLAP_MS + REPEATS_MS);
  });

  it('neither our openings nor the partners’ calls failed, and nobody was alarmed but of what a partner let run out', async () => {
    expect(broken).toEqual([]);
    const alarms = await h.owner.securityAlert.findMany({
      where: { kind: 'credential-expiry' },
      orderBy: { raisedAt: 'asc' },
    });
    // shlagbaum announced no other certificate in all that time.
    expect(new Set(alarms.map(({ objectId }) => objectId))).toEqual(new Set([objectIdOf(CERTIFICATE)]));
    expect(alarms.map(({ scope }) => scope)).toEqual(['5-days', '3-days', '1-days', '0-days']);
  });

  it('partners did not rotate together: each credential began at an hour of its own', () => {
    const begun = BEGUN_BY_US.map((each) => {
      const [{ atMs, ageMs } = { atMs: 0, ageMs: 0 }] = replacements(seen.get(each) ?? []);
      return Math.floor((atMs - ageMs) / HOUR_MS);
    });
    expect(Math.min(...begun)).toBeGreaterThan(beganMs / HOUR_MS);
    expect(new Set(begun).size).toBe(BEGUN_BY_US.length);
  });

  /** The partner keeps to the thirty days: it makes the next key in time, announces it and signs with it. */
  async function announceIfOld(atMs: number): Promise<void> {
    const { version = 0, issuedAt = new Date(0) } = (await inUse(MESSAGE_KEY)) ?? {};
    if (atMs - issuedAt.getTime() < 21 * DAY_MS) return;
    const keyId = `kluch-at-${atMs.toString()}`;
    let made = await credentials.announceMessageKey(keyId);
    // Writes fail now and then; what was refused left nothing behind.
    while (made.answer.status !== 202) made = await credentials.announceMessageKey(keyId);
    const data = { announcedAt: new Date(atMs) };
    await until('it is as old as time says here', () =>
      h.owner.partnerCredential.updateMany({ where: { keyId }, data }).then(
        () => true,
        () => false,
      ),
    );
    await credentials.adopt('kluch', made.own);
    await until('it has been used', async () => {
      await credentials.call('kluch');
      return (await h.owner.partnerCredential.count({ where: { keyId, usedAt: { not: null } } })) === 1;
    });
    await until('it is in use', async () => {
      await h.temporal.sleep('1 minute');
      return (await inUse(MESSAGE_KEY))?.version === version + 1;
    });
  }

  /** The first sample of each successor. */
  const replacements = (samples: readonly Seen[]): Seen[] =>
    samples.filter(({ ageMs }, index) => ageMs < (samples[index - 1]?.ageMs ?? 0));

  /** What is valid, where it is checked: at the partner, or in the row of the client. */
  async function sample(credential: CredentialRef, atMs: number): Promise<Seen> {
    const current = await inUse(credential);
    const ageMs = atMs - (current?.issuedAt.getTime() ?? 0);
    const version = current?.version ?? 0;
    if (credential.direction === 'presented') {
      const ids = await credentials.accepted(credential);
      const isInUseValid = ids.includes(`domovoy-${credential.name}-${version.toString()}`);
      return { atMs, ageMs, valid: ids.length, isInUseValid };
    }
    if (credential.direction === 'announced') {
      const states = await credentials.standing(credential);
      const valid = states.filter((state) => state !== 'retired').length;
      return { atMs, ageMs, valid, isInUseValid: states.includes('active') };
    }
    if (credential.direction === 'own') {
      const purpose = credential === TOKEN_SIGNING_KEY ? 'token' : 'message';
      const kids = await publishedKeys(purpose);
      const { kid } = await h.owner.ownSigningKey.findUniqueOrThrow({
        where: { purpose_version: { purpose, version } },
      });
      return { atMs, ageMs, valid: kids.length, isInUseValid: kids.includes(kid) };
    }
    const hashes = await acceptedFrom(credential.partnerId);
    const shown = await secretChecks.matching(credential.name, await credentials.shownBy(credential.partnerId), hashes);
    // The partner shows the next one from its delivery on, and we count it as in use once it was seen.
    const kept = await credentials.hashOf(credential, version);
    const isInUseValid = shown !== null && kept !== null && hashes.includes(kept);
    return { atMs, ageMs, valid: hashes.length, isInUseValid };
  }

  async function whoFails(): Promise<string[]> {
    const openings = PARTNERS.map(({ id }) => credentials.openWithCurrent(id));
    const calls = ISSUED.map(async ({ partnerId }) => `${partnerId}: ${String(await credentials.call(partnerId))}`);
    const app = newApp();
    const results = await Promise.all([
      ...openings,
      ...calls,
      statusOf(app).then((status) => `app: ${String(status)}`),
    ]);
    await app.close();
    return results.filter((result) => result !== 'opened' && !/: 20[02]$/.test(result));
  }
});

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

type Presented = { readonly cert: string; readonly key: string };
type Presenting = {
  /** @returns the token endpoint's status */
  token(): Promise<number>;
  call(method: 'GET' | 'POST', path: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }>;
};

/** shlagbaum over connections with this certificate; a token that was given is kept. */
function presenting(harness: Harness, certificate: Presented): Presenting {
  const connect = { ca: harness.caPem, ...certificate };
  const send = async (method: 'GET' | 'POST', path: string, headers: Record<string, string>, body?: string) => {
    // One connection for each request: what a handshake showed is asked about anew.
    const dispatcher = new Agent({ connect });
    const answer = await request(harness.apiUrl + path, { dispatcher, method, headers, ...(body && { body }) });
    const text = await answer.body.text();
    await dispatcher.close();
    return { status: answer.statusCode, body: JSON.parse(text || '{}') as Record<string, unknown> };
  };
  const askToken = () =>
    send(
      'POST',
      '/oauth/token',
      { 'content-type': 'application/x-www-form-urlencoded' },
      'grant_type=client_credentials&client_id=shlagbaum',
    );
  let token: string | undefined;
  return {
    token: async () => (await askToken()).status,
    async call(method, path, body) {
      token ??= String((await askToken()).body['access_token']);
      const headers = { authorization: `Bearer ${token}`, 'idempotency-key': randomUUID() };
      return send(
        method,
        path,
        body ? { ...headers, 'content-type': 'application/json' } : headers,
        body && JSON.stringify(body),
      );
    },
  };
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
const kidOf = (token: string): string => decodeProtectedHeader(token).kid ?? '';
async function newToken(): Promise<string> {
  const basic = Buffer.from(`${APP_CLIENT_ID}:${h.secrets.appClient.value}`).toString('base64');
  const headers = { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' };
  const options = { method: 'POST', headers, body: 'grant_type=client_credentials' } as const;
  return String((await http.send(`${h.apiUrl}/oauth/token`, options)).body['access_token']);
}
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
  const { version = 0, issuedAt = new Date(0) } = (await inUse(PASSWORD)) ?? {};
  const endMs = issuedAt.getTime() + 30 * DAY_MS;
  await breakPartner(h, 'kluch', { endpoint: 'credentials', fault: 'error' });
  await h.temporal.sleep(endMs + HOUR_MS - (await h.temporal.currentTimeMs()));

  const alarms = await h.owner.securityAlert.findMany({
    where: { kind: 'credential-expiry', objectId: objectIdOf(PASSWORD) },
    orderBy: { raisedAt: 'asc' },
  });
  expect(alarms.map(({ scope }) => scope)).toEqual(['5-days', '3-days', '1-days', '0-days']);
  const daysBefore = alarms.map(({ raisedAt }) => (endMs - raisedAt.getTime()) / DAY_MS);
  [5, 3, 1, 0].forEach((day, index) => expect(Math.abs((daysBefore[index] ?? 99) - day)).toBeLessThan(5 / 1_440));
  expect((await credentials.outcomes(PASSWORD)).filter((each) => each.startsWith('expiry-alarm'))).toHaveLength(4);
  expect(await inUse(PASSWORD)).toMatchObject({ version });
  expect(await credentials.openWithCurrent('kluch')).toBe('opened');

  await mendEverything(h);
  await until('it is replaced then', async () => {
    await h.temporal.sleep('6 hours');
    return isReplaced(PASSWORD, version);
  });
  expect(await credentials.openWithCurrent('kluch')).toBe('opened');
}, 180_000);
