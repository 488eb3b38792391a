import { randomUUID } from 'node:crypto';
import type { OpenAccessActivities } from '../../activities/open-access';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS, SERVICE, type TownPartner } from '../../stack/town';
import { createAppBackend } from '../../stack/story/app-backend';
import { breakBilling, breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { ended } from '../support/until';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const path = `/app/v1/access-points/${vizor.doorId}/openings`;
const anna = { residentId: RESIDENTS.anna.id };

describe('an opening on demand', () => {
  let h: Harness;
  /** Until then an opening that has ended does not return to its execution. */
  let holding = Promise.resolve();
  let release = (): void => undefined;
  const wrap = <T extends object>(activities: T): T => {
    const openings = activities as unknown as OpenAccessActivities;
    const held: OpenAccessActivities['attemptOpening'] = async (...request) => {
      const attempt = await openings.attemptOpening(...request);
      await holding;
      return attempt;
    };
    return { ...activities, attemptOpening: held };
  };
  beforeAll(async () => {
    h = await createHarness({ openWithinMs: 2_500, wrap });
    // The first opening of a process loads code and opens connections: it is no measure of the others.
    await h.app.post(path, { residentId: RESIDENTS.anna.id });
  }, 120_000);
  afterAll(() => h.close());
  afterEach(() => mendEverything(h));

  const effectsOf = ({ body }: { body: Record<string, unknown> }) =>
    h.sandbox.effects('vizor', `open/${String(body['openingId'])}`);
  const rowOf = ({ body }: { body: Record<string, unknown> }) =>
    h.owner.opening.findUniqueOrThrow({ where: { id: String(body['openingId']) } });

  it('opens once, however often the request is repeated', async () => {
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 5 }, () => h.app.post(path, anna, key)));
    answers.push(await h.app.post(path, anna, key));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    const [first = { body: {} }] = answers;
    expect(await effectsOf(first)).toBe(1);
  });

  it('opens once when two API processes get the same request at once', async () => {
    const other = await h.startAnotherApi();
    const { value: clientSecret } = h.secrets.appClient;
    const elsewhere = createAppBackend({ apiUrl: other.apiUrl, caPem: h.caPem, clientId: APP_CLIENT_ID, clientSecret });
    const key = randomUUID();
    const [a, b] = await Promise.all([h.app.post(path, anna, key), elsewhere.post(path, anna, key)]);
    expect([a.status, b.status]).toEqual([200, 200]);
    expect(a.body).toEqual(b.body);
    expect(await effectsOf(a)).toBe(1);
    await elsewhere.close();
  });

  it('answers as soon as the end is written, although Temporal does not know of it yet', async () => {
    holding = new Promise((resolve) => {
      release = resolve;
    });
    const answer = await h.app.post(path, anna);
    expect(answer.status).toBe(200);
    const openingId = String(answer.body['openingId']);
    const { status } = await h.temporal.client.workflow.getHandle(`open-access/${openingId}`).describe();
    expect(status.name).toBe('RUNNING');
    release();
    await ended(h, `open-access/${openingId}`);
    expect(await effectsOf(answer)).toBe(1);
  });

  it('answers in time while nobody can tell the API that openings end', async () => {
    await h.owner.$executeRaw`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE 'LISTEN answers_%'`;
    const answers = await Promise.all([h.app.post(path, anna), h.app.post(path, anna)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  });

  it('refuses a key that was used for another resident, and opens nothing for it', async () => {
    const key = randomUUID();
    const first = await h.app.post(path, anna, key);
    const second = await h.app.post(path, { residentId: RESIDENTS.boris.id }, key);
    expect(second.status).toBe(422);
    expect(await effectsOf(first)).toBe(1);
  });

  it('opens once although the answer to the first command was lost', async () => {
    await breakPartner(h, 'vizor', { endpoint: 'open', fault: 'lost-answer', times: 1 });
    const answer = await h.app.post(path, anna);
    expect(answer.status).toBe(200);
    expect(await effectsOf(answer)).toBe(1);
  });

  it('opens once after the partner failed twice', async () => {
    await breakPartner(h, 'vizor', { endpoint: 'open', fault: 'error', times: 2 });
    const answer = await h.app.post(path, anna);
    expect(answer.status).toBe(200);
    expect(await effectsOf(answer)).toBe(1);
  });

  it('says "unknown" of a command that was sent and not confirmed in its time, and sends no other afterwards', async () => {
    await breakPartner(h, 'vizor', { endpoint: 'open', fault: 'hang' });
    const answer = await h.app.post(path, anna);
    expect(answer.status).toBe(504);
    expect(answer.body['type']).toBe('/problems/opening-unknown');
    const calls = (await (await fetch(`${h.sandboxControlUrl}/partners/vizor/calls`)).json()) as {
      calls: { endpoint: string; at: string }[];
    };
    const { notAfter } = await rowOf(answer);
    const late = calls.calls.filter(({ endpoint, at }) => endpoint === 'open' && Date.parse(at) > notAfter.getTime());
    expect(late).toEqual([]);
  });

  it('says "expired" when no worker is there, and that is a promise: it does not open when workers come back', async () => {
    await h.stopWorkers();
    const key = randomUUID();
    const answer = await h.app.post(path, anna, key);
    expect(answer.status).toBe(504);
    expect(answer.body['type']).toBe('/problems/opening-expired');
    await h.startWorkers();
    const openingId = String(answer.body['openingId']);
    await ended(h, `open-access/${openingId}`);
    expect(await effectsOf(answer)).toBe(0);
    expect((await rowOf(answer)).status).toBe('expired');
    const said = await h.owner.journalEntry.findMany({ where: { objectId: String(answer.body['openingId']) } });
    expect(said.map(({ kind, outcome, sealed }) => [kind, outcome, sealed !== null])).toEqual([
      ['opening', 'expired', true],
    ]);
    const repeated = await h.app.post(path, anna, key);
    expect(repeated.body).toEqual(answer.body);
  });

  it('says "expired" when nobody could be identified in its time, to whom waits for a turn as well, and opens nothing', async () => {
    const show = () => h.sandbox.showPlate('vizor', vizor.barrierDeviceId, 'А123ВС77');
    const answers = await h.owner.$transaction(
      async (tx) => {
        // Whoever looks for a plate waits for this transaction.
        await tx.$executeRaw`LOCK TABLE vehicles IN ACCESS EXCLUSIVE MODE`;
        return Promise.all([show(), show()]);
      },
      { timeout: 30_000 },
    );
    for (const { company } of answers) {
      expect([company?.status, company?.body['type']]).toEqual([504, '/problems/opening-expired']);
      const row = await rowOf({ body: company?.body ?? {} });
      expect([row.status, row.attempts]).toEqual(['expired', 0]);
      expect(await effectsOf({ body: company?.body ?? {} })).toBe(0);
    }
  });

  describe('while billing is out', () => {
    it('goes by the last answer of billing', async () => {
      expect((await h.app.post(path, anna)).status).toBe(200);
      await breakBilling(h, { fault: 'error' });
      expect((await h.app.post(path, anna)).status).toBe(200);
    });

    it('denies when the last answer is too old', async () => {
      const { accountId } = vizor.flats.paid;
      await h.app.post(path, anna);
      await breakBilling(h, { fault: 'hang' });
      await h.owner.billingAnswer.update({
        where: { accountId_service: { accountId, service: SERVICE } },
        data: { asOf: new Date(Date.now() - 25 * 3_600_000) },
      });
      const answer = await h.app.post(path, anna);
      expect([answer.status, answer.body['reason']]).toEqual([403, 'try-later']);
      expect(await effectsOf(answer)).toBe(0);
    });

    it('denies when billing never answered, and when it answers nonsense', async () => {
      await h.owner.billingAnswer.deleteMany();
      await breakBilling(h, { fault: 'garbage' });
      const answer = await h.app.post(path, anna);
      expect([answer.status, answer.body['reason']]).toEqual([403, 'try-later']);
      expect(await effectsOf(answer)).toBe(0);
    });

    it('asks again inside the time: one failure does not deny', async () => {
      await h.owner.billingAnswer.deleteMany();
      await breakBilling(h, { fault: 'error', times: 1 });
      expect((await h.app.post(path, anna)).status).toBe(200);
    });
  });

  describe('is denied, and no command leaves,', () => {
    const device = { where: { id: vizor.doorId } };
    const right = { where: { id: vizor.flats.paid.rightId } };
    const resident = { where: { id: RESIDENTS.anna.id } };
    /** Around the clock, and never within a day from now. */
    const otherDays = {
      id: randomUUID(),
      accessPointId: vizor.doorId,
      integration: vizor.integration,
      days: [((new Date().getUTCDay() + 2) % 7) + 1],
      fromMinute: 0,
      toMinute: 0,
      setBy: 'test',
    };
    const cases: [string, string, (h: Harness) => Promise<unknown>, (h: Harness) => Promise<unknown>][] = [
      [
        'when the service is not paid for',
        'service-unpaid',
        (h) => setStanding(h, 'unpaid'),
        (h) => setStanding(h, 'paid'),
      ],
      [
        'at a blocked device',
        'device-unavailable',
        (h) => h.owner.accessPoint.update({ ...device, data: { status: 'blocked' } }),
        (h) => h.owner.accessPoint.update({ ...device, data: { status: 'active' } }),
      ],
      [
        'to somebody whose right has ended',
        'no-right',
        (h) => h.owner.propertyRight.update({ ...right, data: { endsAt: new Date() } }),
        (h) => h.owner.propertyRight.update({ ...right, data: { endsAt: null } }),
      ],
      [
        'to somebody whose right has not begun',
        'no-right',
        (h) => h.owner.propertyRight.update({ ...right, data: { startsAt: new Date(Date.now() + 3_600_000) } }),
        (h) => h.owner.propertyRight.update({ ...right, data: { startsAt: new Date(0) } }),
      ],
      [
        'outside of the hours of the door',
        'outside-hours',
        (h) => h.owner.visitingHours.create({ data: otherDays }),
        (h) => h.owner.visitingHours.deleteMany(),
      ],
      [
        'to a resident who is blocked',
        'no-right',
        (h) => h.owner.resident.update({ ...resident, data: { status: 'blocked' } }),
        (h) => h.owner.resident.update({ ...resident, data: { status: 'active' } }),
      ],
    ];

    it.each(cases)('%s', async (_name, reason, spoil, mend) => {
      await spoil(h);
      try {
        const answer = await h.app.post(path, anna);
        expect([answer.status, answer.body['type'], answer.body['reason']]).toEqual([
          403,
          '/problems/access-denied',
          reason,
        ]);
        expect(await effectsOf(answer)).toBe(0);
        const evidence = await h.owner.journalEntry.findMany({ where: { objectId: String(answer.body['openingId']) } });
        expect(evidence.map(({ outcome }) => outcome)).toEqual(['denied']);
      } finally {
        await mend(h);
      }
    });
  });

  it('writes one piece of evidence for each opening, in the transaction of its end', async () => {
    const answer = await h.app.post(path, anna);
    const evidence = await h.owner.journalEntry.findMany({ where: { objectId: String(answer.body['openingId']) } });
    expect(evidence).toHaveLength(1);
    expect(evidence[0]).toMatchObject({ kind: 'opening', outcome: 'opened', integration: 'smart-home' });
  });
});

async function setStanding(h: Harness, standing: 'paid' | 'unpaid'): Promise<void> {
  const url = `${h.billingControlUrl}/control/accounts/${vizor.flats.paid.accountId}/services/${SERVICE}`;
  const init = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ standing }) };
  const answer = await fetch(url, init);
  if (!answer.ok) throw new Error('billing refused');
}
