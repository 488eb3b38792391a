import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { projectFile } from '../../config/project-root';
import { partnerCall } from '../support/company-calls';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { ended, until } from '../support/until';

const photo = readFileSync(projectFile('sandbox/media/resident.jpg'));
const partnerOf = (id: string) => PARTNERS.find((partner) => partner.id === id) as TownPartner;
const vizor = partnerOf('vizor');
const kluch = partnerOf('kluch');
const anna = RESIDENTS.anna.id;

describe('an enrollment', () => {
  let h: Harness;
  beforeAll(async () => {
    h = await createHarness();
  }, 120_000);
  afterAll(() => h.close());
  afterEach(() => mendEverything(h));

  async function consentTo(partnerId: string, residentId: string = anna): Promise<string> {
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId, formId: form.body['formId'], formSha256: form.body['sha256'] };
    const { status, body } = await h.app.post(`/app/v1/residents/${residentId}/consents`, request);
    expect(status).toBe(201);
    return String(body['consentId']);
  }

  const upload = (partner: TownPartner, consentId: string, key: string = randomUUID(), bytes: Buffer = photo) =>
    h.app.post(
      `/app/v1/residents/${anna}/face-enrollments?consentId=${consentId}&houseId=${partner.houseId}`,
      bytes,
      key,
    );

  async function outcome(enrollmentId: string): Promise<string> {
    await ended(h, `enrollment/${enrollmentId}`);
    const { body } = await h.app.get(`/app/v1/face-enrollments/${enrollmentId}`);
    return String(body['state']);
  }

  const stagedPhotos = () => h.owner.stagedPhoto.count();
  const holdings = async (partnerId: string) =>
    (await (await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/holdings`)).json()) as {
      faces: { state: string; clientId: string; houseId: string }[];
    };

  it('in company custody leaves a sealed vector with us, no photo, and nothing at the partner', async () => {
    const { body } = await upload(vizor, await consentTo('vizor'));
    expect(await outcome(String(body['enrollmentId']))).toBe('active');
    const template = await h.owner.faceTemplate.findUniqueOrThrow({
      where: { enrollmentId: String(body['enrollmentId']) },
    });
    expect(template.active).toBe(true);
    expect(await stagedPhotos()).toBe(0);
    expect((await holdings('vizor')).faces).toEqual([]);
  });

  it('in partner custody leaves nothing with us but the fact, and the partner knows a token and its house', async () => {
    const { body } = await upload(kluch, await consentTo('kluch'));
    expect(await outcome(String(body['enrollmentId']))).toBe('active');
    expect(await stagedPhotos()).toBe(0);
    expect(await h.owner.faceTemplate.count({ where: { partnerId: 'kluch' } })).toBe(0);
    const { token } = await h.owner.partnerSubject.findUniqueOrThrow({
      where: { residentId_partnerId: { residentId: anna, partnerId: 'kluch' } },
    });
    expect((await holdings('kluch')).faces).toMatchObject([
      { clientId: token, houseId: kluch.partnerHouseId, state: 'active' },
    ]);
    expect(token).not.toBe(anna);
  });

  it('is taken from the partner once, however often it reports it, and a late report changes nothing', async () => {
    await breakPartner(h, 'kluch', { endpoint: 'faces', fault: 'delay', delayMs: 700, times: 1 });
    const { body } = await upload(kluch, await consentTo('kluch'));
    const enrollmentId = String(body['enrollmentId']);
    const { token } = await h.owner.partnerSubject.findUniqueOrThrow({
      where: { residentId_partnerId: { residentId: anna, partnerId: 'kluch' } },
    });
    const at = new Date().toISOString();
    const event = { eventId: randomUUID(), clientId: token, houseId: kluch.partnerHouseId, state: 'active', at };
    const report = () => partnerCall(h, 'kluch', { path: '/partner/v1/webhooks/enrollments', body: event });
    expect(await Promise.all([report(), report()])).toMatchObject([{ status: 202 }, { status: 202 }]);
    // What it says is no proof: the partner is asked, and has not ended yet.
    expect((await h.app.get(`/app/v1/face-enrollments/${enrollmentId}`)).body['state']).not.toBe('active');
    expect(await outcome(enrollmentId)).toBe('active');
    const journal = () => h.owner.journalEntry.count({ where: { objectId: enrollmentId } });
    const before = await journal();
    expect((await report()).status).toBe(202);
    expect(await journal()).toBe(before);
    expect(await h.owner.partnerEvent.count({ where: { eventId: event.eventId } })).toBe(1);
    expect(await h.sandbox.effects('kluch', `enroll/${enrollmentId}`)).toBe(1);
  });

  it('is one, however often the upload is repeated', async () => {
    const consentId = await consentTo('vizor');
    const key = randomUUID();
    const answers = [await upload(vizor, consentId, key), await upload(vizor, consentId, key)];
    expect(new Set(answers.map(({ body }) => body['enrollmentId'])).size).toBe(1);
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    await outcome(String(answers[0]?.body['enrollmentId']));
  });

  it('is refused while another is in progress, and the other one goes on', async () => {
    await breakPartner(h, 'kluch', { endpoint: 'faces', fault: 'delay', delayMs: 700, times: 1 });
    const consentId = await consentTo('kluch');
    const first = await upload(kluch, consentId);
    const second = await upload(kluch, consentId);
    expect([first.status, second.status]).toEqual([202, 409]);
    expect(await outcome(String(first.body['enrollmentId']))).toBe('active');
    expect(await stagedPhotos()).toBe(0);
  });

  it('survives a lost answer of the partner with one effect', async () => {
    await breakPartner(h, 'kluch', { endpoint: 'faces', fault: 'lost-answer', times: 1 });
    const { body } = await upload(kluch, await consentTo('kluch'));
    const enrollmentId = String(body['enrollmentId']);
    expect(await outcome(enrollmentId)).toBe('active');
    expect(await h.sandbox.effects('kluch', `enroll/${enrollmentId}`)).toBe(1);
  });

  it('passes on why a photo was refused, and keeps nothing of it', async () => {
    await breakPartner(h, 'vizor', { endpoint: 'face-vectors', fault: 'refuse-photo', reason: 'too-dark', times: 1 });
    const { body } = await upload(vizor, await consentTo('vizor'));
    const enrollmentId = String(body['enrollmentId']);
    expect(await outcome(enrollmentId)).toBe('rejected');
    const view = await h.app.get(`/app/v1/face-enrollments/${enrollmentId}`);
    expect(view.body['refusal']).toBe('too-dark');
    expect(await h.owner.faceTemplate.count({ where: { enrollmentId } })).toBe(0);
    expect(await stagedPhotos()).toBe(0);
  });

  it('stops when the consent ends on the way, and the partner is told to delete', async () => {
    await breakPartner(h, 'kluch', { endpoint: 'face-state', fault: 'error' });
    const consentId = await consentTo('kluch');
    const { body } = await upload(kluch, consentId);
    const enrollmentId = String(body['enrollmentId']);
    await until('the photo was sent', async () => (await h.sandbox.effects('kluch', `enroll/${enrollmentId}`)) === 1);
    await h.owner.consent.update({ where: { id: consentId }, data: { status: 'withdrawn' } });
    await mendEverything(h);
    expect(await outcome(enrollmentId)).toBe('cancelled');
    expect(await h.sandbox.effects('kluch', `enroll-undo/${enrollmentId}`)).toBe(1);
    expect(await stagedPhotos()).toBe(0);
    expect((await holdings('kluch')).faces.every(({ state }) => state === 'deleted')).toBe(true);
  });

  it('is not begun without a consent in force, and stages nothing', async () => {
    const consentId = await consentTo('vizor');
    await h.owner.consent.update({ where: { id: consentId }, data: { expiresAt: new Date(Date.now() - 1) } });
    const answer = await upload(vizor, consentId);
    expect(answer.status).toBe(403);
    expect(await stagedPhotos()).toBe(0);
  });

  it('does not open a door by face at a partner that recognises faces itself, once the consent has ended', async () => {
    const { body } = await upload(kluch, await consentTo('kluch'));
    await outcome(String(body['enrollmentId']));
    expect((await h.sandbox.showFace('kluch', kluch.doorDeviceId, photo)).company?.status).toBe(200);
    await h.owner.consent.updateMany({ where: { partnerId: 'kluch' }, data: { status: 'withdrawn' } });
    const after = await h.sandbox.showFace('kluch', kluch.doorDeviceId, photo);
    expect(after.company?.status).toBe(403);
    const openingId = String(after.company?.body['openingId']);
    expect((await h.owner.opening.findUniqueOrThrow({ where: { id: openingId } })).reason).toBe('consent-missing');
    expect(await h.sandbox.effects('kluch', `open/${openingId}`)).toBe(0);
  });

  it('does not open a door by face once the consent has ended', async () => {
    const consentId = await consentTo('vizor');
    const { body } = await upload(vizor, consentId);
    await outcome(String(body['enrollmentId']));
    const before = await h.sandbox.showFace('vizor', vizor.doorDeviceId, photo);
    expect(before.company?.status).toBe(200);
    await h.owner.consent.updateMany({ where: { partnerId: 'vizor' }, data: { status: 'withdrawn' } });
    const after = await h.sandbox.showFace('vizor', vizor.doorDeviceId, photo);
    expect(after.company?.status).toBe(403);
    const openingId = String(after.company?.body['openingId']);
    expect((await h.owner.opening.findUniqueOrThrow({ where: { id: openingId } })).reason).toBe('consent-missing');
    expect(await h.sandbox.effects('vizor', `open/${openingId}`)).toBe(0);
  });
});
