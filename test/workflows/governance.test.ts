import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { generateKeyPair, SignJWT } from 'jose';
import { Agent, fetch } from 'undici';
import { LOG_EXPORT_TYPE, LOG_PART_MAX_ENTRIES } from '../../contracts/log-exports';
import { plainPdf } from '../../stack/plain-pdf';
import { createStaffBrowser, type StaffBrowser } from '../../stack/story/staff-browser';
import { staffPasswords } from '../../stack/story/staff-chapter';
import { STAFF, STAFF_CLIENT_ID, type TownPartner } from '../../stack/town';
import { documentSigner, signDocument, verifyDocument } from '../../vault/document-signature';
import { startCore, type CoreWorker } from '../support/core';
import { configurePartner } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf, residentOf } from '../support/resident';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

// One town for all of governance: to build one takes as long as many of the tests.
let h: Harness;
let core: CoreWorker;
let compliance: StaffCaller;
let security: StaffCaller;
beforeAll(async () => {
  h = await createHarness();
  core = await startCore(h);
  compliance = await staffMember(h, ['compliance']);
  security = await staffMember(h, ['information-security']);
}, 120_000);
afterAll(async () => {
  await core.stop();
  await h.close();
});

const DAY = 86_400_000;

describe('the letter of attestation of a partner', () => {
  let resident: ReturnType<typeof residentOf>;
  beforeAll(() => {
    resident = residentOf(h);
  });

  const vizor = partnerOf('vizor');
  const kluch = partnerOf('kluch');
  const shlagbaum = partnerOf('shlagbaum');
  const HEAD = { name: 'Ксения Образцова', position: 'Генеральный директор' };
  const ATTESTS = ['infrastructure-and-services-audited', 'vulnerability-analysis', 'federal-law-152'];
  const day = (offset: number): string => new Date(Date.now() + offset * DAY).toISOString().slice(0, 10);
  const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
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

    const other = { signedBy: { ...HEAD, name: 'Somebody else' }, signedOn: day(-3) };
    const again = await compliance.call('post', `${lettersOf(kluch.id)}/${id}/acceptance`, acceptance(letter, other));
    expect(again).toMatchObject({ status: 200, body: { signedOn: `${day(-1)}T00:00:00.000Z` } });
    expect((await compliance.call('get', `${lettersOf(kluch.id)}/${id}`)).body['signedBy']).toEqual(HEAD);
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

describe('a demand for a partner’s logs', () => {
  const PARTNERS = ['kluch', 'vizor', 'shlagbaum'] as const;
  type Comparison = { ours: number; matched: number; missing: string[]; withheld: string[]; unknown: string[] };

  const base = (partnerId: string) => `/staff/v1/partners/${partnerId}/log-exports`;
  async function open(partner: TownPartner): Promise<string> {
    const { status, body } = await h.app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId: anna });
    expect(status).toBe(200);
    return `open/${String(body['openingId'])}`;
  }
  async function propose(partnerId: string, change: object = {}) {
    const [from, to] = [new Date(Date.now() - 3_600_000), new Date()].map((at) => at.toISOString());
    const body = { reason: 'unauthorized-opening', from, to, dueDays: 5, ...change };
    return security.call('post', base(partnerId), { body });
  }
  async function demand(partnerId: string): Promise<string> {
    const id = String((await propose(partnerId)).body['demandId']);
    expect((await compliance.call('post', `${base(partnerId)}/${id}/approval`)).status).toBe(200);
    return id;
  }
  const deliver = async (partnerId: string, how: object = {}) => {
    const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/log-exports`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(how),
    });
    return ((await answer.json()) as { delivered: { statuses: number[] }[] }).delivered.flatMap(
      ({ statuses }) => statuses,
    );
  };
  const look = async (partnerId: string, id: string) => {
    const { body } = await security.call('get', base(partnerId));
    return (body['logExports'] as Record<string, unknown>[]).find(({ demandId }) => demandId === id) ?? {};
  };
  const due = async (partnerId: string) =>
    (await h.sandbox.readCompany(partnerId, '/partner/v1/obligations')).body['logExports'] as { demandId: string }[];

  it('takes two people, and until then the partner hears nothing of it', async () => {
    const id = String((await propose('vizor')).body['demandId']);
    const own = await security.call('post', `${base('vizor')}/${id}/approval`);
    expect(own).toMatchObject({ status: 403, body: { type: '/problems/own-proposal' } });
    expect(await due('vizor')).toEqual([]);
    expect((await compliance.call('post', `${base('vizor')}/${id}/approval`)).status).toBe(200);
    expect((await due('vizor')).map(({ demandId }) => demandId)).toEqual([id]);
    expect(await deliver('vizor')).toEqual([200]);
    for (const change of [{ to: new Date(Date.now() + 60_000).toISOString() }, { from: '2020-01-01T00:00:00Z' }]) {
      expect((await propose('vizor', change)).status).toBe(400);
    }
    const strangers = [await staffMember(h, ['auditor']), await staffMember(h, ['operations'])];
    for (const who of strangers) expect((await who.call('post', `${base('vizor')}/${id}/approval`)).status).toBe(403);
  });

  it.each(PARTNERS)(
    'is met by %s with a signed log that has all of our orders, with a chain of custody',
    async (name) => {
      const keys = [await open(partnerOf(name)), await open(partnerOf(name))];
      const id = await demand(name);
      expect(await deliver(name)).toEqual([200]);
      const found = await look(name, id);
      expect(found).toMatchObject({ status: 'received', withheld: [], comparison: { missing: [], unknown: [] } });
      const { ours, matched } = found['comparison'] as Comparison;
      expect([matched, ours >= keys.length]).toEqual([ours, true]);

      const part = await security.call('get', `${base(name)}/${id}/parts/1`);
      const check = verifyDocument(part.body);
      const [listed] = found['parts'] as { keyId: string }[];
      expect(check).toMatchObject({ ok: true, type: LOG_EXPORT_TYPE, keyId: listed?.keyId });
      const text = JSON.stringify((check as { content: unknown }).content);
      for (const key of keys) expect(text).toContain(key);
      const chain = (await look(name, id))['custody'] as { action: string; actor: string }[];
      expect(chain.map(({ action, actor }) => `${action} by ${actor}`)).toEqual([
        `proposed by staff/${security.memberId}`,
        `demanded by staff/${compliance.memberId}`,
        `told by ${name}`,
        `received-part-1 by ${name}`,
        'compared by log-export',
        `opened-part-1 by staff/${security.memberId}`,
      ]);
      const [{ row } = { row: '' }]: { row: string }[] = await h.owner.$queryRaw`
      SELECT string_agg(f::text, '') AS row FROM sealed_files f JOIN log_export_parts p ON p.file_id = f.id
      WHERE p.demand_id = ${id}::uuid`;
      expect(row).not.toContain(Buffer.from(String(part.body['payload']).slice(0, 60)).toString('hex'));
      await ended(h, `log-export/${id}`);
    },
  );

  it('shows what was left out in silence as a gap, and what was named as withheld apart from it', async () => {
    const kluch = partnerOf('kluch');
    const hidden = await open(kluch);
    const first = await demand('kluch');
    expect(await deliver('kluch', { hide: 1 })).toEqual([200]);
    expect((await look('kluch', first))['comparison']).toMatchObject({ missing: [hidden], withheld: [] });

    const named = await open(kluch);
    const second = await demand('kluch');
    expect(await deliver('kluch', { withhold: 1 })).toEqual([200]);
    const found = await look('kluch', second);
    const { missing, withheld } = found['comparison'] as Comparison;
    expect([missing, withheld.includes(named)]).toEqual([[], true]);
    expect(found['withheld']).toMatchObject([{ reason: 'other-customers', entries: 1 }]);
  });

  it('is met by nobody else, by no other key and by nothing that was changed', async () => {
    const id = await demand('vizor');
    const agreed = documentSigner(h.secrets.fromVizorLogExportKey.value);
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const content = { demandId: id, part: 1, parts: 2, entries: [], withheld: [] };
    const good = signDocument(agreed, LOG_EXPORT_TYPE, content);
    const path = `/partner/v1/log-exports/${id}/parts`;
    const send = async (partnerId: string, body: object) => (await h.sandbox.callCompany(partnerId, path, body)).status;
    expect(await send('kluch', good)).toBe(404);
    expect(await send('vizor', signDocument(documentSigner(pem), LOG_EXPORT_TYPE, content))).toBe(403);
    expect(await send('vizor', signDocument(agreed, 'something-else+json', content))).toBe(403);
    const changed = Buffer.from(JSON.stringify({ ...content, parts: 1 })).toString('base64url');
    expect(await send('vizor', { ...good, payload: changed })).toBe(403);
    for (const wrong of [
      { part: 3 },
      { demandId: '00000000-0000-4000-8000-00000000dead' },
      { withheld: [{ reason: 'x' }] },
    ]) {
      expect(await send('vizor', signDocument(agreed, LOG_EXPORT_TYPE, { ...content, ...wrong }))).toBe(400);
    }
    expect((await look('vizor', id))['parts']).toEqual([]);

    expect([await send('vizor', good), await send('vizor', good)]).toEqual([200, 200]);
    const other = { ...content, entries: [{ at: new Date().toISOString(), key: 'open/x', event: 'open' }] };
    expect(await send('vizor', signDocument(agreed, LOG_EXPORT_TYPE, other))).toBe(409);
    expect(await look('vizor', id)).toMatchObject({ status: 'demanded', parts: [{ part: 1 }] });
    expect(await send('vizor', signDocument(agreed, LOG_EXPORT_TYPE, { ...other, part: 2 }))).toBe(200);
    expect((await look('vizor', id))['comparison']).toMatchObject({ unknown: ['open/x'] });
  });

  it('is met with as many entries in one part as the contract says', async () => {
    const id = await demand('shlagbaum');
    const agreed = documentSigner(h.secrets.fromShlagbaumLogExportKey.value);
    const entry = { at: new Date().toISOString(), key: 'k'.repeat(255), event: 'enroll' };
    const content = { demandId: id, part: 1, parts: 2, withheld: [] };
    const send = async (entries: object[]) => {
      const part = signDocument(agreed, LOG_EXPORT_TYPE, { ...content, entries });
      return (await h.sandbox.callCompany('shlagbaum', `/partner/v1/log-exports/${id}/parts`, part)).status;
    };
    const most = Array.from({ length: LOG_PART_MAX_ENTRIES }, () => entry);
    expect(await send([...most, entry])).toBe(400);
    expect(await send(most)).toBe(200);
    const last = signDocument(agreed, LOG_EXPORT_TYPE, { ...content, part: 2, entries: [] });
    await h.sandbox.callCompany('shlagbaum', `/partner/v1/log-exports/${id}/parts`, last);
    expect(await look('shlagbaum', id)).toMatchObject({ status: 'received' });
  });

  // Skips time, after which every opening is asked for too late: what opens a door stands above.
  it('that is not met in time is overdue, staff are told, of one that was not even read too, and the log is still taken', async () => {
    const id = await demand('shlagbaum');
    const read = await demand('vizor');
    for (let times = 0; times < 2; times++)
      expect((await due('vizor')).map(({ demandId }) => demandId)).toContain(read);
    const alerts = async (of: string) =>
      (await h.owner.securityAlert.findMany({ where: { objectId: of } })).map(({ scope }) => scope).toSorted();
    await until('both are waited for', async () => {
      await h.temporal.sleep('1 day');
      return (await Promise.all([id, read].map(alerts))).every((scopes) => scopes.includes('overdue'));
    });
    expect(await alerts(id)).toEqual(['1-days', 'not-told', 'overdue']);
    expect(await alerts(read)).toEqual(['1-days', 'overdue']);
    const custody = (await look('vizor', read))['custody'] as { action: string }[];
    expect(custody.filter(({ action }) => action === 'told')).toHaveLength(1);
    expect(await look('shlagbaum', id)).toMatchObject({ status: 'overdue' });
    expect(await deliver('shlagbaum')).toEqual([200]);
    expect(await look('shlagbaum', id)).toMatchObject({ status: 'received' });
  });

  it('is waited for although the process died right after its approval', async () => {
    const id = String((await propose('kluch')).body['demandId']);
    const dueAt = new Date(Date.now() - DAY);
    await h.owner.logExportDemand.update({ where: { id }, data: { status: 'demanded', dueAt } });
    const workflowId = `housekeeping-${randomUUID()}`;
    await h.temporal.client.workflow.start('housekeepingWorkflow', { workflowId, taskQueue: 'core' });
    await ended(h, workflowId);
    await ended(h, `log-export/${id}`);
    expect(await look('kluch', id)).toMatchObject({ status: 'overdue' });
    expect(await h.owner.securityAlert.count({ where: { objectId: id, scope: 'overdue' } })).toBe(1);
  });
});

describe('a review of rights', () => {
  type Right = { itemId: string; kind: string; holder: string; granted: string; decision: string | null };

  const BASE = '/staff/v1/access-reviews';
  const browsers: StaffBrowser[] = [];
  afterAll(() => Promise.all(browsers.map((browser) => browser.close())));

  async function begin(): Promise<string> {
    const { status, body } = await security.call('post', BASE);
    expect(status).toBe(202);
    const reviewId = String(body['reviewId']);
    await until('the rights are written down', async () => {
      return (await security.call('get', `${BASE}/${reviewId}`)).status === 200;
    });
    return reviewId;
  }
  const rightsOf = async (reviewId: string): Promise<Right[]> =>
    (await compliance.call('get', `${BASE}/${reviewId}`)).body['rights'] as Right[];
  const decide = (by: StaffCaller, reviewId: string, decision: 'confirm' | 'revoke', rights: readonly Right[]) =>
    by.call('post', `${BASE}/${reviewId}/decisions`, {
      body: { decisions: rights.map(({ itemId }) => ({ itemId, decision })) },
    });
  const ofMember = (rights: Right[], { memberId }: StaffCaller): Right[] =>
    rights.filter(({ kind, holder }) => kind === 'member' && holder === memberId);
  const ofClient = (rights: Right[], client: string, scope: string): Right[] =>
    rights.filter(({ kind, holder, granted }) => kind === 'client' && holder === client && granted === scope);
  const report = async (partnerId: string) => {
    const event = { eventId: randomUUID(), at: new Date().toISOString() };
    return (await h.sandbox.callCompany(partnerId, '/partner/v1/webhooks/equipment-changes', event)).status;
  };
  const obligations = async (partnerId: string) =>
    (await h.sandbox.readCompany(partnerId, '/partner/v1/obligations')).status;
  const alerts = async (reviewId: string) =>
    (await h.owner.securityAlert.findMany({ where: { objectId: reviewId } })).map(({ scope }) => scope).toSorted();

  it('takes what is revoked at once, and lets lapse at its end what nobody confirmed', async () => {
    const operator = await staffMember(h, ['operations']);
    const auditor = await staffMember(h, ['auditor']);
    const reads = (who: StaffCaller) => who.call('get', '/staff/v1/security-alerts');
    expect([(await reads(operator)).status, (await reads(auditor)).status]).toEqual([200, 200]);
    expect([await report('vizor'), await obligations('kluch')]).toEqual([202, 200]);

    const reviewId = await begin();
    const rights = await rightsOf(reviewId);
    expect(ofMember(rights, operator)).toHaveLength(1);
    const scopes = (await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: 'vizor' } })).scopes;
    for (const scope of scopes) expect(ofClient(rights, 'vizor', scope)).toHaveLength(1);

    const gone = [...ofMember(rights, operator), ...ofClient(rights, 'vizor', 'webhooks:deliver')];
    expect((await decide(compliance, reviewId, 'revoke', gone)).status).toBe(200);
    expect(await reads(operator)).toMatchObject({ status: 403, body: { type: '/problems/role' } });
    expect(await report('vizor')).not.toBe(202);
    expect((await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: 'vizor' } })).scopes).toHaveLength(
      scopes.length - 1,
    );
    expect((await decide(security, reviewId, 'confirm', gone.slice(0, 1))).status).toBe(409);

    const forgotten = [...ofMember(rights, auditor), ...ofClient(rights, 'kluch', 'obligations')];
    const rest = rights.filter((right) => ![...gone, ...forgotten].includes(right));
    const own = ofMember(rest, security);
    const refused = await decide(security, reviewId, 'confirm', own);
    expect(refused).toMatchObject({ status: 403, body: { type: '/problems/own-right' } });
    expect((await decide(compliance, reviewId, 'confirm', own)).status).toBe(200);
    expect(
      (
        await decide(
          security,
          reviewId,
          'confirm',
          rest.filter((right) => !own.includes(right)),
        )
      ).status,
    ).toBe(200);
    expect((await reads(auditor)).status).toBe(200);
    expect(await alerts(reviewId)).toEqual(['opened']);

    await h.temporal.sleep('15 days');
    await until('somebody is reminded', async () => (await alerts(reviewId)).includes('7-days'));
    expect((await reads(auditor)).status).toBe(200);
    await h.temporal.sleep('7 days');
    await ended(h, `access-review/${reviewId}`);
    expect(await alerts(reviewId)).toEqual(['1-days', '7-days', 'opened']);
    expect(await reads(auditor)).toMatchObject({ status: 403, body: { type: '/problems/role' } });
    expect(await obligations('kluch')).not.toBe(200);
    expect(await report('kluch')).toBe(202);
    expect((await reads(security)).status).toBe(200);
    const after = await rightsOf(reviewId);
    expect(after.filter(({ decision }) => decision === 'lapsed').map(({ itemId }) => itemId)).toEqual(
      after.filter(({ itemId }) => forgotten.some((each) => each.itemId === itemId)).map(({ itemId }) => itemId),
    );
    expect((await decide(compliance, reviewId, 'confirm', forgotten)).status).toBe(409);

    for (const { itemId } of forgotten) {
      expect((await compliance.call('post', `${BASE}/${reviewId}/rights/${itemId}/restoration`)).status).toBe(200);
    }
    expect((await reads(auditor)).status).toBe(200);
    expect(await obligations('kluch')).toBe(200);
    const [confirmed] = rest;
    const restored = await compliance.call('post', `${BASE}/${reviewId}/rights/${confirmed?.itemId ?? ''}/restoration`);
    expect(restored.status).toBe(409);
  });

  it('goes on when its execution was ended by hand, and ends by itself when everything is decided', async () => {
    const reviewId = await begin();
    const { dueAt } = await h.owner.accessReview.findUniqueOrThrow({ where: { id: reviewId } });
    const { workflow } = h.temporal.client;
    await workflow.getHandle(`access-review/${reviewId}`).terminate('by hand');
    const workflowId = `housekeeping-${randomUUID()}`;
    await workflow.start('housekeepingWorkflow', { workflowId, taskQueue: 'core' });
    await ended(h, workflowId);
    expect((await workflow.getHandle(`access-review/${reviewId}`).describe()).status.name).toBe('RUNNING');
    expect(await h.owner.accessReview.findUniqueOrThrow({ where: { id: reviewId } })).toMatchObject({ dueAt });
    const rights = await rightsOf(reviewId);
    const own = ofMember(rights, security);
    await decide(
      security,
      reviewId,
      'confirm',
      rights.filter((right) => !own.includes(right)),
    );
    await decide(compliance, reviewId, 'confirm', own);
    await ended(h, `access-review/${reviewId}`);
    expect((await rightsOf(reviewId)).every(({ decision }) => decision === 'confirmed')).toBe(true);
    expect(await compliance.call('get', `${BASE}/${reviewId}`)).toMatchObject({
      body: { state: 'closed', undecided: 0 },
    });
  });

  it('gives a client back what a review took from it, and nothing else', async () => {
    await h.owner.$executeRaw`SELECT restore_client_scope('vizor', 'property-sales:report')`;
    const { scopes } = await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: 'vizor' } });
    expect(scopes).not.toContain('property-sales:report');
  });

  describe('is not waited for when the identity provider says that somebody', () => {
    const subjectOf = (username: string): string => STAFF.find((each) => each.username === username)?.subject ?? '';
    const memberOf = (username: string) =>
      h.owner.staffMember.findFirstOrThrow({ where: { subject: subjectOf(username) } });
    async function signedIn(username: string): Promise<StaffBrowser> {
      const { apiUrl, caPem, identityProviderControlUrl } = h;
      const browser = createStaffBrowser({ apiUrl, caPem, identityProviderControlUrl });
      browsers.push(browser);
      const page = await browser.signIn(username, staffPasswords(h.secrets)(username));
      expect([page.status, username]).toEqual([200, username]);
      return browser;
    }
    const atProvider = async (username: string, method: 'PUT' | 'POST', body: object, path = '') => {
      const answer = await fetch(`${h.identityProviderControlUrl}/control/accounts/${username}${path}`, {
        method,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return (await answer.json()) as { token?: string; status?: number | null };
    };
    async function push(token: string, path = '/security-events'): Promise<number> {
      const dispatcher = new Agent({ connect: { ca: h.caPem } });
      const isLogout = path === '/back-channel-logout';
      const answer = await fetch(h.apiUrl + path, {
        method: 'POST',
        headers: { 'content-type': isLogout ? 'application/x-www-form-urlencoded' : 'application/secevent+jwt' },
        body: isLogout ? `logout_token=${token}` : token,
        dispatcher,
      });
      await answer.arrayBuffer();
      await dispatcher.close();
      return answer.status;
    }

    it('has left: every session is over, every role gone, and no sign-in helps', async () => {
      const [first, second] = [await signedIn('operations'), await signedIn('operations')];
      const reviewId = await begin();
      const { token, status } = await atProvider('operations', 'PUT', { disabled: true });
      expect(status).toBe(202);
      for (const browser of [first, second]) expect((await browser.get('/staff/v1/session')).status).toBe(401);
      const member = await memberOf('operations');
      expect(member).toMatchObject({ status: 'disabled', withdrawnRoles: ['operations'] });
      const items = (await rightsOf(reviewId)).filter(({ holder }) => holder === member.id);
      expect(items.map(({ decision }) => decision)).toEqual(['revoked']);

      await atProvider('operations', 'PUT', { disabled: false });
      const again = createStaffBrowser({ ...h });
      browsers.push(again);
      const page = await again.signIn('operations', staffPasswords(h.secrets)('operations'));
      expect([page.status, /<p id="([\w-]+)">/.exec(page.text)?.[1]]).toEqual([403, 'disabled']);

      // Let in again by staff; the event that comes once more is from before.
      const reinstated = await security.call('post', `/staff/v1/members/${member.id}/reinstatement`, {
        body: { reason: 'returned' },
      });
      expect(reinstated).toMatchObject({ status: 200, body: { status: 'active', roles: ['operations'] } });
      expect(await push(token ?? '')).toBe(202);
      expect(await memberOf('operations')).toMatchObject({ status: 'active', withdrawnRoles: [] });
    });

    it.each([
      ['session-revoked', 202],
      ['logout', 200],
    ])('was signed out (%s): sessions end, roles stay', async (event, expected) => {
      const browser = await signedIn('compliance');
      expect((await atProvider('compliance', 'POST', { event }, '/events')).status).toBe(expected);
      expect((await browser.get('/staff/v1/session')).status).toBe(401);
      expect(await memberOf('compliance')).toMatchObject({ status: 'active', withdrawnRoles: [] });
      const reason = event === 'logout' ? 'takeLogoutToken' : 'takeSecurityEvent';
      const told = { kind: 'exchange', actor: 'identity-provider', reason, outcome: expected.toString() };
      await until('that it was told is written', async () => (await h.owner.journalEntry.count({ where: told })) > 0);
    });

    it('left, unless it is the provider that says so: a forged, a foreign and a misused token change nothing', async () => {
      const browser = await signedIn('auditor');
      const genuine = await atProvider('auditor', 'POST', { event: 'verification' }, '/events');
      expect(genuine.status).toBe(202);
      const issuer = `https://localhost:${new URL((JSON.parse(Buffer.from(genuine.token?.split('.')[1] ?? '', 'base64url').toString()) as { iss: string }).iss).port}`;
      const { privateKey } = await generateKeyPair('ES256');
      const [header] = (genuine.token ?? '').split('.');
      const { kid } = JSON.parse(Buffer.from(header ?? '', 'base64url').toString()) as { kid: string };
      const forged = await new SignJWT({
        sub_id: { format: 'iss_sub', iss: issuer, sub: subjectOf('auditor') },
        events: { 'https://schemas.openid.net/secevent/risc/event-type/account-disabled': {} },
      })
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'secevent+jwt' })
        .setIssuer(issuer)
        .setAudience(STAFF_CLIENT_ID)
        .setIssuedAt()
        .setJti(randomUUID())
        .sign(privateKey);
      const unsigned = `${Buffer.from('{"alg":"none","typ":"secevent+jwt"}').toString('base64url')}.${forged.split('.')[1] ?? ''}.`;
      const [, payload] = forged.split('.');
      const swapped = [header, payload, (genuine.token ?? '').split('.')[2]].join('.');
      for (const token of [forged, unsigned, swapped, 'a.b.c', 'x'.repeat(20_000)]) expect(await push(token)).toBe(400);
      expect(await push('x'.repeat(40_000))).toBe(413);
      // A genuine token of one kind is none of the other.
      expect(await push(genuine.token ?? '', '/back-channel-logout')).toBe(400);
      expect((await browser.get('/staff/v1/session')).status).toBe(200);
      expect(await memberOf('auditor')).toMatchObject({ status: 'active', withdrawnRoles: [] });
    });
  });
});

describe('an export of the journal with the details of a person opened', () => {
  const path = '/staff/v1/journal-exports';
  const body = () => ({
    residentId: anna,
    reason: 'incident',
    from: new Date(Date.now() - DAY).toISOString(),
    to: new Date(Date.now() + DAY).toISOString(),
  });
  const outcomes = async (objectId: string) =>
    (await h.owner.journalEntry.findMany({ where: { objectId }, orderBy: { seq: 'asc' } })).map(
      ({ kind, outcome, actor, subject }) => [kind, outcome, actor, subject === null],
    );

  it('takes two people: nothing is opened to who proposed it alone, to another role, or to a third person', async () => {
    const consentId = await residentOf(h).consentTo('vizor');
    const proposed = await security.call('post', path, { body: body() });
    expect(proposed).toMatchObject({ status: 201, body: { approvedBy: null, readableUntil: null } });
    const id = String(proposed.body['exportId']);
    const entries = `${path}/${id}/entries`;
    const third = await staffMember(h, ['compliance']);
    const roles = await Promise.all(['operations', 'auditor'].map((role) => staffMember(h, [role])));

    expect(await security.call('get', entries)).toMatchObject({
      status: 409,
      body: { type: '/problems/journal-export-not-approved' },
    });
    expect(await security.call('post', `${path}/${id}/approval`)).toMatchObject({
      status: 403,
      body: { type: '/problems/own-proposal' },
    });
    for (const who of roles) {
      expect((await who.call('post', path, { body: body() })).status).toBe(403);
      expect((await who.call('post', `${path}/${id}/approval`)).status).toBe(403);
      expect((await who.call('get', entries)).status).toBe(403);
    }
    expect((await third.call('get', entries)).status).toBe(404);

    expect((await compliance.call('post', `${path}/${id}/approval`)).status).toBe(200);
    expect(await third.call('post', `${path}/${id}/approval`)).toMatchObject({ status: 409 });
    expect((await third.call('get', entries)).status).toBe(404);
    const read = await security.call('get', entries);
    const told = read.body['entries'] as { objectId: string; outcome: string; details: unknown }[];
    expect(told.find(({ objectId }) => objectId === consentId)).toMatchObject({
      outcome: 'granted',
      details: { partnerId: 'vizor' },
    });
    expect(JSON.stringify(read.body)).not.toContain(anna);

    const document = `${path}/${id}/document`;
    expect((await third.call('get', document)).status).toBe(404);
    const signed = (await compliance.call('get', document)).body;
    expect(verifyDocument(signed)).toMatchObject({
      ok: true,
      type: 'domovoy-journal-export+json',
      // And that it was read, by whom it is signed for.
      content: { exportId: id, reason: 'incident', entries: [...told, { kind: 'journal-export', outcome: 'read' }] },
    });
    const payload = String(signed['payload']).replace(/^./, (first) => (first === 'e' ? 'f' : 'e'));
    expect(verifyDocument({ ...signed, payload })).toMatchObject({ ok: false, why: 'signature' });
    expect(await outcomes(id)).toEqual([
      ['journal-export', 'proposed', `staff/${security.memberId}`, false],
      ['journal-export', 'approved', `staff/${compliance.memberId}`, false],
      ['journal-export', 'read', `staff/${security.memberId}`, false],
      ['journal-export', 'read', `staff/${compliance.memberId}`, false],
    ]);

    const at = new Date(Date.now() - DAY);
    await h.owner.approval.update({
      where: { kind_objectId: { kind: 'journal-export', objectId: id } },
      data: { approvedAt: at },
    });
    expect(await security.call('get', entries)).toMatchObject({
      status: 409,
      body: { type: '/problems/journal-export-over' },
    });
  });
});
