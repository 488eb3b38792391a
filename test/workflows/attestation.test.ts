import { createHash, randomUUID } from 'node:crypto';
import { plainPdf } from '../../stack/plain-pdf';
import { startCore, type CoreWorker } from '../support/core';
import { configurePartner } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf, residentOf } from '../support/resident';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

const DAY = 86_400_000;
const vizor = partnerOf('vizor');
const kluch = partnerOf('kluch');
const shlagbaum = partnerOf('shlagbaum');
const HEAD = { name: 'Ксения Образцова', position: 'Генеральный директор' };
const ATTESTS = ['infrastructure-and-services-audited', 'vulnerability-analysis', 'federal-law-152'];
const day = (offset: number): string => new Date(Date.now() + offset * DAY).toISOString().slice(0, 10);
const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

describe('the letter of attestation of a partner', () => {
  let h: Harness;
  let core: CoreWorker;
  let compliance: StaffCaller;
  let security: StaffCaller;
  let resident: ReturnType<typeof residentOf>;
  beforeAll(async () => {
    h = await createHarness();
    core = await startCore(h);
    compliance = await staffMember(h, ['compliance']);
    security = await staffMember(h, ['information-security']);
    resident = residentOf(h);
  }, 120_000);
  afterAll(async () => {
    await core.stop();
    await h.close();
  });

  const lettersOf = (partnerId: string) => `/staff/v1/partners/${partnerId}/attestation-letters`;
  const upload = async (by: StaffCaller, partnerId: string, letter: Buffer): Promise<string> => {
    const { status, body } = await by.call('post', lettersOf(partnerId), { body: letter });
    expect(status).toBe(201);
    return String(body['letterId']);
  };
  const acceptance = (letter: Buffer, change: object = {}) => ({
    body: {
      ...{ sha256: sha256(letter), signedBy: HEAD, signedOn: day(-1), validUntil: day(300), attests: ATTESTS },
      ...change,
    },
  });
  const standing = async (partnerId: string) =>
    (await h.sandbox.readCompany(partnerId, '/partner/v1/obligations')).body['attestation'] as Record<string, unknown>;
  /** As if the letter in force had ended so many days ago. */
  const letterEnded = (partnerId: string, days: number) =>
    h.owner.partner.update({
      where: { id: partnerId },
      data: { attestedUntil: new Date(Date.now() - days * DAY) },
    });

  it('takes two people: it changes nothing until another than who handed it in has read it', async () => {
    const letter = plainPdf('What was audited');
    const before = await h.owner.partner.findUniqueOrThrow({ where: { id: vizor.id } });
    const id = await upload(compliance, vizor.id, letter);
    const own = await compliance.call('post', `${lettersOf(vizor.id)}/${id}/acceptance`, acceptance(letter));
    expect(own).toMatchObject({ status: 403, body: { type: '/problems/own-proposal' } });
    expect(await h.owner.partner.findUniqueOrThrow({ where: { id: vizor.id } })).toEqual(before);

    const read = await security.call('get', `${lettersOf(vizor.id)}/${id}/file`);
    expect(read.bytes.equals(letter)).toBe(true);
    const accepted = await security.call('post', `${lettersOf(vizor.id)}/${id}/acceptance`, acceptance(letter));
    expect(accepted).toMatchObject({
      status: 200,
      body: { status: 'in-force', sha256: sha256(letter), uploadedBy: compliance.memberId },
    });
    const { attestedUntil } = await h.owner.partner.findUniqueOrThrow({ where: { id: vizor.id } });
    expect(attestedUntil?.toISOString()).toBe(`${day(301)}T00:00:00.000Z`);
    const list = await compliance.call('get', lettersOf(vizor.id));
    const letters = list.body['letters'] as { status: string }[];
    expect(letters.map(({ status }) => status)).toEqual(['in-force', 'superseded']);
    expect(await resident.journal(id)).toEqual([
      'attestation-letter uploaded',
      'attestation-letter opened',
      'attestation-letter in-force',
    ]);
  });

  it('is sealed, as is who signed it: neither is in the clear in any table, and both come back', async () => {
    const secret = `only in the letter ${randomUUID()}`;
    const letter = plainPdf(secret);
    const id = await upload(security, kluch.id, letter);
    expect(await compliance.call('post', `${lettersOf(kluch.id)}/${id}/acceptance`, acceptance(letter))).toMatchObject({
      status: 200,
    });
    const shown = await compliance.call('get', `${lettersOf(kluch.id)}/${id}`);
    expect(shown.body['signedBy']).toEqual(HEAD);
    const tables = ['sealed_files', 'attestation_letters', 'idempotency_records', 'journal_entries', 'approvals'];
    for (const table of tables) {
      const rows: { row: string }[] = await h.owner.$queryRawUnsafe(`SELECT t::text AS row FROM ${table} t`);
      const text = rows.map(({ row }) => row).join('\n');
      for (const word of [
        secret,
        Buffer.from(secret).toString('hex'),
        HEAD.name,
        Buffer.from(HEAD.name).toString('hex'),
      ])
        expect([table, text.includes(word)]).toEqual([table, false]);
    }
    expect(h.logLines.join('')).not.toContain(HEAD.name);
  });

  it.each([
    ['is of another file than was handed in', { sha256: '0'.repeat(64) }],
    ['leaves out a thing that it has to say', { attests: ATTESTS.slice(1) }],
    ['says one thing twice', { attests: [ATTESTS[0], ATTESTS[0], ATTESTS[1]] }],
    ['is over', { validUntil: day(-2), signedOn: day(-30) }],
    ['wants to hold for longer than a year', { signedOn: day(-10), validUntil: day(360) }],
    ['is signed in the future', { signedOn: day(5) }],
  ])('is not accepted when what is said of it %s', async (_why, change) => {
    const letter = plainPdf('Another');
    const id = await upload(compliance, vizor.id, letter);
    const { attestedUntil } = await h.owner.partner.findUniqueOrThrow({ where: { id: vizor.id } });
    const answer = await security.call('post', `${lettersOf(vizor.id)}/${id}/acceptance`, acceptance(letter, change));
    expect(answer.status).toBe(400);
    expect(await h.owner.partner.findUniqueOrThrow({ where: { id: vizor.id } })).toMatchObject({ attestedUntil });
  });

  it('is a PDF and nothing else, of a partner within reach', async () => {
    const path = lettersOf(vizor.id);
    expect((await compliance.call('post', path, { body: Buffer.from('GIF89a') })).status).toBe(400);
    expect((await compliance.call('post', path, { body: { letter: 'x' } })).status).toBe(415);
    const elsewhere = await staffMember(h, ['integration-manager:communal']);
    expect((await elsewhere.call('post', path, { body: plainPdf('x') })).status).toBe(404);
  });

  it('decides about biometrics: two weeks after its end no face opens and none is enrolled, until another comes', async () => {
    const { consentId } = await resident.enrolled(vizor);
    await letterEnded(vizor.id, 13);
    expect(await standing(vizor.id)).toMatchObject({ standing: 'grace' });
    expect((await resident.atTheDoor(vizor)).company?.status).toBe(200);

    await letterEnded(vizor.id, 15);
    expect(await standing(vizor.id)).toMatchObject({ standing: 'suspended' });
    const denied = await resident.atTheDoor(vizor);
    expect(denied.company?.status).toBe(403);
    const row = await h.owner.opening.findFirstOrThrow({ orderBy: { requestedAt: 'desc' } });
    expect(row).toMatchObject({ method: 'face', status: 'denied', reason: 'partner-not-attested', attempts: 0 });
    expect(await h.sandbox.effects(vizor.id, `open/${row.id}`)).toBe(0);
    const refused = await resident.upload(vizor, consentId);
    expect(refused).toMatchObject({ status: 403, body: { type: '/problems/partner-not-attested' } });
    // What needs no face goes on.
    const byApp = await h.app.post(`/app/v1/access-points/${vizor.doorId}/openings`, { residentId: anna });
    expect(byApp.status).toBe(200);

    const letter = plainPdf('The next');
    const id = await upload(compliance, vizor.id, letter);
    await security.call('post', `${lettersOf(vizor.id)}/${id}/acceptance`, acceptance(letter));
    expect((await resident.atTheDoor(vizor)).company?.status).toBe(200);

    const gone = { body: { reason: 'found-false' } };
    expect((await compliance.call('post', `${lettersOf(vizor.id)}/${id}/withdrawal`, gone)).status).toBe(200);
    expect(await standing(vizor.id)).toMatchObject({ standing: 'missing', validUntil: null });
    expect((await resident.atTheDoor(vizor)).company?.status).toBe(403);
  });

  it('stops an enrollment that is under way at the partner, and the partner keeps no face', async () => {
    await configurePartner(h, shlagbaum.id, { enrollment: 'manual' });
    const consentId = await resident.consentTo(shlagbaum.id);
    const enrollmentId = String((await resident.upload(shlagbaum, consentId)).body['enrollmentId']);
    await until('the partner has the photo', async () => (await resident.held(shlagbaum)).length === 1);
    await letterEnded(shlagbaum.id, 15);
    await ended(h, `enrollment/${enrollmentId}`);
    expect((await h.owner.enrollment.findUniqueOrThrow({ where: { id: enrollmentId } })).state).toBe('failed');
    expect(await resident.held(shlagbaum)).toEqual([]);
    expect(await h.owner.stagedPhoto.count()).toBe(0);
    await configurePartner(h, shlagbaum.id, { enrollment: 'automatic' });
  });

  it('is warned of once for each stage, to staff and in what the partner reads', async () => {
    // Its result would be waited for with skipped time.
    const round = async () => {
      const workflowId = `attestation-round-${randomUUID()}`;
      await h.temporal.client.workflow.start('attestationRoundWorkflow', { workflowId, taskQueue: 'core' });
      await ended(h, workflowId);
    };
    const warnings = async () =>
      (await h.owner.securityAlert.findMany({ where: { kind: 'attestation', objectId: kluch.id } }))
        .map(({ scope }) => scope)
        .toSorted();
    const endsIn = (days: number) => letterEnded(kluch.id, -days);
    const end = await endsIn(6.5);
    await round();
    expect(await warnings()).toEqual(['7-days']);
    await round();
    expect(await warnings()).toEqual(['7-days']);
    expect(await standing(kluch.id)).toMatchObject({
      standing: 'ending',
      validUntil: end.attestedUntil?.toISOString(),
    });
    await letterEnded(kluch.id, 1);
    await round();
    await letterEnded(kluch.id, 20);
    await round();
    expect(await warnings()).toEqual(['7-days', 'biometrics-suspended', 'ended']);
  });
});
