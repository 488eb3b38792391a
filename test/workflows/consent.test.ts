import { randomUUID } from 'node:crypto';
import { RESIDENTS } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';

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

  it('expires at the end of its term, in the row too', async () => {
    const { body } = await h.app.post(path, await request());
    const consentId = String(body['consentId']);
    const result = await h.temporal.client.workflow.getHandle(`consent/${consentId}`).result();
    expect(result).toMatchObject({ status: 'expired', revision: 2 });
    const row = await h.owner.consent.findUniqueOrThrow({ where: { id: consentId } });
    expect(row.status).toBe('expired');
  });
});
