import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDeletionActivities } from '../../activities/biometric-deletion';
import { createConsentActivities } from '../../activities/consent';
import { createErasedHolderActivities } from '../../activities/erased-holders';
import { createErasureActivities } from '../../activities/erasure';
import { createPropertySaleActivities } from '../../activities/property-sale';
import { createVehicleAccessActivities } from '../../activities/vehicle-access';
import { projectFile } from '../../config/project-root';
import { deletionWorkflowId, erasureWorkflowId, propertySaleWorkflowId } from '../../contracts/ids';
import { deletionRequestOf } from '../../vault/biometrics';
import { verifyDocument } from '../../vault/document-signature';
import { deletionChanged } from '../../workflows/biometric-deletion/messages';
import { startDeletion } from '../../workflows/biometric-deletion/start';
import { erasureChanged } from '../../workflows/erasure/messages';
import { saleChanged } from '../../workflows/property-sale/messages';
import type { propertySaleWorkflow } from '../../workflows/property-sale/workflow';
import { moveGalinaIn } from '../../stack/seed';
import { createAppBackend, ownDemand } from '../../stack/story/app-backend';
import { APP_CLIENT_ID, GALINA } from '../../stack/town';
import { breakPartner } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf, residentOf } from '../support/resident';
import { until } from '../support/until';
import { realProcesses, type RealProcess } from './real-processes';

const shlagbaum = partnerOf('shlagbaum');
const vizor = partnerOf('vizor');
const PAST = new Date('2026-01-01T00:00:00.000Z');
const none = {} as never;

/** Every step of a sale and of an erasure, those of the processes included that they begin. */
const STEPS = Object.keys({
  ...createPropertySaleActivities(none),
  ...createErasureActivities(none),
  ...createErasedHolderActivities(none),
  ...createDeletionActivities(none),
  ...createVehicleAccessActivities(none),
  ...createConsentActivities(none),
});
/** What does not happen here: a consent that expires in a month; a step that failed for an hour (erasure-steps.test.ts). */
const OF_OTHERS = ['recordReminder', 'readErasure'];
/** What their workflows command in one task: the worker dies after having decided it, before Temporal hears of it. */
const COMMANDS = [
  'propertySaleWorkflow scheduleActivity',
  'propertySaleWorkflow completeWorkflowExecution',
  'erasureWorkflow scheduleActivity',
  'erasureWorkflow completeWorkflowExecution',
  'biometricDeletionWorkflow requestCancelExternalWorkflowExecution',
  'biometricDeletionWorkflow completeWorkflowExecution',
  'consentWorkflow startChildWorkflowExecution',
];

/** Every process here is one of the system's, of the build, and dies of SIGKILL. */
describe('real processes', () => {
  let h: Harness;
  const running: RealProcess[] = [];
  beforeAll(async () => {
    h = await createHarness({ server: 'real' });
  }, 120_000);
  afterAll(async () => {
    await Promise.all(running.map((each) => each.stop()));
    await h.close();
  });

  it('end sales and erasures complete, killed once at every step, while a partner loses one answer in three', async () => {
    const people = await Promise.all(Array.from({ length: 7 }, () => moveGalinaIn(h.db, h.secrets)));
    const [seller = '', stuck = '', ahead = '', ...leavers] = people;
    await Promise.all(people.map((id) => residentOf(h, id).enrolled(shlagbaum)));
    for (const [index, id] of people.entries()) {
      expect(
        (await h.app.post(`/app/v1/residents/${id}/vehicles`, { plate: `Н35${index.toString()}ОР77` })).status,
      ).toBe(201);
    }
    const platesHeld = async () => (await h.sandbox.platesHeld('shlagbaum')).length;
    await until('the plates are allowed', async () => (await platesHeld()) === people.length);
    await h.stopWorkers();
    await breakPartner(h, 'shlagbaum', { endpoint: '*', fault: 'lost-answer', every: 3 });

    const sell = async (residentId: string, more: object = {}) => {
      const report = { registryReference: `R-${randomUUID()}`, propertyId: GALINA.flat.propertyId };
      const sold = await h.registry.post('/registry/v1/property-sales', { ...report, sellers: [residentId], ...more });
      expect(sold.status).toBe(201);
      return String(sold.body['saleId']);
    };
    const demand = async (residentId: string) => {
      const demanded = await h.app.post(`/app/v1/residents/${residentId}/erasure`, ownDemand());
      expect(demanded.status).toBe(202);
      return String(demanded.body['erasureId']);
    };
    const sales = [await sell(seller), await stuckSale(stuck, sell)];
    sales.push(await sell(ahead, { effectiveAt: new Date(Date.now() + 1_000).toISOString() }));
    const erasures = await Promise.all(leavers.map(demand));
    await h.owner.erasure.update({ where: { id: erasures[0] ?? '' }, data: { requestedAt: PAST, dueAt: PAST } });

    const due = await h.owner.biometricDeletion.findMany();
    expect(due).toHaveLength(people.length - 1);
    // Of whom an enrollment is under way the face is deleted until that is over: by which order depends on who dies when.
    const settled = due.filter(({ residentId }) => residentId !== stuck);
    const orders = settled.map(({ id }) => `delete/${id}/${shlagbaum.houseId}/0`);

    const deaths = mkdtempSync(join(tmpdir(), 'domovoy-deaths-'));
    const mortal = {
      preload: projectFile('test/stack/killed-after-each-step.cjs'),
      env: {
        DOMOVOY_TEST_DEATHS: deaths,
        DOMOVOY_TEST_ACTIVITIES: STEPS.join(),
        DOMOVOY_TEST_COMMANDS: COMMANDS.join(),
        ERASURE_FOLLOW_UP_MS: '1000',
      },
    };
    const processes = realProcesses(h);
    // Two of each: while one is started again, the other gets to the next step.
    for (const queue of ['communal', 'core', 'communal', 'core'] as const) {
      running.push(await processes.worker(queue, mortal));
    }

    const sale = async (id: string) => (await h.registry.get(`/registry/v1/property-sales/${id}`)).body;
    const erasure = async (id: string) => (await h.app.get(`/app/v1/erasures/${id}`)).body;
    const wanted = [...STEPS.filter((name) => !OF_OTHERS.includes(name)), ...COMMANDS];
    const look = hintsOnceAllDied(() => readdirSync(deaths).length >= wanted.length, { sales, erasures });
    const isSo = async (found: boolean): Promise<boolean> => found || (await look());
    for (const id of erasures) {
      await until('the erasure is closed', async () => isSo((await erasure(id))['state'] === 'closed'), 480_000);
    }
    for (const id of sales) {
      await until('the sale is done', async () => isSo((await sale(id))['done'] === true), 480_000);
    }
    expect(readdirSync(deaths).toSorted()).toEqual(expect.arrayContaining(wanted));
    expect(await Promise.all(sales.map(sale))).toMatchObject(
      sales.map(() => ({
        state: 'in-force',
        rightsEnded: 1,
        partners: [{ plates: 'settled', biometrics: 'deleted' }],
      })),
    );
    for (const id of erasures) {
      expect(verifyDocument((await h.app.get(`/app/v1/erasures/${id}/certificate`)).body).ok).toBe(true);
      expect(await h.owner.erasureCertificate.count({ where: { erasureId: id } })).toBe(1);
    }
    await nothingIsLeftOf(people);
    await everythingWasDoneOnce([...sales, ...erasures], orders);
  }, 900_000);

  it('let nobody in by a decision that began after a sale, of 50 callers by every way in, at two processes of the API', async () => {
    await h.stopWorkers();
    const processes = realProcesses(h);
    const started = [await processes.api(), await processes.api()];
    const worker = await processes.worker('smart-home');
    running.push(...started, worker);
    await Promise.all([...started, worker].map((each) => each.ready()));
    await residentOf(h).enrolled(vizor);
    expect((await h.app.post(`/app/v1/residents/${anna}/vehicles`, { plate: 'Р135СТ77' })).status).toBe(201);
    const clientSecret = h.secrets.appClient.value;
    const apps = started.map(({ apiUrl }) =>
      createAppBackend({ apiUrl, caPem: h.caPem, clientId: APP_CLIENT_ID, clientSecret }),
    );
    const ways = [
      ...apps.map((app) => async () => {
        return (await app.post(`/app/v1/access-points/${vizor.doorId}/openings`, { residentId: anna })).status;
      }),
      async () => (await h.sandbox.showPlate('vizor', vizor.barrierDeviceId, 'Р135СТ77')).company?.status,
      async () => (await residentOf(h).atTheDoor(vizor)).company?.status,
    ];
    for (const way of ways) expect(await way()).toBe(200);

    const { propertyId } = vizor.flats.paid;
    const right = await h.owner.propertyRight.findFirstOrThrow({ where: { residentId: anna, propertyId } });
    let isSold = false;
    const callers = Array.from({ length: 50 }, async (_, index) => {
      // Each caller comes again and again, until one of its tries began after the sale.
      for (let isLast = false; !isLast;) {
        isLast = isSold;
        await ways[index % ways.length]?.();
      }
    });
    const sold = h.registry.post('/registry/v1/property-sales', { registryReference: `R-${randomUUID()}`, propertyId });
    const endedAt = await momentOfEnd(right.id);
    isSold = true;
    await Promise.all(callers);
    expect(await sold).toMatchObject({ status: 201, body: { state: 'in-force', rightsEnded: 1 } });

    const rows = await h.owner.opening.findMany({ where: { accessPointId: { in: [vizor.doorId, vizor.barrierId] } } });
    const isLet = ({ status }: { status: string }): boolean => status !== 'denied' && status !== 'expired';
    const decidedLater = rows.filter(({ decidedAt }) => decidedAt !== null && decidedAt > endedAt);
    expect(decidedLater.length).toBeGreaterThanOrEqual(50);
    expect(decidedLater.filter(isLet)).toEqual([]);
    const letIn = rows.filter(isLet);
    expect(letIn.length).toBeGreaterThan(ways.length);
    for (const { decidedAt } of letIn) expect(decidedAt).not.toBeNull();
    await Promise.all(apps.map((app) => app.close()));
  }, 240_000);

  /** @returns when a statement of the database first saw that the right has ended: whatever is read later sees it, too */
  async function momentOfEnd(rightId: string): Promise<Date> {
    // No pause in between: the moment is to be known to the millisecond.
    for (const endMs = Date.now() + 60_000; Date.now() < endMs;) {
      const [row] = await h.owner.$queryRaw<{ isOver: boolean; at: Date }[]>`
        SELECT ends_at IS NOT NULL AS "isOver", date_trunc('milliseconds', clock_timestamp()) + interval '1 ms' AS at
        FROM property_rights WHERE id = ${rightId}::uuid`;
      if (row?.isOver === true) return row.at;
    }
    throw new Error('The right has not ended.');
  }

  /**
   * A sale that its process has watched in vain for two hours, because an enrollment was under way whose process never
   * began: the clock of a real server does not skip.
   */
  async function stuckSale(residentId: string, sell: (residentId: string) => Promise<string>): Promise<string> {
    const { workflow } = h.temporal.client;
    jest.spyOn(workflow, 'signalWithStart').mockRejectedValueOnce(new Error('gone'));
    const saleId = await sell(residentId);
    const { consentId, ...before } = await h.owner.enrollment.findFirstOrThrow({ where: { residentId } });
    await h.owner.enrollment.create({ data: { ...before, consentId, id: randomUUID(), state: 'requested' } });
    const sinceMs = Date.now() - 2 * 3_600_000;
    const deletion = await h.owner.biometricDeletion.update({
      where: { id: (await h.owner.biometricDeletion.findFirstOrThrow({ where: { residentId } })).id },
      data: { requestedAt: new Date(sinceMs) },
    });
    await startDeletion(h.temporal.client, deletionRequestOf(deletion), 'communal');
    const { effectiveAt } = await h.owner.propertySale.findUniqueOrThrow({ where: { id: saleId } });
    await workflow.start<typeof propertySaleWorkflow>('propertySaleWorkflow', {
      workflowId: propertySaleWorkflowId(saleId),
      taskQueue: 'core',
      args: [
        { saleId, effectiveAt: effectiveAt.toISOString() },
        { sinceMs, looks: 0, level: 0, tells: true, state: 'in-force' },
      ],
    });
    return saleId;
  }

  /**
   * Whoever failed often looks again minutes later only. Once every step has had its death, all of them are told to look
   * now, as a partner that comes back would.
   */
  function hintsOnceAllDied(
    haveAllDied: () => boolean,
    { sales, erasures }: { readonly sales: readonly string[]; readonly erasures: readonly string[] },
  ): () => Promise<false> {
    let hintedAtMs = 0;
    return async () => {
      if (Date.now() - hintedAtMs < 5_000 || !haveAllDied()) return false;
      hintedAtMs = Date.now();
      const deleting = await h.owner.biometricDeletion.findMany({ where: { state: 'deleting' } });
      const signals = [
        ...deleting.map(({ id }) => [deletionWorkflowId(id), deletionChanged] as const),
        ...erasures.map((id) => [erasureWorkflowId(id), erasureChanged] as const),
        ...sales.map((id) => [propertySaleWorkflowId(id), saleChanged] as const),
      ];
      // One that has ended looks no more.
      await Promise.allSettled(signals.map(([id, signal]) => h.temporal.client.workflow.getHandle(id).signal(signal)));
      return false;
    };
  }

  async function nothingIsLeftOf(people: readonly string[]): Promise<void> {
    const ofPeople = { where: { residentId: { in: [...people] } } };
    expect(await residentOf(h).held(shlagbaum)).toEqual([]);
    expect(await h.sandbox.platesHeld('shlagbaum')).toEqual([]);
    expect(await h.owner.faceTemplate.count(ofPeople)).toBe(0);
    const inForce = { ...ofPeople.where, status: 'granted' };
    expect(await h.owner.consent.count({ where: inForce })).toBe(0);
    const open = people.map(async (residentId) => {
      const opening = { residentId };
      return (await h.app.post(`/app/v1/access-points/${shlagbaum.doorId}/openings`, opening)).status;
    });
    expect(await Promise.all(open)).toEqual(people.map(() => 403));
  }

  /** In the partner's books each key has one effect, and our own evidence says each thing once. */
  async function everythingWasDoneOnce(objectIds: readonly string[], orders: readonly string[]): Promise<void> {
    for (const order of orders) expect([order, await h.sandbox.effects('shlagbaum', order)]).toEqual([order, 1]);
    const answer = await fetch(`${h.sandboxControlUrl}/ledger?partner=shlagbaum`);
    const { entries } = (await answer.json()) as { entries: { key: string; kind: string }[] };
    expect(new Set(entries.map(({ key }) => key)).size).toBe(entries.length);
    const journal = await h.owner.journalEntry.findMany({ where: { objectId: { in: [...objectIds] } } });
    const holders = journal.filter(({ outcome }) => outcome === 'confirmed-by-holder');
    expect(holders).toHaveLength(await h.owner.erasureHolder.count());
    const others = journal.filter((entry) => !holders.includes(entry));
    const said = others.map(({ objectId, outcome, reason }) => [objectId, outcome, reason].join(' '));
    expect(said.filter((line, index) => said.indexOf(line) < index)).toEqual([]);
  }
});
