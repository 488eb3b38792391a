import { PARTNERS, RESIDENTS } from '../../stack/town';
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

const DAY_MS = 86_400_000;

let h: Harness;
let credentials: CredentialsOf;
beforeEach(async () => {
  h = await createHarness();
  credentials = credentialsOf(h);
}, 120_000);
afterEach(() => h.close());

it('replaces every credential within thirty days; the old ones are refused and gone, the new ones work', async () => {
  await credentials.round();
  await h.temporal.sleep('30 days');

  for (const credential of CREDENTIALS) {
    const versions = await credentials.versions(credential);
    const first = credential.direction === 'presented' ? [{ state: 'retired', destroyed: true }] : [];
    expect({ credential, versions }).toMatchObject({
      credential,
      versions: [{ state: 'active', destroyed: false }, ...first],
    });
  }
  for (const { id } of PARTNERS) expect(await credentials.openWithCurrent(id)).toBe('opened');
  for (const credential of PRESENTED) {
    expect(await credentials.openWithFirst(credential)).toBe(`${credential.partnerId}: PartnerUnauthorized`);
  }
  for (const { partnerId } of ISSUED) {
    expect(await credentials.call(partnerId)).toBe(202);
  }
  expect(await credentials.callWithFirst('kluch')).toBe(401);
  // It gets no token to call with.
  expect(await credentials.callWithFirst('vizor')).toBeNull();
  expect(await h.owner.securityAlert.count()).toBe(0);
}, 180_000);

it('begins at another moment for each credential, and none lives longer than thirty days', async () => {
  const before = Date.now();
  await credentials.round();
  await h.temporal.sleep('30 days');
  const begun = await Promise.all(
    CREDENTIALS.map(async (credential) => {
      const [newest] = await credentials.versions(credential);
      return newest?.issuedAt.getTime() ?? 0;
    }),
  );
  expect(new Set(begun.map((at) => Math.floor(at / 3_600_000))).size).toBe(CREDENTIALS.length);
  // The old one ends a day later, when the overlap does.
  for (const at of begun) expect(at - before).toBeLessThan(29 * DAY_MS);
}, 180_000);

it('keeps the old one alive while delivery fails for weeks, and alarms exactly 5, 3, 1 and 0 days before its end', async () => {
  const [password] = PRESENTED;
  if (!password) throw new Error('no credential');
  const [version] = await credentials.versions(password);
  const endMs = (version?.issuedAt.getTime() ?? 0) + 30 * DAY_MS;
  await breakPartner(h, 'kluch', { endpoint: 'credentials', fault: 'error' });
  await credentials.start(password);
  await h.temporal.sleep('40 days');

  const alarms = await h.owner.securityAlert.findMany({
    where: { kind: 'credential-expiry', objectId: objectIdOf(password) },
    orderBy: { raisedAt: 'asc' },
  });
  const daysBefore = alarms.map(({ raisedAt }) => (endMs - raisedAt.getTime()) / DAY_MS);
  expect(alarms.map(({ scope }) => scope)).toEqual(['5-days', '3-days', '1-days', '0-days']);
  [5, 3, 1, 0].forEach((day, index) => expect(Math.abs((daysBefore[index] ?? 99) - day)).toBeLessThan(5 / 1_440));
  expect(await credentials.openWithFirst(password)).toBe('opened');
  expect(await credentials.outcomes(password)).toEqual([
    'issued version-2',
    ...[5, 3, 1, 0].map((day) => `expiry-alarm ${day.toString()}-days`),
  ]);

  await mendEverything(h);
  // The circuit breaker goes by the real clock.
  await until('the old one is gone', async () => {
    await h.temporal.sleep('7 hours');
    return (await credentials.versions(password)).at(-1)?.destroyed === true;
  });
  expect(await credentials.openWithFirst(password)).toBe('kluch: PartnerUnauthorized');
  expect(await credentials.openWithCurrent('kluch')).toBe('opened');
}, 180_000);

it('replaces once when the answer to every call is lost', async () => {
  const [, key] = PRESENTED;
  if (!key) throw new Error('no credential');
  await breakPartner(h, 'kluch', { endpoint: 'credentials', fault: 'lost-answer', times: 2 });
  await credentials.start(key);
  await h.temporal.client.workflow.getHandle(rotationOf(key)).signal('revokeCredential');
  await until('it is replaced', async () => (await credentials.versions(key)).at(-1)?.destroyed === true);
  expect(await credentials.versions(key)).toMatchObject([{ version: 2, state: 'active' }, { version: 1 }]);
  expect(await credentials.openWithFirst(key)).toBe('kluch: PartnerUnauthorized');
}, 60_000);

it('does not take a new one into use that the partner refuses, though it said that it accepts it', async () => {
  const [, , secret] = PRESENTED;
  if (!secret) throw new Error('no credential');
  await breakPartner(h, 'vizor', { endpoint: 'token', fault: 'unauthorized' });
  await credentials.start(secret);
  await h.temporal.client.workflow.getHandle(rotationOf(secret)).signal('revokeCredential');
  await until('it was issued', async () => (await credentials.versions(secret)).length === 2);
  await h.temporal.sleep('1 hour');
  expect(await credentials.versions(secret)).toMatchObject([{ state: 'pending' }, { state: 'active' }]);
}, 60_000);

describe('a revocation', () => {
  it.each(PRESENTED)(
    'of $partnerId/$name ends the old one at once and leaves a new one that works',
    async (credential) => {
      await credentials.round();
      const handle = h.temporal.client.workflow.getHandle(rotationOf(credential));
      await handle.signal('revokeCredential');
      await until(
        'the old one is gone',
        async () => (await credentials.versions(credential)).at(-1)?.destroyed === true,
      );
      expect(await credentials.openWithFirst(credential)).toBe(`${credential.partnerId}: PartnerUnauthorized`);
      expect(await credentials.openWithCurrent(credential.partnerId)).toBe('opened');
      expect(
        (
          await h.app.post(`/app/v1/access-points/${doorOf(credential.partnerId)}/openings`, {
            residentId: RESIDENTS.anna.id,
          })
        ).status,
      ).toBe(200);
    },
  );

  it.each(ISSUED)('of what $partnerId shows us ends it at once, also while the partner is out', async (credential) => {
    const { partnerId } = credential;
    expect(await credentials.call(partnerId)).toBe(202);
    await breakPartner(h, partnerId, { endpoint: 'credentials', fault: 'error' });
    await credentials.start(credential);
    await h.temporal.client.workflow.getHandle(rotationOf(credential)).signal('revokeCredential');
    const client = () => h.owner.oAuthClient.findUniqueOrThrow({ where: { id: partnerId } });
    const [first] = (await client()).secretHashes;
    await until('the old one is valid no longer', async () => !(await client()).secretHashes.includes(first ?? ''));
    expect((await client()).secretHashes).toHaveLength(1);
    expect(await credentials.callWithFirst(partnerId)).not.toBe(202);

    await mendEverything(h);
    await until('the partner has the new one', async () => {
      await h.temporal.sleep('10 minutes');
      return (await credentials.versions(credential)).some(({ state }) => state === 'active');
    });
    expect(await credentials.call(partnerId)).toBe(202);
  });
});

it('has one execution for each credential, however often the round comes by', async () => {
  await credentials.round();
  const runs = async () =>
    Promise.all(
      CREDENTIALS.map(async (each) => (await h.temporal.client.workflow.getHandle(rotationOf(each)).describe()).runId),
    );
  const first = await runs();
  await credentials.round();
  expect(await runs()).toEqual(first);
  expect(new Set(first).size).toBe(CREDENTIALS.length);
});

const doorOf = (partnerId: string): string => PARTNERS.find(({ id }) => id === partnerId)?.doorId ?? '';
