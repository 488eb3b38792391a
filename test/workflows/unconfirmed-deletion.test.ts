import { randomUUID } from 'node:crypto';
import { DefaultLogger, Runtime, type LogEntry } from '@temporalio/worker';
import { deletionWorkflowId } from '../../contracts/ids';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { partnerCall } from '../support/company-calls';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf, residentOf } from '../support/resident';
import { until } from '../support/until';

const kluch = partnerOf('kluch');

/** What workers log: alarms are made from the lines of level error. */
const alarms: LogEntry[] = [];
Runtime.install({
  logger: new DefaultLogger('ERROR', (entry) => {
    if ((entry.meta as { event?: string } | undefined)?.event === 'escalated') alarms.push(entry);
  }),
});

describe('a deletion that is not confirmed', () => {
  let h: Harness;
  let resident: ReturnType<typeof residentOf>;
  beforeAll(async () => {
    h = await createHarness();
    resident = residentOf(h);
  }, 120_000);
  afterAll(() => h.close());
  afterEach(() => mendEverything(h));

  const report = (partnerId: string, body: object, tampering?: string) =>
    partnerCall(h, partnerId, { path: '/partner/v1/webhooks/deletions', body, tampering });

  describe('while the partner has taken the order and not confirmed it', () => {
    let consentId = '';
    let token = '';
    beforeAll(async () => {
      ({ consentId } = await resident.enrolled(kluch));
      await breakPartner(h, 'kluch', { endpoint: 'face-deletions', fault: 'pending', delayMs: 3_600_000, times: 1 });
      await resident.withdraw(consentId);
      const where = { residentId_partnerId: { residentId: anna, partnerId: 'kluch' } };
      ({ token } = await h.owner.partnerSubject.findUniqueOrThrow({ where }));
      await until('the order is taken', async () =>
        (await resident.held(kluch)).some(({ state }) => state === 'deleting'),
      );
    });
    const event = (change: object = {}) => ({
      eventId: randomUUID(),
      clientId: token,
      houseId: kluch.partnerHouseId,
      at: new Date().toISOString(),
      ...change,
    });

    it('the consent says that the deletion goes on', async () => {
      expect(await resident.consent(consentId)).toMatchObject({
        status: 'withdrawn',
        deletion: { state: 'deleting', deletedAt: null },
      });
    });

    it('withdrawing again changes nothing and is answered alike', async () => {
      const before = await resident.journal(consentId);
      const again = await resident.withdraw(consentId);
      expect([again.status, again.body['status']]).toEqual([200, 'withdrawn']);
      expect(await resident.journal(consentId)).toEqual(before);
    });

    it('a new consent opens nothing by the old face, and a new photo waits', async () => {
      const next = await resident.consentTo('kluch');
      const upload = await resident.upload(kluch, next);
      expect([upload.status, upload.body['type']]).toEqual([409, '/problems/biometric-deletion-in-progress']);
      expect(await h.owner.stagedPhoto.count()).toBe(0);
    });

    it('a renewal is refused', async () => {
      const form = await h.app.get('/app/v1/consent-forms/current');
      const answer = await h.app.post(`/app/v1/consents/${consentId}/renewal`, { formSha256: form.body['sha256'] });
      expect([answer.status, answer.body['type']]).toEqual([409, '/problems/consent-state-conflict']);
    });

    it('a report of the deletion that comes too early, or twice, does not end it: the partner is asked and says no', async () => {
      const early = event();
      expect((await report('kluch', early)).status).toBe(202);
      expect((await report('kluch', early)).status).toBe(202);
      expect(await h.owner.partnerEvent.count({ where: { eventId: early.eventId } })).toBe(1);
      expect((await resident.consent(consentId)).deletion?.state).toBe('deleting');
      expect(await resident.held(kluch)).toHaveLength(1);
    });

    it('a forged report, one for another resident and one of another partner change nothing', async () => {
      const forged = event();
      expect((await report('kluch', forged, 'wrong-signature')).status).toBe(401);
      expect((await report('kluch', event({ clientId: randomUUID() }))).status).toBe(404);
      expect((await report('shlagbaum', event())).status).toBe(404);
      expect((await report('kluch', event({ houseId: 'nowhere' }))).status).toBe(404);
      expect((await report('kluch', event({ clientId: 'x' }))).status).toBe(400);
      expect(await h.owner.partnerEvent.count({ where: { eventId: forged.eventId } })).toBe(0);
      expect((await resident.consent(consentId)).deletion?.state).toBe('deleting');
    });

    it('an hour later a person is called, the partner is ordered anew and confirms; a late report changes nothing', async () => {
      await h.temporal.sleep('61 minutes');
      await resident.deleted(consentId);
      expect(await resident.held(kluch)).toEqual([]);
      const escalations = await h.owner.escalation.findMany({ where: { objectId: consentId } });
      expect(escalations).toMatchObject([{ level: 1, reason: 'DeletionPending', resolvedAt: expect.any(Date) }]);
      const before = await resident.journal(consentId);
      expect((await report('kluch', event())).status).toBe(202);
      expect(await resident.journal(consentId)).toEqual(before);
    });
  });

  it('calls a person after an hour, a day and every day of a month in which the partner is silent, and ends when it answers', async () => {
    const { consentId } = await resident.enrolled(kluch);
    const started = alarms.length;
    for (const endpoint of ['face-deletions', 'face-state']) {
      await breakPartner(h, 'kluch', { endpoint, fault: 'error' });
    }
    await resident.withdraw(consentId);
    const { requestedAt } = await h.owner.biometricDeletion.findUniqueOrThrow({ where: { id: consentId } });
    await h.temporal.sleep('30 days');
    await until('the last day is counted', async () => (await raised(consentId)).length >= 31);

    const hoursAfter = (await raised(consentId)).map(({ raisedAt }) =>
      Math.round((raisedAt.getTime() - requestedAt.getTime()) / 3_600_000),
    );
    expect(hoursAfter).toEqual([1, ...Array.from({ length: 30 }, (_, day) => (day + 1) * 24)]);
    expect((await raised(consentId)).every(({ resolvedAt }) => resolvedAt === null)).toBe(true);
    expect((await resident.journal(consentId)).filter((line) => line === 'escalation raised')).toHaveLength(31);
    expect(alarms.slice(started).map(({ level, meta }) => [level, (meta as { count: number }).count])).toEqual(
      hoursAfter.map((_, index) => ['ERROR', index + 1]),
    );
    expect(await resident.consent(consentId)).toMatchObject({ status: 'withdrawn', deletion: { state: 'deleting' } });
    expect(await resident.held(kluch)).toHaveLength(1);
    expect(await stateOf(consentId)).toBe('escalated');

    await mendEverything(h);
    await until('the partner confirms', async () => {
      await h.temporal.sleep('1 hour');
      return (await resident.consent(consentId)).deletion?.state === 'deleted';
    });
    expect(await resident.held(kluch)).toEqual([]);
    expect((await raised(consentId)).every(({ resolvedAt }) => resolvedAt !== null)).toBe(true);
    expect(await stateOf(consentId)).toBe('deleted');
  }, 280_000);

  const raised = (objectId: string) => h.owner.escalation.findMany({ where: { objectId }, orderBy: { level: 'asc' } });
  async function stateOf(consentId: string): Promise<unknown> {
    const handle = h.temporal.client.workflow.getHandle(deletionWorkflowId(consentId));
    return (await handle.describe()).typedSearchAttributes.get(STATE_ATTRIBUTE);
  }
});
