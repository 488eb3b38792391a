import { readFileSync } from 'node:fs';
import { normalizeVector } from '../../access/face-matching';
import { projectFile } from '../../config/project-root';
import { FACE_VECTOR_LENGTH } from '../../contracts/access';
import { LOCKOUTS, lockoutKey, pauseS } from '../../contracts/lockout';
import { templatePlace } from '../../contracts/sealed-places';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { vectorFromBytes } from '../../vault/face-vector-bytes';
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
  /** Lets the time pass that a counter or pause waits for. */
  const over = (key: string) =>
    h.owner.$executeRaw`UPDATE rate_limits SET expire = ${Date.now() - 1} WHERE key = ${key}`;
  const pauseIsOver = () => over(lockoutKey('pause', vizor.doorId));
  /** A pause of a second may be over before a busy machine has asked again. @returns how long it was, milliseconds */
  const pauseLasts = async (): Promise<number> => {
    const key = lockoutKey('pause', vizor.doorId);
    const [row] = await h.owner.$queryRaw<{ expire: bigint }[]>`SELECT expire FROM rate_limits WHERE key = ${key}`;
    await h.owner.$executeRaw`UPDATE rate_limits SET expire = ${Date.now() + 60_000} WHERE key = ${key}`;
    return Number(row?.expire) - Date.now();
  };
  const alerts = () => h.owner.securityAlert.findMany({ orderBy: { raisedAt: 'asc' } });

  it('make identification pause, longer with each', async () => {
    for (let attempt = 1; attempt <= 5; attempt++) expect((await show(stranger)).company?.status).toBe(403);
    expect((await show(face)).company?.status).toBe(200);
    await show(stranger); // the sixth
    expect(await pauseLasts()).toBeLessThanOrEqual(pauseS(6) * 1_000);
    const paused = await show(face);
    expect(paused.company?.status).toBe(403);
    expect(await reasonOf(paused.company?.body)).toBe('locked-out');
    await pauseIsOver();
    expect((await show(face)).company?.status).toBe(200);
    expect(await alerts()).toEqual([]);
  });

  it('lock identification there at the configured attempt, for faces that are known too, and nothing opens', async () => {
    for (let attempt = 7; attempt <= LOCKOUTS.device.attempts; attempt++) {
      await pauseIsOver();
      expect(await reasonOf((await show(stranger)).company?.body)).toBe('identity-unknown');
    }
    await pauseIsOver();
    expect((await show(face)).company?.status).toBe(200); // the tenth was allowed to fail
    await show(stranger);
    await pauseIsOver();
    const locked = await show(face);
    expect(locked.company?.status).toBe(403);
    expect(await reasonOf(locked.company?.body)).toBe('locked-out');
    expect(await h.sandbox.effects('vizor', `open/${String(locked.company?.body['openingId'])}`)).toBe(0);
  });

  it('raise one alert, however many follow', async () => {
    await Promise.all([show(stranger), show(stranger), show(stranger)]);
    expect(await alerts()).toMatchObject([{ kind: 'lockout', scope: 'device', objectId: vizor.doorId }]);
    const evidence = await h.owner.journalEntry.findMany({ where: { kind: 'security-alert' } });
    expect(evidence).toMatchObject([{ objectId: vizor.doorId, outcome: 'lockout', reason: 'device' }]);
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
    await over(lockoutKey('device', vizor.doorId));
    expect((await show(face)).company?.status).toBe(200);
  });

  it('are taken for a series when their vectors come ever nearer to somebody, before the usual lockout', async () => {
    const template = await enrolled();
    for (let step = 0; step <= LOCKOUTS['near-miss'].attempts; step++) {
      const answer = await send(at(template, 0.76 + step * 0.005));
      expect(answer.company.status).toBe(403);
    }
    expect((await alerts()).at(-1)).toMatchObject({ kind: 'guessing-series', scope: 'near-miss' });
    await pauseIsOver();
    expect((await show(face)).company?.status).toBe(403);
    await over(lockoutKey('device', vizor.doorId));
    await over(lockoutKey('near-miss', vizor.doorId));
    expect((await show(face)).company?.status).toBe(200);
  });

  async function enrolled(): Promise<Float32Array> {
    const row = await h.owner.faceTemplate.findFirstOrThrow({ where: { residentId: anna, active: true } });
    const [opened] = await h.subjects.openMany(h.owner, [{ ...row, place: templatePlace(row.enrollmentId) }]);
    if (!opened) throw new Error('there is one');
    return vectorFromBytes(opened.plain);
  }

  /** A unit vector at this cosine from the template: what somebody climbs through who improves a guess. */
  function at(template: Float32Array, cosine: number): number[] {
    const other = Array.from({ length: FACE_VECTOR_LENGTH }, (_, index) => Math.sin(index * 7));
    const along = other.reduce((sum, value, index) => sum + value * (template[index] ?? 0), 0);
    const across = normalizeVector(other.map((value, index) => value - along * (template[index] ?? 0)));
    const rest = Math.sqrt(1 - cosine * cosine);
    return Array.from(template, (value, index) => cosine * value + rest * (across?.[index] ?? 0));
  }

  async function send(vector: number[]): Promise<{ company: { status: number } }> {
    const url = `${h.sandboxControlUrl}/partners/vizor/cameras/${vizor.doorDeviceId}/vectors`;
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ vector }) });
    return (await answer.json()) as { company: { status: number } };
  }
});
