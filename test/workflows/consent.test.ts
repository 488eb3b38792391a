import { randomUUID } from 'node:crypto';
import { RESIDENTS } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';
import { partnerOf, residentOf } from '../support/resident';
import { until } from '../support/until';

const anna = RESIDENTS.anna.id;
const path = `/app/v1/residents/${anna}/consents`;

describe('a consent', () => {
  let h: Harness;
  beforeAll(async () => {
    h = await createHarness();
  }, 120_000);
  afterAll(() => h.close());

  async function request(change: Record<string, unknown> = {}) {
    const { body } = await h.app.get('/app/v1/consent-forms/current');
    return { partnerId: 'vizor', formId: body['formId'], formSha256: body['sha256'], ...change };
  }

  it('is granted once, however often the request is repeated, and its term does not stretch', async () => {
    const key = randomUUID();
    const first = await h.app.post(path, await request(), key);
    const second = await h.app.post(path, await request(), key);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body).toEqual(first.body);
    const evidence = await h.owner.journalEntry.findMany({ where: { objectId: String(first.body['consentId']) } });
    expect(evidence.filter(({ outcome }) => outcome === 'granted')).toHaveLength(1);
  });

  it('is refused for a form whose text is another one, and for a form that was replaced', async () => {
    const wrong = await h.app.post(path, await request({ formSha256: '0'.repeat(64) }));
    expect(wrong.status).toBe(409);
    const current = await request();
    await h.owner.consentForm.updateMany({ data: { retiredAt: new Date() } });
    const outdated = await h.app.post(path, current);
    await h.owner.consentForm.updateMany({ data: { retiredAt: null } });
    expect([outdated.status, outdated.body['type']]).toEqual([409, '/problems/consent-form-outdated']);
  });

  it('is not renewed by a form that is another one, was replaced, or when it is not in force', async () => {
    const { body } = await h.app.post(path, await request());
    const consentId = String(body['consentId']);
    const { formSha256 } = await request();
    const renewal = async (sha256: unknown, id = consentId) => {
      const answer = await h.app.post(`/app/v1/consents/${id}/renewal`, { formSha256: sha256 });
      return [answer.status, answer.body['type']];
    };
    expect(await renewal('0'.repeat(64))).toEqual([409, '/problems/consent-form-outdated']);
    await h.owner.consentForm.updateMany({ data: { retiredAt: new Date() } });
    const outdated = await renewal(formSha256);
    await h.owner.consentForm.updateMany({ data: { retiredAt: null } });
    expect(outdated).toEqual([409, '/problems/consent-form-outdated']);
    expect(await renewal(formSha256, randomUUID())).toEqual([404, '/problems/not-found']);
    expect(await renewal('x')).toEqual([400, '/problems/invalid-request']);
    await h.owner.consent.update({ where: { id: consentId }, data: { status: 'expired' } });
    expect(await renewal(formSha256)).toEqual([409, '/problems/consent-state-conflict']);
    const row = await h.owner.consent.findUniqueOrThrow({ where: { id: consentId } });
    expect(row.expiresAt.toISOString()).toBe(body['expiresAt']);
  });

  it('has a later term after a renewal, once for each key, and another consent is not touched by it', async () => {
    const first = (await h.app.post(path, await request())).body;
    const other = (await h.app.post(path, await request())).body;
    const { formSha256 } = await request();
    const key = randomUUID();
    const url = `/app/v1/consents/${String(first['consentId'])}/renewal`;
    const answers = [await h.app.post(url, { formSha256 }, key), await h.app.post(url, { formSha256 }, key)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[1]?.body).toEqual(answers[0]?.body);
    expect(Date.parse(String(answers[0]?.body['expiresAt']))).toBeGreaterThan(Date.parse(String(first['expiresAt'])));
    expect(answers[0]?.body['grantedAt']).toBe(first['grantedAt']);
    const evidence = await h.owner.journalEntry.findMany({ where: { objectId: String(first['consentId']) } });
    expect(evidence.map(({ outcome }) => outcome)).toEqual(['granted', 'renewed']);
    const untouched = await h.app.get(`/app/v1/consents/${String(other['consentId'])}`);
    expect(untouched.body['expiresAt']).toBe(other['expiresAt']);
  });

  it('expires at the end of its term, in the row too', async () => {
    const { body } = await h.app.post(path, await request());
    const consentId = String(body['consentId']);
    const result = await h.temporal.client.workflow.getHandle(`consent/${consentId}`).result();
    expect(result).toMatchObject({ status: 'expired', revision: 2 });
    const row = await h.owner.consent.findUniqueOrThrow({ where: { id: consentId } });
    expect(row.status).toBe('expired');
  });
});

describe('the term of a consent', () => {
  const kluch = partnerOf('kluch');
  let h: Harness;
  let resident: ReturnType<typeof residentOf>;
  beforeAll(async () => {
    h = await createHarness();
    resident = residentOf(h);
  }, 120_000);
  afterAll(() => h.close());

  const reminders = async () =>
    (await h.app.get(`/app/v1/residents/${anna}/reminders`)).body['items'] as { daysBefore: number }[];

  it('is told of 30, 7 and 1 days before its end, once each, anew after a renewal; its end deletes the face', async () => {
    const { consentId } = await resident.enrolled(kluch);
    const days = async () => (await reminders()).map(({ daysBefore }) => daysBefore).toSorted((a, b) => a - b);
    const told = (wanted: number[]) =>
      until(`reminders of ${wanted.join(', ')} days`, async () => (await days()).join() === wanted.join());
    await h.temporal.sleep('334 days');
    expect(await days()).toEqual([]);
    await h.temporal.sleep('2 days');
    await told([30]);
    await h.temporal.sleep('684 hours');
    await told([1, 7, 30]);

    const { body } = await h.app.get('/app/v1/consent-forms/current');
    const renewed = await h.app.post(`/app/v1/consents/${consentId}/renewal`, { formSha256: body['sha256'] });
    expect(renewed.status).toBe(200);
    // What was said of the earlier term is shown no more.
    expect(await days()).toEqual([]);
    await h.temporal.sleep('336 days');
    await told([30]);

    expect(await resident.held(kluch)).toHaveLength(1);
    // Not by sleeping: the time-skipping server skips no more time once a child execution has begun.
    await h.temporal.client.workflow.getHandle(`consent/${consentId}`).result();
    await resident.deleted(consentId);
    expect(await resident.consent(consentId)).toMatchObject({ status: 'expired', endedAt: expect.any(String) });
    expect(await resident.held(kluch)).toEqual([]);
    expect(await reminders()).toEqual([]);
    expect(await h.owner.reminder.count({ where: { consentId } })).toBe(6);
    expect((await resident.atTheDoor(kluch)).seen).toBe('no-match');
  });
});
