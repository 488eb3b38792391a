import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectFile } from '../../config/project-root';
import type { SearchResult } from '../../contracts/erasure';
import { ErasureCertificate } from '../../contracts/erasure-certificate';
import { openErasureLedger, residentHash } from '../../erasure/ledger';
import { withExecutions } from '../../erasure/search';
import { entriesOfSubject } from '../../journal/subjects';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { moveGalinaIn, moveIn } from '../../stack/seed';
import { createAppBackend, ownDemand } from '../../stack/story/app-backend';
import { createClient } from '../../stack/story/http';
import { APP_CLIENT_ID, GALINA, PARTNERS } from '../../stack/town';
import { deletionRequestOf } from '../../vault/biometrics';
import { verifyDocument } from '../../vault/document-signature';
import { createErasureExecutions } from '../../workers/erasure-executions';
import { startDeletion } from '../../workflows/biometric-deletion/start';
import { startErasure } from '../../workflows/erasure/start';
import { erasuresFolder, searchedFolder, startCore, type CoreWorker } from '../support/core';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf, residentOf } from '../support/resident';
import { credentialsOf, PRESENTED } from '../support/credentials';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

const kluch = partnerOf('kluch');
const shlagbaum = partnerOf('shlagbaum');
const PLATE = 'А111АА77';
const SHARED_PLATE = 'А112АА77';
const KEPT_PLATE = 'А113АА77';
const HELD_PLATE = 'А114АА77';
const OUTAGE_PLATE = 'А115АА77';
const PAST = new Date('2026-01-01T00:00:00.000Z');

/**
 * On a real server: the time-skipping one neither lists nor deletes executions. Whoever can is erased beside others.
 */
describe('an erasure', () => {
  let h: Harness;
  let core: CoreWorker;
  let compliance: StaffCaller;
  let colleague: StaffCaller;
  beforeAll(async () => {
    h = await createHarness({ server: 'real' });
    core = await startCore(h);
    [compliance, colleague] = [await staffMember(h, ['compliance']), await staffMember(h, ['compliance'])];
  }, 120_000);
  afterAll(async () => {
    await core.stop();
    await h.close();
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  const demand = (residentId: string, body: object = ownDemand(), key?: string) =>
    h.app.post(`/app/v1/residents/${residentId}/erasure`, body, key);
  const onPaper = (more: object = {}) => ({
    requestedBy: 'representative',
    identification: { method: 'notarized-signature', at: new Date().toISOString(), reference: 'ВХ-2026/118' },
    mandate: '77/104-н',
    ...more,
  });
  const entered = (residentId: string, body: object = onPaper(), key?: string) =>
    compliance.call('post', `/staff/v1/residents/${residentId}/erasure`, { body, ...(key !== undefined && { key }) });
  const approval = (by: StaffCaller, erasureId: string) => by.call('post', `/staff/v1/erasures/${erasureId}/approval`);
  const erasure = async (id: string) => (await h.app.get(`/app/v1/erasures/${id}`)).body;
  const decide = (id: string, decision: string, body?: object) =>
    compliance.call('post', `/staff/v1/erasures/${id}/${decision}`, { body });
  const reaches = (id: string, state: string) =>
    until(`the erasure is ${state}`, async () => (await erasure(id))['state'] === state);
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
    const residentId = await moveGalinaIn(h.db, h.secrets);
    await residentOf(h, residentId).enrolled(shlagbaum);
    const where = { residentId_partnerId: { residentId, partnerId: 'shlagbaum' } };
    const { token } = await h.owner.partnerSubject.findUniqueOrThrow({ where });
    return { residentId, token };
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
    const path = `/staff/v1/erasures/${randomUUID()}`;
    const answers = [
      await demand(randomUUID()),
      await demand('x'),
      await demand(anna, { ...ownDemand(), basis: 'because' }),
      await h.app.get(`/app/v1/erasures/${randomUUID()}`),
      await h.app.get(`/app/v1/erasures/${randomUUID()}/certificate`),
      await entered(randomUUID()),
      await approval(colleague, randomUUID()),
      await compliance.call('get', path),
      await compliance.call('get', `${path}/certificate`),
      await compliance.call('get', `${path}/certificate.pdf`),
      await decide(randomUUID(), 'hold', { reason: 'dispute' }),
      await decide(randomUUID(), 'hold', { reason: 'because' }),
      await decide(randomUUID(), 'release'),
      await decide(randomUUID(), 'prolongations', { reason: 'system-fault' }),
      await h.app.get(`/app/v1/erasures/${randomUUID()}/prolongation-notice`),
    ];
    expect(answers.map(({ status }) => status)).toEqual([
      404, 400, 400, 404, 404, 404, 404, 404, 404, 404, 404, 400, 404, 404, 404,
    ]);
    expect((await h.owner.resident.findUniqueOrThrow({ where: { id: anna } })).status).toBe('active');
  });

  it('takes proof of who asks that is fresh and whole, and of a representative the power of attorney', async () => {
    const { identification } = ownDemand();
    const fieldsOf = async (body: object) => {
      const answer = await demand(anna, body);
      return [answer.status, ...(answer.body['errors'] as { field: string }[]).map(({ field }) => field)];
    };
    const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
    const identifiedAt = (at: string) => ({ requestedBy: 'self', identification: { ...identification, at } });
    expect(await fieldsOf({})).toEqual([400, 'requestedBy', 'identification']);
    expect(await fieldsOf({ requestedBy: 'self' })).toEqual([400, 'identification']);
    expect(await fieldsOf({ requestedBy: 'authority', identification })).toEqual([400, 'requestedBy']);
    expect(await fieldsOf({ requestedBy: 'representative', identification })).toEqual([400, 'powerOfAttorney']);
    expect(await fieldsOf({ ...ownDemand(), powerOfAttorney: '77/104-н' })).toEqual([400, 'powerOfAttorney']);
    expect(await fieldsOf(identifiedAt(minutesAgo(16)))).toEqual([400, 'identification.at']);
    expect(await fieldsOf(identifiedAt(minutesAgo(-2)))).toEqual([400, 'identification.at']);
    const named = { ...identification, reference: 'passport 4510 123456' };
    expect(await fieldsOf({ requestedBy: 'self', identification: named })).toEqual([400, 'identification.reference']);
    expect((await h.owner.resident.findUniqueOrThrow({ where: { id: anna } })).status).toBe('active');
  });

  it('that comes in on paper begins when a second member of staff has confirmed its document, and not before', async () => {
    const residentId = await moveGalinaIn(h.db, h.secrets);
    expect((await entered(residentId, onPaper({ mandate: undefined }))).status).toBe(400);
    expect((await entered(residentId, onPaper({ requestedBy: 'self' }))).status).toBe(400);
    const key = randomUUID();
    const first = await entered(residentId, onPaper(), key);
    expect([first.status, first.body['proposedBy']]).toEqual([202, compliance.memberId]);
    expect((await entered(residentId, onPaper(), key)).body).toEqual(first.body);
    const erasureId = String(first.body['erasureId']);
    const { body: queue } = await compliance.call('get', '/staff/v1/erasure-demands');
    expect(queue['demands']).toMatchObject([{ erasureId, requestedBy: 'representative', mandate: '77/104-н' }]);
    expect((await approval(compliance, erasureId)).status).toBe(403);
    expect((await h.owner.resident.findUniqueOrThrow({ where: { id: residentId } })).status).toBe('active');

    const both = await approval(colleague, erasureId);
    expect([both.status, both.body['erasureId'], both.body['state']]).toEqual([202, erasureId, 'waiting']);
    expect((await entered(residentId)).status).toBe(409);
    await reaches(erasureId, 'erased');
    expect((await approval(colleague, erasureId)).body['state']).toBe('erased');
    expect((await evidence(erasureId)).slice(0, 4)).toEqual(['proposed', 'approved', 'identified', 'requested']);
    const row = await h.owner.erasure.findUniqueOrThrow({ where: { id: erasureId } });
    expect(row).toMatchObject({ requestedBy: 'representative', identityReference: 'ВХ-2026/118' });
    expect(await h.owner.erasureDemand.count()).toBe(0);
  });

  const inEnrollment = { erasureId: '', enrollmentId: '', token: '' };
  it('during an enrollment ends that at once, and does not go on before nothing of it can arrive any more', async () => {
    const residentId = await moveGalinaIn(h.db, h.secrets);
    const resident = residentOf(h, residentId);
    await breakPartner(h, 'shlagbaum', { endpoint: 'faces', fault: 'error' });
    const consentId = await resident.consentTo('shlagbaum');
    const { body } = await resident.upload(shlagbaum, consentId);
    const enrollmentId = String(body['enrollmentId']);
    const erasureId = await demanded(residentId);
    const where = { residentId_partnerId: { residentId, partnerId: 'shlagbaum' } };
    const { token } = await h.owner.partnerSubject.findUniqueOrThrow({ where });
    Object.assign(inEnrollment, { erasureId, enrollmentId, token });
    await mendEverything(h);
    await until('no photo is left', async () => (await h.owner.stagedPhoto.count({ where: { enrollmentId } })) === 0);
    expect((await erasure(erasureId))['state']).toBe('waiting');
    expect((await compliance.call('get', `/staff/v1/erasures/${erasureId}/certificate`)).status).toBe(409);
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

    const known = await entriesOfSubject(h.owner, h.subjects, anna);
    expect([...new Set(known.map(({ kind }) => kind))].toSorted()).toEqual([
      ...['consent', 'enrollment', 'opening', 'plugin-session', 'vehicle'],
    ]);
    const subject = await h.subjects.pseudonym(h.owner, anna, 'journal');

    const erasureId = await demanded(anna);
    const { body, status } = await h.app.post(`/app/v1/access-points/${kluch.doorId}/openings`, { residentId: anna });
    expect(status).toBe(403);
    const { reason } = await h.owner.opening.findUniqueOrThrow({ where: { id: String(body['openingId']) } });
    expect(reason).toBe('resident-inactive');

    await reaches(erasureId, 'erased');
    const held = (await resident.held(shlagbaum)).filter(({ clientId }) => tokens.includes(clientId));
    expect([...held, ...(await resident.held(kluch))]).toEqual([]);
    expect(await h.sandbox.platesHeld('shlagbaum')).toEqual([]);
    expect(await h.owner.residentProfile.count({ where: { residentId: anna } })).toBe(0);
    expect(await h.owner.faceTemplate.count({ where: { residentId: anna } })).toBe(0);
    expect(await hasKey(anna)).toBe(false);
    // What the journal has of her is all there, and nothing leads to it any more.
    expect(await h.owner.journalEntry.count({ where: { subject } })).toBeGreaterThan(known.length);
    expect(await h.subjects.pseudonym(h.owner, anna, 'journal')).toBeNull();
    expect(await entriesOfSubject(h.owner, h.subjects, anna)).toEqual([]);
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
    // The faces at vizor were ours to keep: nobody there was asked, and the act does not say that they confirmed.
    const unasked = content.holders.filter(({ confirmed_at }) => confirmed_at === null);
    expect(unasked).toMatchObject([
      { party: 'vizor', standing: 'held-by-operator', confirmation: 'held by the operator; nothing was passed' },
    ]);
    const saidByHolders = await h.owner.journalEntry.findMany({
      where: { kind: 'erasure', objectId: erasureId, outcome: 'confirmed-by-holder' },
    });
    expect(saidByHolders.map(({ reason: party }) => party).toSorted()).toEqual([
      ...['kluch', 'kluch', 'shlagbaum', 'shlagbaum'],
    ]);
    expect(content.destroyed.map(({ category }) => category)).toEqual(
      expect.arrayContaining([
        ...['biometrics', 'profile', 'consents', 'vehicles', 'partner-ids', 'encryption-key', 'key-share'],
      ]),
    );
    expect(await h.keyStore.share(anna)).toBeNull();
    const text = JSON.stringify(content);
    for (const personal of [anna, ...tokens, 'Анна', PLATE]) expect(text).not.toContain(personal);
    const entered = openErasureLedger(erasuresFolder(h)).demands().get(residentHash(anna));
    expect(entered).toMatchObject({ erasureId, erasedAt: content.destroyed_at });

    // Whom order 179 wants named, and what is true of backups.
    expect(content.performed_by).toMatchObject({ name: 'Мария Иванова' });
    for (const { id, name, address } of content.processors) {
      expect([id, name, address]).toEqual([
        id,
        partnerOf(id as 'kluch').legalName,
        partnerOf(id as 'kluch').legalAddress,
      ]);
    }
    const untilMs = Date.parse(content.backups?.hold_until ?? '') - Date.parse(content.destroyed_at);
    expect(untilMs).toBeGreaterThanOrEqual(30 * 86_400_000);
    for (const { medium } of content.destroyed) expect(medium).not.toContain('backup');
    const { backups } = content;
    const shareUntilMs = Date.parse(backups?.share_destroyed_at ?? '') + 7 * 86_400_000;
    expect(backups).toMatchObject({
      ...{ key_store_retention_days: 7, whole_key_until: null },
      key_store_hold_until: new Date(shareUntilMs).toISOString(),
      opens_nothing_from: new Date(shareUntilMs).toISOString(),
    });

    // As anybody checks it: the command alone, in a folder where nothing else is.
    const folder = mkdtempSync(join(tmpdir(), 'domovoy-verify-'));
    const file = join(folder, 'erasure-certificate.json');
    const bytes = Buffer.from(`${JSON.stringify(document)}\n`);
    const verify = (changed: Buffer) => {
      writeFileSync(file, changed);
      const args = [projectFile('dist/cli/main.js'), 'verify', 'erasure-certificate.json'];
      return spawnSync(process.execPath, args, { cwd: folder, env: {}, encoding: 'utf8' });
    };
    const accepted = verify(bytes);
    expect([accepted.status, accepted.stderr]).toEqual([0, '']);
    expect(accepted.stdout).toMatch(/^ {2}holders that confirmed: (?!.*vizor).*shlagbaum \(face, 20\d\d-/m);
    expect(accepted.stdout).toMatch(/^ {2}held by the operator for: vizor \(face\)$/m);
    expect(accepted.stdout).toContain(`  opens from no backup: from ${backups?.opens_nothing_from ?? ''} on\n`);
    for (const at of [0, bytes.length >> 1, bytes.length - 3]) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(bytes.readUInt8(at) ^ 0x01, at);
      const refused = verify(changed);
      expect([at, refused.status, refused.stdout]).toEqual([at, 1, '']);
      expect(refused.stderr).toMatch(/^NOT VALID: /);
    }
    rmSync(folder, { recursive: true });
  });

  describe('while a partner is silent', () => {
    type Person = { residentId: string; token: string };
    let silent: Person;
    let disputed: Person;
    let sold: Person;
    let [silentId, disputedId, soldId, saleId] = ['', '', '', ''];
    const credentials = () => credentialsOf(h);
    const [password] = PRESENTED.filter(({ partnerId }) => partnerId === 'shlagbaum');

    beforeAll(async () => {
      [silent, disputed, sold] = await Promise.all([enrolledPerson(), enrolledPerson(), enrolledPerson()]);
      await breakPartner(h, 'shlagbaum', { endpoint: 'face-deletions', fault: 'error' });
      const report = {
        registryReference: `R-${randomUUID()}`,
        propertyId: GALINA.flat.propertyId,
        sellers: [sold.residentId],
      };
      const { status, body } = await h.registry.post('/registry/v1/property-sales', report);
      expect([status, body['rightsEnded']]).toEqual([201, 1]);
      saleId = String(body['saleId']);
      [silentId, disputedId, soldId] = await Promise.all([
        demanded(silent.residentId),
        entered(disputed.residentId).then(async ({ body: { erasureId } }) => {
          await approval(colleague, String(erasureId));
          return String(erasureId);
        }),
        demanded(sold.residentId),
      ]);
    });
    afterAll(() => mendEverything(h));

    it('never claims success while a partner is silent, and calls a person when the time is over', async () => {
      await h.owner.erasure.update({ where: { id: silentId }, data: { requestedAt: PAST, dueAt: PAST } });
      await poke(silentId);
      const called = { process: 'erasure', objectId: silentId, reason: 'overdue' };
      await until('a person is called', async () => (await h.owner.escalation.count({ where: called })) > 0);
      expect((await erasure(silentId))['state']).toBe('waiting');
      expect((await h.app.get(`/app/v1/erasures/${silentId}/certificate`)).status).toBe(409);
      // The security desk hears of it as of an alert.
      const alert = { kind: 'erasure-late', objectId: silentId, scope: 'overdue', severity: 'high' };
      expect(await h.owner.securityAlert.count({ where: alert })).toBeGreaterThan(0);
      expect(await hasKey(silent.residentId)).toBe(true);
      const { body } = await compliance.call('get', '/staff/v1/erasures');
      const [first, ...others] = body['erasures'] as { erasureId: string; overdue: boolean }[];
      expect(first).toMatchObject({ erasureId: silentId, overdue: true });
      expect(others.map(({ overdue }) => overdue)).not.toContain(true);
      expect(others.map(({ erasureId }) => erasureId)).toEqual(expect.arrayContaining([disputedId, soldId]));
    });

    it('is paused by a hold, visibly, and goes on when that is released', async () => {
      const before = new Date(String((await erasure(disputedId))['dueAt'])).getTime();
      const held = await decide(disputedId, 'hold', { reason: 'legal-hold' });
      expect([held.status, held.body['state'], held.body['holdReason']]).toEqual([200, 'held', 'legal-hold']);
      expect((await decide(disputedId, 'hold', { reason: 'legal-hold' })).status).toBe(200);
      const notice = () => h.app.get(`/app/v1/erasures/${disputedId}/prolongation-notice`);
      expect((await notice()).status).toBe(404);
      for (const body of [{}, { reason: 'because' }]) {
        expect((await decide(disputedId, 'prolongations', body)).status).toBe(400);
      }
      const unreasoned = await decide(disputedId, 'prolongation');
      expect([unreasoned.status, (await erasure(disputedId))['prolongedAt']]).toEqual([400, null]);
      const reason = 'holder-not-confirmed';
      const longer = await decide(disputedId, 'prolongations', { reason });
      expect(new Date(String(longer.body['dueAt'])).getTime()).toBeGreaterThan(before);
      const again = await decide(disputedId, 'prolongations', { reason: 'system-fault' });
      expect([again.body['dueAt'], again.body['prolongReason']]).toEqual([longer.body['dueAt'], reason]);
      const { body: told } = await notice();
      expect(told).toMatchObject({ erasureId: disputedId, reason, dueAt: longer.body['dueAt'] });
      expect(Date.parse(String(told['previousDueAt']))).toBe(before);
      expect(told['textRu']).toContain('ещё не подтвердило их уничтожение');
      const entry = { kind: 'erasure', objectId: disputedId, outcome: 'prolonged', reason };
      expect(await h.owner.journalEntry.count({ where: entry })).toBe(1);
      // The credential is replaced beside it; the partner is ordered with whichever is good at the time.
      if (!password) throw new Error('no credential');
      await credentials().start(password);
      await mendEverything(h);
      await Promise.all([reaches(silentId, 'erased'), reaches(soldId, 'erased')]);
      await poke(disputedId);
      // The order that was under way does not go on either: the partner deletes when it is ordered, and was not.
      expect(await facesOf(disputed.token)).toBe(true);
      expect(await hasKey(disputed.residentId)).toBe(true);
      expect((await erasure(disputedId))['state']).toBe('held');

      await decide(disputedId, 'release');
      await reaches(disputedId, 'erased');
      expect(await facesOf(disputed.token)).toBe(false);
      expect(await hasKey(disputed.residentId)).toBe(false);
      const late = await decide(disputedId, 'hold', { reason: 'dispute' });
      expect([late.status, late.body['type']]).toEqual([409, '/problems/erasure-state-conflict']);
      expect((await evidence(disputedId)).filter((outcome) => /held|released/.test(outcome))).toEqual([
        'held',
        'released',
      ]);
    });

    it('of several, each ends with the partner’s word when it is back, and nobody is called about them any more', async () => {
      for (const { token } of [silent, disputed, sold]) expect(await facesOf(token)).toBe(false);
      expect(await h.owner.escalation.count({ where: { objectId: silentId, resolvedAt: null } })).toBe(0);
      const { body } = await compliance.call('get', '/staff/v1/erasures');
      const due = (body['erasures'] as { erasureId: string }[]).map(({ erasureId }) => erasureId);
      for (const id of [silentId, disputedId, soldId]) expect(due).not.toContain(id);
    });

    it('during a sale ends, and so does the sale; the register keeps who sold, and nothing else', async () => {
      await until(
        'the sale is done',
        async () => (await h.registry.get(`/registry/v1/property-sales/${saleId}`)).body['done'] === true,
      );
      const { residentId } = sold;
      expect(contentOf(await certificate(soldId)).search.found).toBe(0);
      expect(await hasKey(residentId)).toBe(false);
      expect(await h.owner.biometricDeletion.count({ where: { residentId } })).toBe(0);
      expect(await h.owner.propertySaleRight.count({ where: { residentId } })).toBe(1);
      // A reversal gives the right back, and access to nobody.
      const { body } = await h.registry.post(`/registry/v1/property-sales/${saleId}/reversal`, {});
      expect(body).toMatchObject({ state: 'reversed', rightsRestored: 1 });
      const opening = { residentId };
      expect((await h.app.post(`/app/v1/access-points/${shlagbaum.doorId}/openings`, opening)).status).toBe(403);
    });
  });

  describe('of somebody whose partner confirms and keeps', () => {
    let erasureId = '';
    let residentId = '';
    let token = '';

    it('asked for many times at once is one, also of somebody who is erased already', async () => {
      ({ residentId, token } = await enrolledPerson());
      await breakPartner(h, 'shlagbaum', { endpoint: 'face-deletions', fault: 'confirm-but-keep', times: 1 });
      const answers = await Promise.all(Array.from({ length: 8 }, () => demand(residentId)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
      const ids = [...new Set(answers.map(({ body }) => String(body['erasureId'])))];
      expect(ids).toHaveLength(1);
      [erasureId = ''] = ids;
      await reaches(erasureId, 'erased');
      const again = await demand(residentId);
      expect([again.status, again.body['erasureId'], again.body['state']]).toEqual([202, erasureId, 'erased']);
      const written = await evidence(erasureId);
      expect(written.filter((outcome) => outcome === 'requested')).toHaveLength(1);
      expect(written.filter((outcome) => outcome === 'certified')).toHaveLength(1);
    });

    it('is opened again when a partner that confirmed still knows the person, who is then deleted there', async () => {
      expect(await facesOf(token)).toBe(true);
      const relay = { clientId: token.toUpperCase(), deviceId: shlagbaum.doorDeviceId, action: 'open' };
      const asked = await h.sandbox.callCompany('shlagbaum', '/partner/v1/resident-requests', relay);
      expect(asked.status).toBe(403);
      await until(
        'it is certified anew',
        async () => (await evidence(erasureId)).filter((e) => e === 'certified').length === 2,
      );
      expect(await facesOf(token)).toBe(false);
      const { version, holders } = contentOf(await certificate(erasureId));
      expect([version, holders[0]?.ordered_again]).toEqual([2, 1]);
      expect(await evidence(erasureId)).toContain('found-at-holder');
    });

    it('asks holders once more days later, and then lets go of what it asked them by', async () => {
      await reaches(erasureId, 'erased');
      expect(await h.owner.erasureHolder.count({ where: { erasureId, token: { not: null } } })).toBe(1);
      await h.owner.erasure.update({ where: { id: erasureId }, data: { followUpAt: PAST } });
      await breakPartner(h, 'shlagbaum', { endpoint: 'face-state', fault: 'error' });
      await poke(erasureId);
      const about = { process: 'erasure', objectId: `${erasureId}/follow-up-2`, reason: 'follow-up-unanswered' };
      await until('a person is called', async () => (await h.owner.escalation.count({ where: about })) > 0);
      const { body } = await compliance.call('get', '/staff/v1/erasures');
      const [row] = (body['erasures'] as Record<string, unknown>[]).filter((each) => each['erasureId'] === erasureId);
      expect(row).toMatchObject({ followUpLate: true, overdue: false });
      await mendEverything(h);
      await poke(erasureId);
      await reaches(erasureId, 'closed');
      expect(await h.owner.escalation.count({ where: { ...about, resolvedAt: null } })).toBe(0);
      await ended(h, `erasure/${erasureId}`);
      expect(await h.owner.erasureHolder.count({ where: { erasureId, token: { not: null } } })).toBe(0);
      expect(await h.owner.erasureHolder.count({ where: { erasureId, askedAt: null } })).toBe(0);
    });
  });

  it('finds who confirmed and has it all the same when holders are asked once more, calls a person, and closes clean', async () => {
    const { residentId, token } = await enrolledPerson();
    const plateHeld = async () => (await h.sandbox.platesHeld('shlagbaum')).some(({ plate }) => plate === KEPT_PLATE);
    await h.app.post(`/app/v1/residents/${residentId}/vehicles`, { plate: KEPT_PLATE });
    await until('the plate is allowed', plateHeld);
    const vehicle = await h.owner.vehicle.findFirstOrThrow({ where: { residentId } });
    const plateIndex = Buffer.from(vehicle.plateIndex ?? []);
    const holding = await h.owner.plateHolding.findFirstOrThrow({ where: { plateIndex, partnerId: 'shlagbaum' } });
    for (const endpoint of ['face-deletions', 'plates']) {
      await breakPartner(h, 'shlagbaum', { endpoint, fault: 'confirm-and-hold', times: 1 });
    }
    const erasureId = await demanded(residentId);
    await reaches(erasureId, 'erased');
    // A plate is asked about while there is one to ask by: it was ordered anew, and a person called, before it was gone.
    expect(await plateHeld()).toBe(false);
    for (const key of [`block-plate/${holding.id}`, `block-plate/${holding.id}/1`]) {
      expect(await h.sandbox.effects('shlagbaum', key)).toBe(1);
    }
    const aboutPlate = { process: 'vehicle-access', objectId: `${vehicle.id}/shlagbaum`, reason: 'found-at-holder' };
    expect(await h.owner.escalation.findMany({ where: aboutPlate })).toMatchObject([
      { level: 1, integration: 'communal', resolvedAt: expect.any(Date) as unknown },
    ]);

    expect(await facesOf(token)).toBe(true);
    const [holder] = await h.owner.erasureHolder.findMany({ where: { erasureId, kind: 'face' } });
    const askAgain = async () => {
      await h.owner.erasure.update({ where: { id: erasureId }, data: { followUpAt: PAST } });
      await poke(erasureId);
    };
    await askAgain();
    const certified = async () => (await evidence(erasureId)).filter((outcome) => outcome === 'certified').length;
    await until('it is certified anew', async () => (await certified()) === 2);
    expect(await facesOf(token)).toBe(false);
    expect(await h.sandbox.effects('shlagbaum', `erase-again/${String(holder?.id)}/1`)).toBe(1);
    const written = await evidence(erasureId);
    const found = written.indexOf('found-at-holder');
    expect(written.slice(found)).toEqual(expect.arrayContaining(['reopened', 'escalated', 'confirmed-by-holder']));
    const about = { process: 'erasure', objectId: `${erasureId}/found-1`, reason: 'found-at-holder' };
    expect(await h.owner.escalation.count({ where: { ...about, resolvedAt: null } })).toBe(1);

    await askAgain();
    await reaches(erasureId, 'closed');
    expect(await h.owner.escalation.count({ where: { ...about, resolvedAt: null } })).toBe(0);
    expect(await certified()).toBe(2);
  });

  it('that meets a hold on the resident ends use at once and destroys nothing, at partners neither, until it is over', async () => {
    const { residentId, token } = await enrolledPerson();
    await h.app.post(`/app/v1/residents/${residentId}/vehicles`, { plate: HELD_PLATE });
    const plateHeld = async () => (await h.sandbox.platesHeld('shlagbaum')).some(({ plate }) => plate === HELD_PLATE);
    await until('the plate is allowed', plateHeld);
    const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
    const hold = (id: string, days: number) => {
      const body = { reason: 'dispute', reference: 'А40-1234/2026', until: inDays(days) };
      return compliance.call('post', `/staff/v1/residents/${id}/holds`, { body });
    };
    expect([(await hold(randomUUID(), 30)).status, (await hold(residentId, -1)).status]).toEqual([404, 400]);
    const [longer, shorter] = [await hold(residentId, 30), await hold(residentId, 20)];
    expect([longer.status, shorter.status]).toEqual([201, 201]);
    const { body: list } = await compliance.call('get', '/staff/v1/resident-holds');
    expect(list['holds']).toMatchObject([{ holdId: shorter.body['holdId'] }, { holdId: longer.body['holdId'] }]);

    const { body: demandedNow } = await demand(residentId);
    const erasureId = String(demandedNow['erasureId']);
    expect(demandedNow).toMatchObject({ state: 'held', holdReason: 'dispute', heldUntil: longer.body['until'] });
    const asked = await h.app.post(`/app/v1/access-points/${shlagbaum.doorId}/openings`, { residentId });
    expect(asked.status).toBe(403);
    // The partner opens its barrier by its own list: it is off it, and with us the plate is there still.
    await until('the plate is blocked', async () => !(await plateHeld()));
    await until('that is confirmed', async () => {
      const open = { vehicle: { residentId }, state: 'open' };
      return (await h.owner.vehiclePartner.count({ where: open })) === 0;
    });
    const deletion = await h.owner.biometricDeletion.findFirstOrThrow({ where: { residentId } });
    await startDeletion(h.temporal.client, deletionRequestOf(deletion), 'communal');
    const execution = h.temporal.client.workflow.getHandle(`deletion/${deletion.id}`);
    await until('the deletion waits', async () => {
      const { typedSearchAttributes } = await execution.describe();
      return typedSearchAttributes.get(STATE_ATTRIBUTE) === 'held';
    });
    expect(await facesOf(token)).toBe(true);
    expect(await h.owner.vehicle.count({ where: { residentId, sealed: { not: null } } })).toBe(1);

    expect((await decide(erasureId, 'release')).body['type']).toBe('/problems/erasure-state-conflict');
    const release = (of: { body: Record<string, unknown> }) =>
      compliance.call('post', `/staff/v1/resident-holds/${String(of.body['holdId'])}/release`);
    expect((await release(longer)).status).toBe(200);
    expect(await erasure(erasureId)).toMatchObject({ state: 'held', heldUntil: shorter.body['until'] });
    expect(await facesOf(token)).toBe(true);
    // The other one ends by its time.
    await h.owner.residentHold.update({ where: { id: String(shorter.body['holdId']) }, data: { until: PAST } });
    await h.owner.erasure.update({ where: { id: erasureId }, data: { heldUntil: PAST } });
    await poke(erasureId);
    await reaches(erasureId, 'erased');
    expect(await facesOf(token)).toBe(false);
    expect(await hasKey(residentId)).toBe(false);
    expect(await h.owner.residentHold.count({ where: { residentId } })).toBe(0);
    expect((await evidence(erasureId)).filter((outcome) => /held|released/.test(outcome))).toEqual([
      'held',
      'released',
    ]);
    expect((await hold(residentId, 30)).status).toBe(409);
  });

  it('reads on where a search of histories ended, and does not call them clean before', async () => {
    const { workflow } = h.temporal.client;
    const needle = randomUUID();
    const batch = `open-access/${randomUUID()}`;
    for (const [at, token] of [needle, randomUUID(), randomUUID()].entries()) {
      const workflowId = `${batch}-${at.toString()}`;
      const started = await workflow.start('openAccessWorkflow', {
        taskQueue: 'nobody',
        workflowId,
        args: [{ token }],
      });
      await started.terminate();
    }
    const listed = `WorkflowId STARTS_WITH '${batch}' AND ExecutionStatus = 'Terminated'`;
    await until('all are listed', async () => (await workflow.count(listed)).count === 3);
    const executions = createErasureExecutions(h.temporal.client, { historiesAtMost: 2 });
    const found = new Set<string>();
    const unread: number[] = [];
    await until('all histories are read', async () => {
      const named = await executions.naming([needle]);
      for (const workflowId of named.histories) found.add(workflowId);
      unread.push(named.unread);
      const stores = withExecutions({ searchedAt: '', places: 0, found: [] }, named);
      expect(stores.found.some(({ place }) => place === 'temporal-unread')).toBe(named.unread > 0);
      return named.unread === 0;
    });
    expect(unread[0]).toBeGreaterThan(0);
    expect([...found]).toEqual([`${batch}-0`]);
  });

  it('is taken up by the tidying when its process died, and is not certified while a store holds the person', async () => {
    const { residentId, token } = await enrolledPerson();
    const relative = await moveGalinaIn(h.db, h.secrets);
    for (const id of [residentId, relative]) {
      expect((await h.app.post(`/app/v1/residents/${id}/vehicles`, { plate: SHARED_PLATE })).status).toBe(201);
    }
    const isAllowed = async () => (await h.sandbox.platesHeld('shlagbaum')).some(({ plate }) => plate === SHARED_PLATE);
    await until('the plate is allowed', isAllowed);
    // Only a plugin brought the face: nothing of ours says that it is there.
    await h.owner.enrollment.deleteMany({ where: { residentId } });
    const left = join(searchedFolder(h), 'left.log');
    const broken = join(searchedFolder(h), 'broken.dlog');
    writeFileSync(broken, 'no segment\n');
    writeFileSync(left, `a line that should not be: ${residentId.toUpperCase()}\n`);
    const event = { partnerId: 'shlagbaum', integration: 'communal', kind: 'key-openings', happenedAt: PAST };
    const planted = { ...event, eventId: `brought/${residentId}`, subject: `key of ${token.toUpperCase()}` };
    await h.owner.partnerEvent.create({ data: planted });
    jest.spyOn(h.temporal.client.workflow, 'signalWithStart').mockRejectedValueOnce(new Error('gone'));
    const erasureId = await demanded(residentId);
    const { workflow } = h.temporal.client;
    await expect(workflow.getHandle(`erasure/${erasureId}`).describe()).rejects.toThrow(/not found/i);
    // Executions that no row leads to: one that has ended names the person in its argument, one that runs in its id.
    const stray = { taskQueue: 'nobody', workflowId: `open-access/${randomUUID()}`, args: [{ token }] };
    const ended = await workflow.start('openAccessWorkflow', stray);
    await ended.terminate();
    const unknown = { taskQueue: 'nobody', workflowId: `unknown/${residentId}`, args: [] };
    const running = await workflow.start('housekeepingWorkflow', unknown);
    const workflowId = `housekeeping-${randomUUID()}`;
    await workflow.start('housekeepingWorkflow', { workflowId, taskQueue: 'core', args: [] });
    await until('the search has found it', async () => (await evidence(erasureId)).includes('search-found'));
    const isGone = () =>
      ended.describe().then(
        () => false,
        () => true,
      );
    await until('the history that names them is gone', isGone);
    const found = async () => {
      const { state, search } = (await erasure(erasureId)) as { state: string; search: SearchResult };
      return [state, ...search.found.map(({ place, hits }) => `${place} ${hits.toString()}`)].join();
    };
    const remaining =
      'erasing,partner_events.event_id 1,partner_events.subject 1,files 1,files-unreadable 1,temporal-visibility 1';
    await until('nothing else is found any more', async () => (await found()) === remaining);
    expect((await h.app.get(`/app/v1/erasures/${erasureId}/certificate`)).status).toBe(409);
    await h.owner.erasure.update({ where: { id: erasureId }, data: { requestedAt: PAST, dueAt: PAST } });
    await poke(erasureId);
    const called = { process: 'erasure', objectId: erasureId, reason: 'overdue' };
    await until('a person is called', async () => (await h.owner.escalation.count({ where: called })) > 0);
    await h.owner.partnerEvent.deleteMany({ where: { eventId: planted.eventId } });
    rmSync(left);
    rmSync(broken);
    await running.terminate();
    await reaches(erasureId, 'erased');
    expect(await facesOf(token)).toBe(false);
    expect(await isAllowed()).toBe(true);
    const plates = contentOf(await certificate(erasureId)).holders.filter(({ category }) => category === 'plate');
    expect(plates).toMatchObject([{ party: 'shlagbaum', standing: 'kept-for-another', confirmed_at: null }]);
  });

  it('waits while the key store does not answer, as everybody does who needs a key, and ends when it is back', async () => {
    const [leaving, staying] = [await moveGalinaIn(h.db, h.secrets), await moveGalinaIn(h.db, h.secrets)];
    await core.stop();
    const erasureId = await demanded(leaving);
    await h.keyStoreLine.cut();
    let registering: ReturnType<Harness['app']['post']>;
    try {
      const inADay = new Date(Date.now() + 86_400_000).toISOString();
      const body = { reason: 'dispute', reference: 'А40-1235/2026', until: inADay };
      expect((await compliance.call('post', `/staff/v1/residents/${staying}/holds`, { body })).status).toBe(503);
      expect(await h.owner.residentHold.count({ where: { residentId: staying } })).toBe(0);
      // Asked again and again under the same key, as the app's backend does.
      registering = h.app.post(`/app/v1/residents/${staying}/vehicles`, { plate: OUTAGE_PLATE });
    } finally {
      core = await startCore(h);
    }
    await until('the rows are gone', async () => !(await hasKey(leaving)));
    expect(await h.keyStore.share(leaving)).not.toBeNull();
    expect((await erasure(erasureId))['state']).toBe('erasing');
    expect((await compliance.call('get', `/staff/v1/erasures/${erasureId}/certificate`)).status).toBe(409);
    expect(await h.owner.vehicle.count({ where: { residentId: staying } })).toBe(0);
    await h.keyStoreLine.mend();
    await reaches(erasureId, 'erased');
    expect(await h.keyStore.share(leaving)).toBeNull();
    expect((await registering).status).toBe(201);
    expect(await h.owner.vehicle.count({ where: { residentId: staying } })).toBe(1);
  });

  describe('in a database that is restored from a backup', () => {
    const TABLES = [
      ...['subject_keys', 'resident_profiles', 'partner_subjects', 'consents', 'enrollments', 'face_templates'],
      ...['vehicles', 'plugin_sessions'],
    ];
    const vizor = partnerOf('vizor');
    const SEEN_PLATE = 'А113АА77';

    /** What a backup of now would have of the person. @returns puts it back, as a restored dump has it */
    async function backup(residentId: string): Promise<() => Promise<void>> {
      const copies: [string, string][] = [];
      for (const table of TABLES) {
        const [row] = await h.owner.$queryRawUnsafe<{ rows: string | null }[]>(
          `SELECT json_agg(t)::text AS rows FROM ${table} t WHERE resident_id = $1::uuid`,
          residentId,
        );
        copies.push([table, row?.rows ?? '[]']);
      }
      return async () => {
        const where = { where: { residentId } };
        await h.owner.erasureCertificate.deleteMany({ where: { erasure: { residentId } } });
        await h.owner.erasureHolder.deleteMany({ where: { erasure: { residentId } } });
        await h.owner.erasure.deleteMany(where);
        await h.owner.biometricDeletion.deleteMany(where);
        await h.owner.resident.update({ where: { id: residentId }, data: { status: 'active' } });
        for (const [table, rows] of copies) {
          await h.owner.$executeRawUnsafe(
            `INSERT INTO ${table} SELECT * FROM json_populate_recordset(null::${table}, $1::json) ON CONFLICT DO NOTHING`,
            rows,
          );
        }
      };
    }

    it('people who were erased or asked to be are denied before anything opens, are erased again, and their acts are there', async () => {
      const residentId = await moveIn(h.db, h.secrets, {
        ...{ name: GALINA.name, partnerId: 'vizor', flat: vizor.flats.paid },
      });
      await residentOf(h, residentId).enrolled(vizor);
      const car = { plate: SEEN_PLATE, houseId: vizor.houseId };
      expect((await h.app.post(`/app/v1/residents/${residentId}/vehicles`, car)).status).toBe(201);
      const open = (app = h.app) => app.post(`/app/v1/access-points/${vizor.doorId}/openings`, { residentId });
      const ways = [
        async () => (await open()).status,
        async () => (await h.sandbox.showPlate('vizor', vizor.barrierDeviceId, SEEN_PLATE)).company?.status,
        async () => (await residentOf(h).atTheDoor(vizor)).company?.status,
      ];
      const statuses = () => Promise.all(ways.map((way) => way()));
      const [putBack, other] = [await backup(residentId), await moveGalinaIn(h.db, h.secrets)];
      const putOtherBack = await backup(other);

      const first = await demanded(residentId);
      await reaches(first, 'erased');
      const act = await certificate(first);
      await core.stop();
      // Somebody else asks, and a dispute pauses it.
      const waiting = await demanded(other);
      expect((await decide(waiting, 'hold', { reason: 'dispute' })).status).toBe(200);
      core = await startCore(h);
      const ledger = openErasureLedger(erasuresFolder(h));
      const entered = () => Promise.resolve(ledger.demands().get(residentHash(other))?.holdReason === 'dispute');
      await until('the demand that waits is in the ledger', entered);
      await core.stop();

      await putBack();
      await putOtherBack();
      // Of a dump every row is written by another transaction than it was.
      await h.owner.$executeRaw`UPDATE restore_checks SET checked_at = checked_at`;
      // The half of the key that came back opens nothing: not the face, nor what the journal says of them.
      expect(await hasKey(residentId)).toBe(true);
      expect(await h.subjects.find(h.owner, residentId)).toBeNull();
      expect(await entriesOfSubject(h.owner, h.subjects, residentId)).toEqual([]);
      expect(await h.subjects.find(h.owner, other)).not.toBeNull();
      expect(await statuses()).toEqual([200, 200, 403]);
      const { apiUrl } = await h.startAnotherApi({ restoreGate: true });
      const http = createClient(h.caPem);
      const asked = `${apiUrl}/app/v1/access-points/${vizor.doorId}/openings`;
      await expect(http.bytes(asked, { method: 'POST' })).rejects.toThrow('answered 503');
      await expect(http.bytes(`${apiUrl}/oauth/token`, { method: 'POST' })).rejects.toThrow('answered 503');

      core = await startCore(h, { keyStoreBackupDays: 0 });
      expect(await statuses()).toEqual([403, 403, 403]);
      const [elsewhere, clientSecret] = [{ ...h, apiUrl }, h.secrets.appClient.value];
      const app = createAppBackend({ ...elsewhere, clientId: APP_CLIENT_ID, clientSecret });
      expect((await open(app)).status).toBe(403);
      const again = await h.owner.erasure.findUniqueOrThrow({ where: { residentId } });
      expect(again.id).toBe(first);
      const where = { erasureId_version: { erasureId: first, version: 1 } };
      expect((await h.owner.erasureCertificate.findUniqueOrThrow({ where })).document).toEqual(act);
      expect(await evidence(first)).toContain('restored');
      expect(await erasure(waiting)).toMatchObject({ state: 'held', holdReason: 'dispute' });
      await reaches(first, 'erased');
      expect(await hasKey(residentId)).toBe(false);
      expect(await h.owner.residentProfile.count({ where: { residentId } })).toBe(0);
      expect(await h.owner.faceTemplate.count({ where: { residentId } })).toBe(0);
      const { version, backups } = contentOf(await certificate(first));
      expect(version).toBe(2);
      expect(backups).toMatchObject({ key_store_retention_days: 0, key_store_hold_until: null });
      expect(backups?.opens_nothing_from).toBe(backups?.share_destroyed_at);
      await Promise.all([app.close(), http.close()]);
    });

    it('a half of a key that is back in the key store opens the erasure again, and goes before it is closed', async () => {
      const { id: erasureId, residentId } = await h.owner.erasure.findFirstOrThrow({ where: { state: 'erased' } });
      await h.keyStore.makeShare(residentId);
      const certified = async () => (await evidence(erasureId)).filter((outcome) => outcome === 'certified').length;
      const before = await certified();
      const followUp = async () => {
        await h.owner.erasure.update({ where: { id: erasureId }, data: { followUpAt: PAST } });
        await poke(erasureId);
      };
      await followUp();
      await until('it is certified anew', async () => (await certified()) === before + 1);
      expect(await h.keyStore.share(residentId)).toBeNull();
      const reopened = { kind: 'erasure', objectId: erasureId, outcome: 'reopened', reason: 'key-share-is-back' };
      expect(await h.owner.journalEntry.count({ where: reopened })).toBe(1);
      await followUp();
      await reaches(erasureId, 'closed');
    });

    it('an act is there although the backup has neither the demand nor the person', async () => {
      const { id: erasureId, residentId } = await h.owner.erasure.findFirstOrThrow({ where: { state: 'erased' } });
      const act = await certificate(erasureId);
      await core.stop();
      await h.owner.erasureCertificate.deleteMany({ where: { erasureId } });
      await h.owner.erasureHolder.deleteMany({ where: { erasureId } });
      await h.owner.erasure.delete({ where: { id: erasureId } });
      core = await startCore(h);
      expect(await certificate(erasureId)).toEqual(act);
      expect(await erasure(erasureId)).toMatchObject({ state: 'closed' });
      expect((await erasure(erasureId))['residentId']).not.toBe(residentId);
    });
  });

  it('that was begun during an enrollment goes on when the deletion is over, and no photo has come late', async () => {
    const { erasureId, enrollmentId, token } = inEnrollment;
    const ofEnrollment = { where: { id: enrollmentId, state: { in: ['requested', 'processing'] } } };
    await until('the enrollment has ended', async () => (await h.owner.enrollment.count(ofEnrollment)) === 0);
    const { residentId } = await h.owner.erasure.findUniqueOrThrow({ where: { id: erasureId } });
    const deletion = await h.owner.biometricDeletion.findFirst({ where: { residentId } });
    // Held for a minute after which nothing can arrive any more (test/workflows/withdrawal.test.ts waits for it).
    if (deletion?.state === 'deleting') {
      expect((await erasure(erasureId))['state']).toBe('waiting');
      await h.temporal.client.workflow.getHandle(`deletion/${deletion.id}`).terminate('the minute is over');
      const data = { state: 'deleted', deletedAt: new Date() };
      await h.owner.biometricDeletion.update({ where: { id: deletion.id }, data });
      await poke(erasureId);
    }
    await reaches(erasureId, 'erased');
    expect(await facesOf(token)).toBe(false);
    expect(await h.owner.stagedPhoto.count({ where: { enrollmentId } })).toBe(0);
    expect(contentOf(await certificate(erasureId)).holders.map(({ party }) => party)).toEqual(['shlagbaum']);
  });
});
