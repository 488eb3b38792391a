import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { compactDecrypt, importJWK } from 'jose';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { TOKEN_SIGNING_KEY, type CredentialRef } from '../../contracts/credentials';
import { createAppBackend, type AppBackend } from '../../stack/story/app-backend';
import { createClient } from '../../stack/story/http';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS } from '../../stack/town';
import { hashSecret } from '../../vault/secret-hash';
import {
  CREDENTIALS as PARTNERS_CREDENTIALS,
  credentialsOf,
  ISSUED,
  objectIdOf,
  PRESENTED,
  rotationOf,
  type CredentialsOf,
} from '../support/credentials';
import { breakPartner, mendEverything } from '../support/faults';
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
}, 120_000);
afterEach(() => mendEverything(h));
afterAll(async () => {
  await http.close();
  await h.close();
});

const [PASSWORD, KEY, CLIENT_SECRET] = PRESENTED as [CredentialRef, CredentialRef, CredentialRef];
const CREDENTIALS: readonly CredentialRef[] = [...PARTNERS_CREDENTIALS, TOKEN_SIGNING_KEY];
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
    await h.owner.tokenKeyReader.create({ data: { processId: behind, kids: [] } });
    await credentials.revoke(TOKEN_SIGNING_KEY);
    await until('the API publishes both', async () => (await publishedKeys()).length === 2);
    expect(await inUse(TOKEN_SIGNING_KEY)).toMatchObject({ version });
    await h.owner.tokenKeyReader.delete({ where: { processId: behind } });
    await until('the new one is alone', () => isReplaced(TOKEN_SIGNING_KEY, version));
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

  it('neither our openings nor the partners’ calls failed, and nobody was alarmed', async () => {
    expect(broken).toEqual([]);
    expect(await h.owner.securityAlert.count({ where: { kind: 'credential-expiry' } })).toBe(0);
  });

  it('partners did not rotate together: each credential began at an hour of its own', () => {
    const begun = CREDENTIALS.map((each) => {
      const [{ atMs, ageMs } = { atMs: 0, ageMs: 0 }] = replacements(seen.get(each) ?? []);
      return Math.floor((atMs - ageMs) / HOUR_MS);
    });
    expect(Math.min(...begun)).toBeGreaterThan(beganMs / HOUR_MS);
    expect(new Set(begun).size).toBe(CREDENTIALS.length);
  });

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
    if (credential.direction === 'own') {
      const kids = await publishedKeys();
      const { kid } = await h.owner.tokenSigningKey.findUniqueOrThrow({ where: { version } });
      return { atMs, ageMs, valid: kids.length, isInUseValid: kids.includes(kid) };
    }
    const hashes = await acceptedFrom(credential.partnerId);
    const isInUseValid = hashes.includes(hashSecret(await credentials.valueOf(credential, version)));
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

const TABLES_OF_CREDENTIALS = ['secrets', 'token_signing_keys'];

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
/** Key ids of `/oauth/jwks`. */
async function publishedKeys(): Promise<string[]> {
  const { body } = await http.send(`${h.apiUrl}/oauth/jwks`, {});
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
