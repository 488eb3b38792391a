import { createJournalSealingActivities } from '../../activities/journal-sealing';
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkflowFailedError } from '@temporalio/client';
import { Client } from 'pg';
import { Registry } from 'prom-client';
import { dataConverterWith } from '../../config/temporal';
import { parseKeyRing } from '../../config/environment';
import { JOURNAL_SEALING_SCHEDULE_ID } from '../../contracts/ids';
import { createEntryAuthenticator } from '../../journal/authenticity';
import { checkDatabase } from '../../journal/database-check';
import { openHeadsFolder } from '../../journal/heads-folder';
import { entriesOfSubject } from '../../journal/subjects';
import { openDatabase } from '../../prisma/database';
import { APP_CLIENT_ID, RESIDENTS } from '../../stack/town';
import { documentSigner } from '../../vault/document-signature';
import { ensureSchedules, SCHEDULES } from '../../workers/schedules';
import { createWorker } from '../../workers/worker';
import { createHarness, type Harness } from '../support/harness';
import { showWhatIsDue } from '../../workers/due-metrics';
import { until } from '../support/until';
import { workflowBundle } from '../support/workflow-bundle';

const anna = RESIDENTS.anna.id;

describe('sealing the journal', () => {
  let h: Harness;
  const outside = openHeadsFolder(mkdtempSync(join(tmpdir(), 'domovoy-heads-')));
  const stops: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    // A server whose time runs as ours: skipping it while a turn is awaited would let the consent expire meanwhile.
    h = await createHarness({ server: 'real' });
    const database = openDatabase(h.db.urlFor('domovoy_core'), 4);
    const signer = documentSigner(h.secrets.documentSigningKey.value);
    const { isAuthentic } = createEntryAuthenticator(parseKeyRing(h.secrets.payloadKeys.value));
    const worker = await createWorker({
      connection: h.temporal.nativeConnection,
      namespace: h.temporal.namespace ?? 'default',
      taskQueue: 'core',
      activities: createJournalSealingActivities({ database, signer, outside, isAuthentic }),
      workflows: { workflowBundle: workflowBundle() },
      dataConverter: dataConverterWith(parseKeyRing(h.secrets.payloadKeys.value)),
    });
    const running = worker.run();
    stops.push(async () => {
      worker.shutdown();
      await running;
      await database.$disconnect();
    });
  }, 120_000);
  afterAll(async () => {
    for (const stop of stops) await stop();
    await h.close();
  });

  const seal = (): Promise<unknown> =>
    h.temporal.client.workflow.execute('journalSealingWorkflow', {
      workflowId: `journal-sealing-${randomUUID()}`,
      taskQueue: 'core',
    });

  /** What the figures of the worker say to wait. */
  async function waiting(heads = outside): Promise<Record<string, number>> {
    const registry = new Registry();
    showWhatIsDue(registry, h.owner, h.temporal.client, { heads, warnDays: 3 });
    const metric = await registry.getSingleMetric('domovoy_waiting')?.get();
    return Object.fromEntries((metric?.values ?? []).map(({ labels, value }) => [String(labels['kind']), value]));
  }

  async function consent(): Promise<string> {
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId: 'vizor', formId: form.body['formId'], formSha256: form.body['sha256'] };
    const { body } = await h.app.post(`/app/v1/residents/${anna}/consents`, request);
    return String(body['consentId']);
  }

  it('places and signs what the processes recorded, the head is outside, and a second turn does nothing', async () => {
    const consentId = await consent();
    // The requests themselves are written a little later, many at a time.
    const exchanges = () => h.owner.journalEntry.findMany({ where: { kind: 'exchange' }, orderBy: { seq: 'asc' } });
    await until('the requests are in the journal', async () => (await exchanges()).length === 3);
    expect(await exchanges()).toMatchObject([
      { actor: APP_CLIENT_ID, reason: 'issueToken', outcome: '200' },
      { actor: APP_CLIENT_ID, reason: 'getConsentForm', outcome: '200' },
      { actor: APP_CLIENT_ID, reason: 'grantConsent', outcome: '201' },
    ]);
    const first = await seal();
    const count = await h.owner.journalEntry.count();
    expect(first).toMatchObject({ placed: count, treeSize: count, exported: 1 });
    expect(await seal()).toEqual({ placed: 0, treeSize: count, exported: 0 });
    expect(await checkDatabase(h.owner, { outside: [...outside.all()] })).toMatchObject({ ok: true, to: count });
    const nothing = { 'journal-entries': 0, 'journal-unsigned': 0, 'journal-heads-inside': 0 };
    expect(await waiting()).toMatchObject(nothing);
    const empty = openHeadsFolder(mkdtempSync(join(tmpdir(), 'domovoy-heads-')));
    expect(await waiting(empty)).toMatchObject({ ...nothing, 'journal-heads-inside': 1 });

    const extract = await entriesOfSubject(h.owner, h.subjects, anna);
    expect(extract.find(({ objectId }) => objectId === consentId)).toMatchObject({
      kind: 'consent',
      outcome: 'granted',
      details: { partnerId: 'vizor' },
    });
  });

  it('runs by a schedule, which is as this release wants it, and paused if somebody has paused it', async () => {
    const schedule = SCHEDULES.find(({ scheduleId }) => scheduleId === JOURNAL_SEALING_SCHEDULE_ID);
    if (!schedule) throw new Error('nothing seals');
    const { client } = h.temporal;
    const handle = client.schedule.getHandle(JOURNAL_SEALING_SCHEDULE_ID);
    await ensureSchedules(client, [{ ...schedule, spec: { intervals: [{ every: '7 days' }] } }]);
    await handle.pause('by hand');
    await ensureSchedules(client, [schedule]);
    await until('it is every minute', async () => (await handle.describe()).spec.intervals?.[0]?.every === 60_000);
    expect((await handle.describe()).state).toMatchObject({ paused: true, note: 'by hand' });
    await handle.delete();
  });

  it('signs nothing more and raises one alarm when the tree is no longer what was signed', async () => {
    await consent();
    await seal();
    const signed = outside.last()?.treeSize;
    const superuser = new Client({ connectionString: h.db.ownerUrl });
    await superuser.connect();
    await superuser.query(`SET session_replication_role = 'replica'`);
    await superuser.query(`UPDATE journal_leaves SET leaf_hash = sha256('other')`);
    await superuser.query(`UPDATE journal_nodes SET hash = sha256('other')`);
    await superuser.end();
    await consent();
    for (let turn = 0; turn < 2; turn++) {
      const failure: unknown = await seal().catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(WorkflowFailedError);
      expect((failure as WorkflowFailedError).cause?.cause).toMatchObject({ type: 'JournalBroken' });
    }
    expect(outside.last()?.treeSize).toBe(signed);
    expect((await waiting())['journal-unsigned']).toBeGreaterThan(0);
    expect(await h.owner.journalHead.count({ where: { treeSize: { gt: signed ?? 0 } } })).toBe(0);
    expect(await h.owner.journalEntry.count({ where: { kind: 'alarm', outcome: 'not-signed' } })).toBe(1);
  });
});
