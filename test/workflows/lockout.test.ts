import { readFileSync } from 'node:fs';
import { projectFile } from '../../config/project-root';
import { LOCKOUT, lockoutKey } from '../../contracts/lockout';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';
import { ended } from '../support/until';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const anna = RESIDENTS.anna.id;
const face = readFileSync(projectFile('sandbox/media/resident.jpg'));
const stranger = readFileSync(projectFile('sandbox/media/stranger.jpg'));

describe('too many strangers at one door', () => {
  let h: Harness;
  beforeAll(async () => {
    h = await createHarness();
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId: 'vizor', formId: form.body['formId'], formSha256: form.body['sha256'] };
    const consent = await h.app.post(`/app/v1/residents/${anna}/consents`, request);
    const query = `consentId=${String(consent.body['consentId'])}&houseId=${vizor.houseId}`;
    const { body } = await h.app.post(`/app/v1/residents/${anna}/face-enrollments?${query}`, face);
    await ended(h, `enrollment/${String(body['enrollmentId'])}`);
  }, 120_000);
  afterAll(() => h.close());

  const show = (picture: Buffer) => h.sandbox.showFace('vizor', vizor.doorDeviceId, picture);
  const reasonOf = async (body: Record<string, unknown> | undefined) =>
    (await h.owner.opening.findUniqueOrThrow({ where: { id: String(body?.['openingId']) } })).reason;

  it('lock identification there at the configured attempt, for faces that are known too, and nothing opens', async () => {
    for (let attempt = 1; attempt <= LOCKOUT.attempts; attempt++) {
      expect((await show(stranger)).company?.status).toBe(403);
    }
    expect((await show(face)).company?.status).toBe(200); // the tenth was allowed to fail
    await show(stranger);
    const locked = await show(face);
    expect(locked.company?.status).toBe(403);
    expect(await reasonOf(locked.company?.body)).toBe('locked-out');
    expect(await h.sandbox.effects('vizor', `open/${String(locked.company?.body['openingId'])}`)).toBe(0);
  });

  it('look the same to the partner as any other denial', async () => {
    const asStranger = await show(stranger);
    const asKnown = await show(face);
    const shape = (body: Record<string, unknown> | undefined) => ({ ...body, openingId: '' });
    expect(shape(asKnown.company?.body)).toEqual(shape(asStranger.company?.body));
  });

  it('do not keep a resident from opening in the app', async () => {
    const { status } = await h.app.post(`/app/v1/access-points/${vizor.doorId}/openings`, { residentId: anna });
    expect(status).toBe(200);
  });

  it('are forgotten when the lockout is over', async () => {
    await h.owner
      .$executeRaw`UPDATE rate_limits SET expire = ${Date.now() - 1} WHERE key = ${lockoutKey(vizor.doorId)}`;
    expect((await show(face)).company?.status).toBe(200);
  });
});
