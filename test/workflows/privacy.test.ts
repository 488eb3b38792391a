import { readFileSync } from 'node:fs';
import { type temporal } from '@temporalio/proto';
import { projectFile } from '../../config/project-root';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';
import { textsOf } from '../support/histories';
import { staffMember } from '../support/staff';
import { ended, until } from '../support/until';

const photo = readFileSync(projectFile('sandbox/media/resident.jpg'));
const anna = RESIDENTS.anna;

describe('after the story, with every partner,', () => {
  let h: Harness;
  let histories: temporal.api.history.v1.IHistory[] = [];

  beforeAll(async () => {
    h = await createHarness({ server: 'real' });
    for (const partner of PARTNERS) await story(partner);
    const ids: string[] = [];
    for await (const { workflowId } of h.temporal.client.workflow.list()) ids.push(workflowId);
    expect(ids.length).toBeGreaterThanOrEqual(PARTNERS.length * 4);
    histories = await Promise.all(ids.map((id) => h.temporal.client.workflow.getHandle(id).fetchHistory()));
  }, 180_000);
  afterAll(() => h.close());

  async function story(partner: TownPartner): Promise<void> {
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId: partner.id, formId: form.body['formId'], formSha256: form.body['sha256'] };
    const consent = await h.app.post(`/app/v1/residents/${anna.id}/consents`, request);
    const query = `consentId=${String(consent.body['consentId'])}&houseId=${partner.houseId}`;
    const { body } = await h.app.post(`/app/v1/residents/${anna.id}/face-enrollments?${query}`, photo);
    await ended(h, `enrollment/${String(body['enrollmentId'])}`);
    const { company } = await h.sandbox.showFace(partner.id, partner.doorDeviceId, photo);
    expect(company?.status).toBe(200);
    await h.app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId: anna.id });
    await h.app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId: RESIDENTS.boris.id });
  }

  it('no payload, id, memo, search attribute or failure of any execution holds a name, photo, vector or plate', async () => {
    const { stored, opened } = await textsOf(h, histories);
    expect(opened).toContain(anna.id); // the opaque id is there, so we did look inside
    for (const text of [stored, opened]) {
      for (const name of [anna.name, RESIDENTS.boris.name, ...anna.name.split(' ')]) expect(text).not.toContain(name);
      expect(text).not.toContain(photo.subarray(100, 160).toString('base64'));
      // As yes or no: a failing match would print the whole history.
      expect(/(-?0\.\d{4,},\s*){8}/.test(text)).toBe(false);
      expect(/"(faceVector|vector|photo|plate)"/.test(text)).toBe(false);
    }
    expect(/"name"/.test(opened)).toBe(false); // outside of payloads it is the name of queues and activities
  });

  it('payloads are encrypted as the server stores them', async () => {
    const { stored } = await textsOf(h, histories);
    expect(stored).not.toContain('openingId');
    expect(stored).not.toContain(Buffer.from('"openingId"').toString('base64'));
  });

  it('staff with the permission read payloads through the codec server, from our pages and the Temporal UI only, and it is written down', async () => {
    const [started] = histories.flatMap(({ events }) =>
      (events ?? []).flatMap((event) => event.workflowExecutionStartedEventAttributes?.input?.payloads ?? []),
    );
    const base64 = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString('base64');
    const encrypted = {
      metadata: Object.fromEntries(
        Object.entries(started?.metadata ?? {}).map(([name, value]) => [name, base64(value)]),
      ),
      data: base64(started?.data),
    };
    const strange = {
      ...encrypted,
      metadata: { ...encrypted.metadata, 'encryption-key-id': base64(Buffer.from('gone')) },
    };
    const path = '/staff/v1/codec/decode';
    const body = { payloads: [encrypted, strange] };
    const operations = await staffMember(h, ['operations']);
    const answer = await operations.call('post', path, { body });
    const [decoded, same] = (answer.body as { payloads: { data: string }[] }).payloads;
    expect(JSON.parse(Buffer.from(decoded?.data ?? '', 'base64').toString())).toBeInstanceOf(Object);
    expect(same).toEqual(strange);

    const asked = (origin: string) => operations.call('post', path, { body, csrfToken: '', origin });
    expect((await asked('https://temporal.company.example')).status).toBe(200);
    expect((await asked('https://temporal.company.example.evil.example')).status).toBe(403);
    expect((await (await staffMember(h, ['auditor'])).call('post', path, { body })).status).toBe(403);
    await until('it is written down', async () => {
      const actor = `staff/${operations.memberId}`;
      const where = { kind: 'exchange', actor, reason: 'decodePayloads', outcome: '200' };
      return (await h.owner.journalEntry.count({ where })) === 2;
    });
  });

  it('no log line holds a name, a token, a secret, a photo or a vector', async () => {
    const log = h.logLines.join('\n');
    expect(log.length).toBeGreaterThan(1_000);
    for (const secret of [
      h.secrets.appClient.value,
      h.secrets.fromVizorSecret.value,
      h.secrets.fromKluchPassword.value,
    ]) {
      expect(log).not.toContain(secret);
    }
    expect(log).not.toMatch(/eyJ[\w-]{20,}/);
    for (const name of anna.name.split(' ')) expect(log).not.toContain(name);
    expect(log).not.toMatch(/(-?0\.\d{4,},\s*){8}/);
    const { token } = await h.owner.partnerSubject.findFirstOrThrow();
    expect(log).not.toContain(token);
  });

  it('the database holds names and vectors sealed only', async () => {
    const profiles = await h.owner.residentProfile.findMany();
    for (const { sealed } of profiles) expect(Buffer.from(sealed).toString('utf8')).not.toMatch(/[А-я]{4}/);
    const templates = await h.owner.faceTemplate.findMany();
    expect(templates.length).toBeGreaterThan(0);
    for (const { sealed } of templates) expect(sealed.length).toBe(1 + 12 + 512 * 4 + 16);
  });
});
