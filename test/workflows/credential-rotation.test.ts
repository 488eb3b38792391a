import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { CredentialRef } from '../../contracts/credentials';
import { PARTNERS, RESIDENTS } from '../../stack/town';
import { hashSecret } from '../../vault/secret-hash';
import {
  CREDENTIALS,
  credentialsOf,
  ISSUED,
  objectIdOf,
  PRESENTED,
  rotationOf,
  type CredentialsOf,
} from '../support/credentials';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
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
beforeAll(async () => {
  h = await createHarness();
  credentials = credentialsOf(h);
}, 120_000);
afterEach(() => mendEverything(h));
afterAll(() => h.close());

const [PASSWORD, KEY, CLIENT_SECRET] = PRESENTED as [CredentialRef, CredentialRef, CredentialRef];
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
  const SAMPLE_HOURS = 8;
  const SAMPLES = (90 * 24) / SAMPLE_HOURS;
  type Seen = { atMs: number; ageMs: number; valid: number; isInUseValid: boolean };
  const seen = new Map<CredentialRef, Seen[]>(CREDENTIALS.map((each) => [each, []]));
  const broken: string[] = [];
  let firstRuns: string[] = [];
  let beganMs = 0;

  beforeAll(async () => {
    firstRuns = await Promise.all(CREDENTIALS.map(runOf));
    beganMs = await h.temporal.currentTimeMs();
    await refuseEveryThirdWriteOfASecret();
    for (const { id } of PARTNERS) {
      // Fewer than half: the circuit breaker goes by the real clock, in which a day passes in an instant here.
      await breakPartner(h, id, { endpoint: 'credentials', fault: 'error', every: 4 });
      await breakPartner(h, id, { endpoint: 'credentials', fault: 'lost-answer', every: 5 });
    }
    for (let index = 0; index < SAMPLES; index++) {
      await h.temporal.sleep(SAMPLE_HOURS * HOUR_MS);
      const atMs = await h.temporal.currentTimeMs();
      await Promise.all(CREDENTIALS.map(async (each) => seen.get(each)?.push(await sample(each, atMs))));
      if (index % 6 === 0) broken.push(...(await whoFails()));
    }
    await h.owner.$executeRaw`DROP TRIGGER refuse_now_and_then ON secrets`;
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
    const hashes = await acceptedFrom(credential.partnerId);
    const isInUseValid = hashes.includes(hashSecret(await credentials.valueOf(credential, version)));
    return { atMs, ageMs, valid: hashes.length, isInUseValid };
  }

  async function whoFails(): Promise<string[]> {
    const openings = PARTNERS.map(({ id }) => credentials.openWithCurrent(id));
    const calls = ISSUED.map(async ({ partnerId }) => `${partnerId}: ${String(await credentials.call(partnerId))}`);
    const results = await Promise.all([...openings, ...calls]);
    return results.filter((result) => result !== 'opened' && !result.endsWith(': 202'));
  }
});

/** Our own tables fail too: every third change of a secret's row is refused, and counted although it is rolled back. */
async function refuseEveryThirdWriteOfASecret(): Promise<void> {
  await h.owner.$executeRaw`CREATE SEQUENCE writes_of_secrets`;
  await h.owner.$executeRaw`
    CREATE FUNCTION refuse_now_and_then() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF nextval('writes_of_secrets') % 3 = 0 THEN RAISE EXCEPTION 'not now'; END IF;
      RETURN NEW;
    END $$`;
  await h.owner.$executeRaw`
    CREATE TRIGGER refuse_now_and_then BEFORE INSERT OR UPDATE ON secrets FOR EACH ROW EXECUTE FUNCTION refuse_now_and_then()`;
}

const acceptedFrom = async (partnerId: string): Promise<string[]> =>
  (await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: partnerId } })).secretHashes;

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
