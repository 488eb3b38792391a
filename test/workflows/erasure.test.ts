import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ErasureCertificate } from '../../contracts/erasure-certificate';
import { residentHash } from '../../erasure/ledger';
import { moveGalinaIn } from '../../stack/seed';
import { PARTNERS } from '../../stack/town';
import { verifyDocument } from '../../vault/document-signature';
import { startErasure } from '../../workflows/erasure/start';
import { erasuresFolder, searchedFolder, startCore, type CoreWorker } from '../support/core';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf, residentOf } from '../support/resident';
import { ended, until } from '../support/until';

const kluch = partnerOf('kluch');
const shlagbaum = partnerOf('shlagbaum');
const PLATE = 'А111АА77';
const PAST = new Date('2026-01-01T00:00:00.000Z');

/** On a real server: the time-skipping one neither lists nor deletes executions. */
describe('an erasure', () => {
  let h: Harness;
  let core: CoreWorker;
  beforeAll(async () => {
    h = await createHarness({ server: 'real' });
    core = await startCore(h);
  }, 120_000);
  afterAll(async () => {
    await core.stop();
    await h.close();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await mendEverything(h);
  });

  const demand = (residentId: string, body: object = {}) => h.app.post(`/app/v1/residents/${residentId}/erasure`, body);
  const erasure = async (id: string) => (await h.app.get(`/app/v1/erasures/${id}`)).body;
  const reaches = (id: string, state: string, withinMs = 40_000) =>
    until(`the erasure is ${state}`, async () => (await erasure(id))['state'] === state, withinMs);
  const evidence = async (id: string) =>
    (await h.owner.journalEntry.findMany({ where: { kind: 'erasure', objectId: id }, orderBy: { seq: 'asc' } })).map(
      ({ outcome }) => String(outcome),
    );
  const certificate = async (id: string) => (await h.app.get(`/app/v1/erasures/${id}/certificate`)).body;
  const contentOf = (document: unknown): ErasureCertificate => {
    const check = verifyDocument(document);
    if (!check.ok) throw new Error(check.why);
    return ErasureCertificate.parse(check.content);
  };
  const hasKey = async (residentId: string) => (await h.owner.subjectKey.count({ where: { residentId } })) === 1;
  const poke = (id: string) => startErasure(h.temporal.client, id);

  /** Somebody new, with a face at one partner. */
  async function enrolledPerson() {
    const residentId = await moveGalinaIn(h.db.ownerUrl, h.secrets);
    const resident = residentOf(h, residentId);
    await resident.enrolled(shlagbaum);
    const where = { residentId_partnerId: { residentId, partnerId: 'shlagbaum' } };
    const { token } = await h.owner.partnerSubject.findUniqueOrThrow({ where });
    return { residentId, resident, token };
  }

  /** Whether the partner holds the face of this person, by its own books. */
  const facesOf = async (token: string) =>
    (await residentOf(h).held(shlagbaum)).some(({ clientId }) => clientId === token);

  async function demanded(residentId: string): Promise<string> {
    const { status, body } = await demand(residentId);
    expect(status).toBe(202);
    return String(body['erasureId']);
  }

  it('is refused clearly for who is not known and for what is not understood', async () => {
    const answers = [
      await demand(randomUUID()),
      await demand('x'),
      await demand(anna, { basis: 'because' }),
      await h.app.get(`/app/v1/erasures/${randomUUID()}`),
      await h.app.get(`/app/v1/erasures/${randomUUID()}/certificate`),
      await h.app.post(`/app/v1/erasures/${randomUUID()}/hold`, { reason: 'dispute' }),
      await h.app.post(`/app/v1/erasures/${randomUUID()}/release`, {}),
    ];
    expect(answers.map(({ status }) => status)).toEqual([404, 400, 400, 404, 404, 404, 404]);
    expect((await h.owner.resident.findUniqueOrThrow({ where: { id: anna } })).status).toBe('active');
  });

  it('stops access at once, ends at every holder, leaves nothing in any store, and is certified', async () => {
    const resident = residentOf(h);
    for (const partner of PARTNERS) await resident.enrolled(partner);
    await h.app.post(`/app/v1/residents/${anna}/vehicles`, { plate: PLATE });
    await until('the plate is allowed', async () => (await h.sandbox.platesHeld('shlagbaum')).length === 1);
    await h.app.post('/app/v1/plugin-sessions', { residentId: anna, partnerId: 'kluch' });
    const opened = await h.app.post(`/app/v1/access-points/${kluch.doorId}/openings`, { residentId: anna });
    expect(opened.status).toBe(200);
    const tokens = (await h.owner.partnerSubject.findMany({ where: { residentId: anna } })).map(({ token }) => token);
    expect(tokens).toHaveLength(3);
    const { workflow } = h.temporal.client;
    const consents = await h.owner.consent.findMany({ where: { residentId: anna } });
    const executions = [
      ...consents.map(({ id }) => `consent/${id}`),
      `open-access/${String(opened.body['openingId'])}`,
    ];

    const erasureId = await demanded(anna);
    const { body, status } = await h.app.post(`/app/v1/access-points/${kluch.doorId}/openings`, { residentId: anna });
    expect(status).toBe(403);
    const { reason } = await h.owner.opening.findUniqueOrThrow({ where: { id: String(body['openingId']) } });
    expect(reason).toBe('resident-inactive');

    await reaches(erasureId, 'erased');
    for (const partner of [kluch, shlagbaum]) expect(await resident.held(partner)).toEqual([]);
    expect(await h.sandbox.platesHeld('shlagbaum')).toEqual([]);
    expect(await h.owner.residentProfile.count({ where: { residentId: anna } })).toBe(0);
    expect(await h.owner.faceTemplate.count({ where: { residentId: anna } })).toBe(0);
    expect(await hasKey(anna)).toBe(false);
    for (const id of executions) await expect(workflow.getHandle(id).describe()).rejects.toThrow(/not found/i);

    // Checked now that the key is gone.
    const document = await certificate(erasureId);
    const content = contentOf(document);
    expect(content.holders.map(({ party, category }) => `${party} ${category}`).sort()).toEqual([
      'kluch face',
      'kluch plate',
      'shlagbaum face',
      'shlagbaum plate',
      'vizor face',
    ]);
    expect(content.holders.every(({ confirmed_at }) => confirmed_at !== null)).toBe(true);
    expect(content.destroyed.map(({ category }) => category)).toEqual(
      expect.arrayContaining(['biometrics', 'profile', 'consents', 'vehicles', 'partner-ids', 'encryption-key']),
    );
    const text = JSON.stringify(content);
    for (const personal of [anna, ...tokens, 'Анна', PLATE]) expect(text).not.toContain(personal);
    expect(readFileSync(join(erasuresFolder(h), 'erased.jsonl'), 'utf8')).toContain(residentHash(anna));
  });

  it('asked for many times at once is one, also of somebody who is erased already', async () => {
    const { residentId } = await enrolledPerson();
    const answers = await Promise.all(Array.from({ length: 8 }, () => demand(residentId)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const ids = [...new Set(answers.map(({ body }) => String(body['erasureId'])))];
    expect(ids).toHaveLength(1);
    const [erasureId = ''] = ids;
    await reaches(erasureId, 'erased');
    const again = await demand(residentId);
    expect([again.status, again.body['erasureId'], again.body['state']]).toEqual([202, erasureId, 'erased']);
    const written = await evidence(erasureId);
    expect(written.filter((outcome) => outcome === 'requested')).toHaveLength(1);
    expect(written.filter((outcome) => outcome === 'certified')).toHaveLength(1);
  });

  it('never claims success while a partner is silent, and calls a person when the time is over', async () => {
    const { residentId, token } = await enrolledPerson();
    await breakPartner(h, 'shlagbaum', { endpoint: 'face-deletions', fault: 'error' });
    const erasureId = await demanded(residentId);
    await h.owner.erasure.update({ where: { id: erasureId }, data: { requestedAt: PAST, dueAt: PAST } });
    await poke(erasureId);
    const called = { process: 'erasure', objectId: erasureId, reason: 'overdue' };
    await until('a person is called', async () => (await h.owner.escalation.count({ where: called })) > 0);
    expect((await erasure(erasureId))['state']).toBe('waiting');
    expect((await h.app.get(`/app/v1/erasures/${erasureId}/certificate`)).status).toBe(409);
    expect(await hasKey(residentId)).toBe(true);

    await mendEverything(h);
    await reaches(erasureId, 'erased');
    expect(await facesOf(token)).toBe(false);
    expect(await h.owner.escalation.count({ where: { ...called, resolvedAt: null } })).toBe(0);
  });

  it('is paused by a hold, visibly, and goes on when that is released', async () => {
    const { residentId, token } = await enrolledPerson();
    await breakPartner(h, 'shlagbaum', { endpoint: 'face-deletions', fault: 'error' });
    const erasureId = await demanded(residentId);
    const before = new Date(String((await erasure(erasureId))['dueAt'])).getTime();
    const held = await h.app.post(`/app/v1/erasures/${erasureId}/hold`, { reason: 'legal-hold' });
    expect([held.status, held.body['state'], held.body['holdReason']]).toEqual([200, 'held', 'legal-hold']);
    const longer = await h.app.post(`/app/v1/erasures/${erasureId}/prolongation`, {});
    expect(new Date(String(longer.body['dueAt'])).getTime()).toBeGreaterThan(before);
    await mendEverything(h);
    await until('the partner has deleted', async () => !(await facesOf(token)), 40_000);
    await poke(erasureId);
    expect(await hasKey(residentId)).toBe(true);
    expect((await erasure(erasureId))['state']).toBe('held');

    await h.app.post(`/app/v1/erasures/${erasureId}/release`, {});
    await reaches(erasureId, 'erased');
    expect(await hasKey(residentId)).toBe(false);
    const late = await h.app.post(`/app/v1/erasures/${erasureId}/hold`, { reason: 'dispute' });
    expect([late.status, late.body['type']]).toEqual([409, '/problems/erasure-state-conflict']);
    expect((await evidence(erasureId)).filter((outcome) => /held|released/.test(outcome))).toEqual([
      'held',
      'released',
    ]);
  });

  it('is opened again when a partner that confirmed still knows the person, who is then deleted there', async () => {
    const { residentId, resident, token } = await enrolledPerson();
    await breakPartner(h, 'shlagbaum', { endpoint: 'face-deletions', fault: 'confirm-but-keep', times: 1 });
    const erasureId = await demanded(residentId);
    await reaches(erasureId, 'erased');
    expect(await facesOf(token)).toBe(true);

    const { company } = await resident.atTheDoor(shlagbaum);
    expect(company?.status).toBe(403);
    await until(
      'it is certified anew',
      async () => (await evidence(erasureId)).filter((e) => e === 'certified').length === 2,
      40_000,
    );
    expect(await facesOf(token)).toBe(false);
    const { version, holders } = contentOf(await certificate(erasureId));
    expect([version, holders[0]?.ordered_again]).toEqual([2, 1]);
    expect(await evidence(erasureId)).toContain('found-at-holder');
  });

  it('asks holders once more days later, and then lets go of what it asked them by', async () => {
    const { residentId } = await enrolledPerson();
    const erasureId = await demanded(residentId);
    await reaches(erasureId, 'erased');
    expect(await h.owner.erasureHolder.count({ where: { erasureId, token: { not: null } } })).toBe(1);
    await h.owner.erasure.update({ where: { id: erasureId }, data: { followUpAt: PAST } });
    await poke(erasureId);
    await reaches(erasureId, 'closed');
    await ended(h, `erasure/${erasureId}`);
    expect(await h.owner.erasureHolder.count({ where: { erasureId, token: { not: null } } })).toBe(0);
    expect(await h.owner.erasureHolder.count({ where: { erasureId, askedAt: null } })).toBe(0);
  });

  it('is not certified while a store still holds the person', async () => {
    const { residentId } = await enrolledPerson();
    const left = join(searchedFolder(h), 'left.log');
    writeFileSync(left, `a line that should not be: ${residentId.toUpperCase()}\n`);
    const erasureId = await demanded(residentId);
    await until('the search has found it', async () => (await evidence(erasureId)).includes('search-found'), 40_000);
    expect(await erasure(erasureId)).toMatchObject({
      state: 'erasing',
      search: { found: [{ place: 'files', hits: 1 }] },
    });
    rmSync(left);
    await reaches(erasureId, 'erased');
  });

  it('is taken up by the scheduled tidying when its process died right after it was accepted', async () => {
    const { residentId } = await enrolledPerson();
    jest.spyOn(h.temporal.client.workflow, 'signalWithStart').mockRejectedValueOnce(new Error('gone'));
    const erasureId = await demanded(residentId);
    const { workflow } = h.temporal.client;
    await expect(workflow.getHandle(`erasure/${erasureId}`).describe()).rejects.toThrow(/not found/i);
    const workflowId = `housekeeping-${randomUUID()}`;
    await workflow.start('housekeepingWorkflow', { workflowId, taskQueue: 'core', args: [] });
    await reaches(erasureId, 'erased');
  });

  it('ends complete, with one effect at each system, when workers die between its steps', async () => {
    const { residentId, token } = await enrolledPerson();
    const erasureId = await demanded(residentId);
    const { id } = await h.owner.biometricDeletion.findFirstOrThrow({ where: { residentId } });
    for (let kill = 0; kill < 3; kill++) {
      await Promise.all([core.stop(), h.stopWorkers()]);
      await h.startWorkers();
      core = await startCore(h);
    }
    await reaches(erasureId, 'erased');
    expect(await facesOf(token)).toBe(false);
    expect(await h.sandbox.effects('shlagbaum', `delete/${id}/${shlagbaum.houseId}/0`)).toBe(1);
    const written = await evidence(erasureId);
    expect(written.filter((outcome) => outcome === 'certified')).toHaveLength(1);
    expect(written.filter((outcome) => outcome === 'confirmed-by-holder')).toHaveLength(1);
  }, 120_000);

  it('is done again when a restored backup brings the person back', async () => {
    const residentId = await moveGalinaIn(h.db.ownerUrl, h.secrets);
    const key = await h.owner.subjectKey.findUniqueOrThrow({ where: { residentId } });
    const profile = await h.owner.residentProfile.findUniqueOrThrow({ where: { residentId } });
    const first = await demanded(residentId);
    await reaches(first, 'erased');
    await core.stop();
    await h.temporal.client.workflow.getHandle(`erasure/${first}`).terminate('the backup is of an earlier day');
    await h.owner.erasureCertificate.deleteMany({ where: { erasureId: first } });
    await h.owner.erasure.delete({ where: { id: first } });
    await h.owner.resident.update({ where: { id: residentId }, data: { status: 'active' } });
    await h.owner.subjectKey.create({ data: key });
    await h.owner.residentProfile.create({ data: profile });

    core = await startCore(h);
    const again = await h.owner.erasure.findUniqueOrThrow({ where: { residentId } });
    expect(again.id).not.toBe(first);
    expect((await h.owner.resident.findUniqueOrThrow({ where: { id: residentId } })).status).toBe('erased');
    await reaches(again.id, 'erased');
    expect(await hasKey(residentId)).toBe(false);
    expect(await h.owner.residentProfile.count({ where: { residentId } })).toBe(0);
  });

  it('during an enrollment waits for its end, and no photo comes late', async () => {
    const residentId = await moveGalinaIn(h.db.ownerUrl, h.secrets);
    const resident = residentOf(h, residentId);
    await breakPartner(h, 'shlagbaum', { endpoint: 'faces', fault: 'error' });
    const consentId = await resident.consentTo('shlagbaum');
    const { body } = await resident.upload(shlagbaum, consentId);
    const erasureId = await demanded(residentId);
    await mendEverything(h);
    // A minute has to pass after which nothing that was under way can arrive any more.
    await reaches(erasureId, 'erased', 110_000);
    expect(await h.owner.stagedPhoto.count({ where: { enrollmentId: String(body['enrollmentId']) } })).toBe(0);
    expect(await h.sandbox.effects('shlagbaum', `enroll/${String(body['enrollmentId'])}`)).toBe(0);
  }, 130_000);
});
