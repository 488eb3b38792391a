import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDeletionActivities } from '../../activities/biometric-deletion';
import { createConsentActivities } from '../../activities/consent';
import { createErasedHolderActivities } from '../../activities/erased-holders';
import { createErasureActivities } from '../../activities/erasure';
import { createPropertySaleActivities } from '../../activities/property-sale';
import { createVehicleAccessActivities } from '../../activities/vehicle-access';
import { projectFile } from '../../config/project-root';
import {
  deletionWorkflowId,
  erasureWorkflowId,
  HOUSEKEEPING_SCHEDULE_ID,
  propertySaleWorkflowId,
  vehicleAccessWorkflowId,
} from '../../contracts/ids';
import { deletionRequestOf } from '../../vault/biometrics';
import { verifyDocument } from '../../vault/document-signature';
import { deletionChanged } from '../../workflows/biometric-deletion/messages';
import { startDeletion } from '../../workflows/biometric-deletion/start';
import { erasureChanged } from '../../workflows/erasure/messages';
import { saleChanged } from '../../workflows/property-sale/messages';
import type { propertySaleWorkflow } from '../../workflows/property-sale/workflow';
import { moveIn } from '../../stack/seed';
import { createAppBackend, createRegistryBackend, ownDemand, type AppBackend } from '../../stack/story/app-backend';
import type { Answer } from '../../stack/story/http';
import { APP_CLIENT_ID, GALINA, PARTNERS } from '../../stack/town';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf, residentOf } from '../support/resident';
import { ended, until } from '../support/until';
import { realProcesses, type RealProcess } from './real-processes';

const shlagbaum = partnerOf('shlagbaum');
const vizor = partnerOf('vizor');
/** Who has faces and plates in custody; `vizor` leaves both to us, so that nothing is ordered there. */
const HOLDERS = [partnerOf('kluch'), shlagbaum];
const PAST = new Date('2026-01-01T00:00:00.000Z');
const none = {} as never;

/** Of the row of faults: another is another test. */
const SEED = Number(process.env['DOMOVOY_TEST_SEED'] ?? 1);
/** How often a process dies at each step. */
const DEATHS_EACH = Number(process.env['DOMOVOY_TEST_DEATHS_EACH'] ?? 1);
/** One call in three, before it happened and after it; what comes after 3.6 s comes when nobody waits for it any more. */
const FAULTS = {
  ...{ endpoint: '*', fault: 'mixed', among: ['error', 'reset', 'hang', 'lost-answer', 'delay'], every: 3 },
  ...{ status: 500, delayMs: 3_600 },
};

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
/** What is done for a sale that was taken back. */
const OF_REVERSALS = [
  'takeSaleEffect',
  'surveySale',
  'tellSalePartners',
  'settleVehicle',
  'propertySaleWorkflow scheduleActivity',
  'propertySaleWorkflow completeWorkflowExecution',
].map((step) => `${step} of a reversal`);

type Plate = { readonly id: string; readonly partnerId: string };
type Face = { readonly residentId: string; readonly partnerId: string; readonly token: string };
type Person = { readonly residentId: string; readonly propertyId: string; readonly plate: string };
type TenPeople = [Person, Person, Person, Person, Person, Person, Person, Person, Person, Person];
/** One request to the API, by whichever caller; each time the very same. */
type Request = (callers: { readonly app: AppBackend; readonly registry: AppBackend }) => Promise<Answer>;
/** A request, where it hangs in the process that dies, and whether its caller comes again. */
type Hanging = { readonly at: string; readonly ask: Request; readonly comesAgain: boolean };

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

  it(`end sales, reversals and erasures complete, killed at every step and at their acceptance, while every partner fails one call in three (seed ${SEED.toString()})`, async () => {
    await everyPartnerServesTheHouse();
    const people = await Promise.all(Array.from({ length: 10 }, moveIntoAFlat));
    const [stuck, ahead, soldUntold, soldAsked, soldTold, unsold, goneUntold, goneAsked, goneTold, ungone] =
      people as TenPeople;
    const [sellers, leavers] = [
      [soldUntold, soldAsked, soldTold, unsold],
      [goneUntold, goneAsked, goneTold, ungone],
    ];
    await Promise.all(people.map(hasEverything));
    const areAllowed = async (): Promise<boolean> =>
      (await h.owner.plateHolding.count({ where: { state: 'allowed' } })) === HOLDERS.length * people.length;
    await until('the plates are allowed', areAllowed);
    const plates = await h.owner.plateHolding.findMany();
    const faces = await h.owner.partnerSubject.findMany();
    await h.stopWorkers();
    for (const [index, { id }] of PARTNERS.entries()) await breakPartner(h, id, { ...FAULTS, seed: SEED + index });

    await stuckSale(stuck);
    const effectiveAt = new Date(Date.now() + 1_000).toISOString();
    expect((await sale(ahead, { effectiveAt })(h)).status).toBe(201);
    const deaths = mkdtempSync(join(tmpdir(), 'domovoy-deaths-'));
    const [steps, reversals] = [join(deaths, 'steps'), join(deaths, 'reversals')];
    for (const folder of [steps, reversals]) mkdirSync(folder);
    const mortal = {
      preload: projectFile('test/stack/killed-after-each-step.cjs'),
      env: {
        DOMOVOY_TEST_DEATHS: steps,
        DOMOVOY_TEST_DEATHS_EACH: DEATHS_EACH.toString(),
        DOMOVOY_TEST_REVERSALS: reversals,
        DOMOVOY_TEST_ACTIVITIES: STEPS.join(),
        DOMOVOY_TEST_COMMANDS: COMMANDS.join(),
        ERASURE_FOLLOW_UP_MS: '1000',
      },
    };
    const processes = realProcesses(h);
    // While one is started again, another gets to the next step.
    for (const queue of ['communal', 'core', 'smart-home', 'core'] as const) {
      running.push(await processes.worker(queue, mortal));
    }
    const repeated = await killedAtAcceptance(join(deaths, 'places'), [
      { at: 'before tellSale', ask: sale(soldUntold), comesAgain: false },
      { at: 'before tellSale', ask: sale(soldAsked), comesAgain: true },
      { at: 'after tellSale', ask: sale(soldTold), comesAgain: true },
      { at: 'after acceptSale', ask: sale(unsold), comesAgain: true },
      { at: 'before startErasure', ask: erasure(goneUntold), comesAgain: false },
      { at: 'before startErasure', ask: erasure(goneAsked), comesAgain: true },
      { at: 'after startErasure', ask: erasure(goneTold), comesAgain: true },
      { at: 'after acceptErasure', ask: erasure(ungone), comesAgain: true },
    ]);
    // What had committed is in force though nobody comes again, and of what had not there is nothing.
    expect(await rightsOf(sellers)).toEqual([{ residentId: unsold.residentId, endsAt: null }]);
    const demanded = await h.owner.erasure.findMany({ select: { residentId: true } });
    expect(idsOf(demanded)).toEqual(idsOf([goneUntold, goneAsked, goneTold]));
    const { residentId } = goneUntold;
    await h.owner.erasure.update({ where: { residentId }, data: { requestedAt: PAST, dueAt: PAST } });
    await tidyUp();
    expect((await repeated()).map(({ status }) => status)).toEqual([201, 201, 201, 202, 202, 202]);

    const sold = await h.owner.propertySale.findMany();
    const sales = sold.map(({ id }) => id);
    const erasures = (await h.owner.erasure.findMany()).map(({ id }) => id);
    expect([sales.length, erasures.length]).toEqual([sellers.length + 2, leavers.length]);
    const wanted = [...STEPS.filter((name) => !OF_OTHERS.includes(name)), ...COMMANDS, ...OF_REVERSALS].flatMap(
      deathsAt,
    );
    const look = hintsOnceAllDied(() => readdirSync(steps).length >= wanted.length, { sales, erasures });
    const isSo = async (found: boolean): Promise<boolean> => found || (await look());
    const returned = await firstDone(sellers);
    const back = sold.find(({ propertyId }) => propertyId === returned.propertyId)?.id ?? '';
    await ended(h, propertySaleWorkflowId(back));
    const vehicles = await h.owner.vehicle.findMany({ where: { residentId: returned.residentId } });
    for (const id of [back, ...vehicles.map((vehicle) => vehicle.id)]) writeFileSync(join(reversals, id), '');
    expect((await h.registry.post(`/registry/v1/property-sales/${back}/reversal`, {})).status).toBe(200);
    for (const id of erasures) {
      const state = async () => (await h.app.get(`/app/v1/erasures/${id}`)).body['state'];
      await until('the erasure is closed', async () => isSo((await state()) === 'closed'), 480_000);
    }
    for (const id of sales) {
      await until('the sale is done', async () => isSo(await isDone(id)), 480_000);
    }
    expect(readdirSync(steps)).toEqual(expect.arrayContaining(wanted));
    for (const id of sales) {
      expect(await saleOf(id)).toMatchObject({
        state: id === back ? 'reversed' : 'in-force',
        rightsEnded: 1,
        rightsRestored: id === back ? 1 : 0,
        partners: [
          { partnerId: 'kluch', plates: 'settled', biometrics: 'deleted' },
          { partnerId: 'shlagbaum', plates: 'settled', biometrics: 'deleted' },
          { partnerId: 'vizor', plates: 'none', biometrics: 'deleted' },
        ],
      });
    }
    for (const id of erasures) {
      expect(verifyDocument((await h.app.get(`/app/v1/erasures/${id}/certificate`)).body).ok).toBe(true);
      expect(await h.owner.erasureCertificate.count({ where: { erasureId: id } })).toBe(1);
    }
    await noConsentIsAtWork();
    await mendEverything(h);
    await nothingIsLeftOf(people, returned);
    expect(await rightsOf([stuck, ahead, ...sellers])).toEqual([{ residentId: returned.residentId, endsAt: null }]);
    // Of whom an enrollment is under way the face is deleted until that is over: how often depends on who dies when.
    const isSettled = ({ residentId, partnerId }: Face): boolean =>
      residentId !== stuck.residentId || partnerId !== shlagbaum.id;
    await partnersDidEachThingOnce(plates, faces.filter(isSettled));
    await evidenceSaysEachThingOnce(sales, erasures);
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

  /** The other partners come to the house of `shlagbaum`, so that whoever has a flat there has something at all three. */
  async function everyPartnerServesTheHouse(): Promise<void> {
    const { houseId } = shlagbaum;
    for (const { id: partnerId, integration } of PARTNERS.filter((partner) => partner.houseId !== houseId)) {
      const partnerHouseId = `${partnerId}-house-9`;
      await h.owner.housePartner.create({ data: { houseId, partnerId, integration, partnerHouseId } });
      const houses = await h.sandbox.equipment(partnerId);
      await h.sandbox.setEquipment(partnerId, [...houses, { id: partnerHouseId, devices: [] }]);
    }
  }

  /** Each into a flat of their own: of one that was sold twice only the last sale can be taken back. */
  async function moveIntoAFlat(_: unknown, index: number): Promise<Person> {
    const propertyId = randomUUID();
    const { name, partnerId, flat } = GALINA;
    const newcomer = { name, partnerId, flat: { ...flat, propertyId } };
    const residentId = await moveIn(h.db, h.secrets, newcomer);
    return { residentId, propertyId, plate: `Н35${index.toString()}ОР77` };
  }

  async function hasEverything({ residentId, plate }: Person): Promise<void> {
    const { houseId } = shlagbaum;
    await Promise.all(PARTNERS.map((partner) => residentOf(h, residentId).enrolled({ ...partner, houseId })));
    expect((await h.app.post(`/app/v1/residents/${residentId}/vehicles`, { plate })).status).toBe(201);
  }

  function sale({ propertyId }: Person, more: object = {}): Request {
    const [key, report] = [randomUUID(), { registryReference: `R-${randomUUID()}`, propertyId, ...more }];
    return ({ registry }) => registry.post('/registry/v1/property-sales', report, key);
  }

  function erasure({ residentId }: Person): Request {
    const [key, demand] = [randomUUID(), ownDemand()];
    return ({ app }) => app.post(`/app/v1/residents/${residentId}/erasure`, demand, key);
  }

  const saleOf = async (id: string) => (await h.registry.get(`/registry/v1/property-sales/${id}`)).body;
  const isDone = async (saleId: string) => (await saleOf(saleId))['done'] === true;

  /** @returns whose sale every partner has confirmed before the others' */
  async function firstDone(sellers: readonly Person[]): Promise<Person> {
    let found: Person | undefined;
    await until(
      'a sale is done',
      async () => {
        const propertyId = { in: sellers.map((seller) => seller.propertyId) };
        const done = await h.owner.propertySale.findFirst({ where: { propertyId, fanOut: 'done' } });
        found = sellers.find((seller) => seller.propertyId === done?.propertyId);
        return found !== undefined;
      },
      480_000,
    );
    return found as Person;
  }

  /** @param keepTryingMs 0: a caller that does not come again */
  function callersOf(apiUrl: string, keepTryingMs?: number) {
    const { caPem, secrets } = h;
    const how = { apiUrl, caPem, ...(keepTryingMs !== undefined && { keepTryingMs }) };
    const signingKeyPem = secrets.registrySigningKey.value;
    return {
      app: createAppBackend({ ...how, clientId: APP_CLIENT_ID, clientSecret: secrets.appClient.value }),
      registry: createRegistryBackend({ ...how, signingKeyPem, clientSecret: secrets.registryClient.value }),
    };
  }

  /**
   * Asks the API until every request has hung in its process at its place, and the process has died of that.
   *
   * @returns lets those come again who do, with the same request to the same address, where there is a process again
   */
  async function killedAtAcceptance(folder: string, hanging: readonly Hanging[]): Promise<() => Promise<Answer[]>> {
    mkdirSync(folder);
    const env = { DOMOVOY_TEST_DEATHS: folder, DOMOVOY_TEST_PLACES: hanging.map(({ at }) => at).join() };
    const preload = projectFile('test/stack/killed-at-acceptance.cjs');
    const api = await realProcesses(h).api({ preload, env });
    running.push(api);
    const [once, again] = [callersOf(api.apiUrl, 0), callersOf(api.apiUrl)];
    const answers: Promise<Answer | null>[] = [];
    for (const { at, ask } of hanging) {
      await api.ready();
      answers.push(ask(once).catch(() => null));
      await until(`it hangs ${at}`, () => Promise.resolve(readdirSync(folder).length === answers.length));
    }
    expect(await Promise.all(answers)).toEqual(hanging.map(() => null));
    return async () => {
      const repeated = await Promise.all(hanging.filter(({ comesAgain }) => comesAgain).map(({ ask }) => ask(again)));
      await Promise.all([once.app, once.registry, again.app, again.registry].map((caller) => caller.close()));
      await api.stop();
      return repeated;
    };
  }

  /** The scheduled tidying, now: whatever is due and has no execution gets one. */
  const tidyUp = (): Promise<void> =>
    until('the tidying has begun', () =>
      h.temporal.client.schedule
        .getHandle(HOUSEKEEPING_SCHEDULE_ID)
        .trigger()
        .then(
          () => true,
          () => false,
        ),
    );

  /**
   * A sale that its process has watched in vain for two hours, because an enrollment was under way whose process never
   * began: the clock of a real server does not skip.
   */
  async function stuckSale(person: Person): Promise<void> {
    const { workflow } = h.temporal.client;
    const where = { residentId: person.residentId, partnerId: shlagbaum.id };
    jest.spyOn(workflow, 'signalWithStart').mockRejectedValueOnce(new Error('gone'));
    const saleId = String((await sale(person)(h)).body['saleId']);
    const before = await h.owner.enrollment.findFirstOrThrow({ where });
    await h.owner.enrollment.create({ data: { ...before, id: randomUUID(), state: 'requested' } });
    const sinceMs = Date.now() - 2 * 3_600_000;
    const deletion = await h.owner.biometricDeletion.update({
      where: { id: (await h.owner.biometricDeletion.findFirstOrThrow({ where })).id },
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
  }

  /**
   * Whoever failed often looks again, or tries again, minutes later only. Once every step has had its death, all of them
   * are told to do so now, as a partner that comes back would.
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
      const plates = await h.owner.vehiclePartner.findMany({ where: { state: 'open' } });
      const { workflowService } = h.temporal.client;
      const again = { namespace: h.temporal.namespace ?? 'default', type: 'settleVehicle' };
      for (const { vehicleId, partnerId } of plates) {
        const execution = { workflowId: vehicleAccessWorkflowId(vehicleId, partnerId) };
        await workflowService.resetActivity({ ...again, execution }).catch(() => undefined);
      }
      // One that has ended looks no more.
      await Promise.allSettled(signals.map(([id, signal]) => h.temporal.client.workflow.getHandle(id).signal(signal)));
      return false;
    };
  }

  /** Of nobody but whoever has their flat again, and of them only what a reversal brings back. */
  async function nothingIsLeftOf(people: readonly Person[], returned: Person): Promise<void> {
    const ofPeople = { where: { residentId: { in: idsOf(people) } } };
    for (const partner of HOLDERS) {
      expect(await residentOf(h).held(partner)).toEqual([]);
      expect((await h.sandbox.platesHeld(partner.id)).map(({ plate }) => plate)).toEqual([returned.plate]);
    }
    expect(await h.owner.faceTemplate.count(ofPeople)).toBe(0);
    const inForce = { ...ofPeople.where, status: 'granted' };
    expect(await h.owner.consent.count({ where: inForce })).toBe(0);
    const open = people.map(async ({ residentId }) => {
      const opening = { residentId };
      return (await h.app.post(`/app/v1/access-points/${shlagbaum.doorId}/openings`, opening)).status;
    });
    expect(await Promise.all(open)).toEqual(people.map((person) => (person === returned ? 200 : 403)));
  }

  const noConsentIsAtWork = (): Promise<void> =>
    until('every consent has ended', async () => {
      const running = "WorkflowType = 'consentWorkflow' AND ExecutionStatus = 'Running'";
      return (await h.temporal.client.workflow.count(running)).count === 0;
    });

  /** Rights that have not ended. */
  const rightsOf = (people: readonly Person[]) =>
    h.owner.propertyRight.findMany({
      where: {
        propertyId: { in: people.map(({ propertyId }) => propertyId) },
        OR: [{ endsAt: null }, { endsAt: { gt: new Date() } }],
      },
      select: { residentId: true, endsAt: true },
    });

  /** In the partners' own books: whatever they let in they let go by one order each. */
  async function partnersDidEachThingOnce(plates: readonly Plate[], faces: readonly Face[]): Promise<void> {
    const returned = await h.owner.plateHolding.findMany();
    for (const { id } of HOLDERS) {
      const entries = await ledgerOf(id);
      const orders = (kind: string) => entries.filter((entry) => entry.kind === kind);
      const keys = (kind: string) => orders(kind).map(({ key }) => key);
      const isTheirs = ({ partnerId }: { readonly partnerId: string }): boolean => partnerId === id;
      for (const { token } of faces.filter(isTheirs)) {
        const given = orders('face-delete').filter(({ subject }) => subject === token);
        expect(given.map(({ key }) => key)).toEqual([expect.stringMatching(`^delete/[^/]+/${shlagbaum.houseId}/0$`)]);
      }
      const blocked = plates.filter(isTheirs).map((plate) => `block-plate/${plate.id}`);
      expect(keys('plate-block').toSorted()).toEqual(blocked.toSorted());
      const allowed = [...plates, ...returned].filter(isTheirs).map((plate) => `allow-plate/${plate.id}`);
      expect(keys('plate-allow').toSorted()).toEqual(allowed.toSorted());
    }
    // What we have in custody at a partner goes without an order.
    expect(await ledgerOf(vizor.id)).toEqual([]);
  }

  async function ledgerOf(partnerId: string): Promise<{ key: string; kind: string; subject: string | null }[]> {
    const answer = await fetch(`${h.sandboxControlUrl}/ledger?partner=${partnerId}`);
    return ((await answer.json()) as { entries: { key: string; kind: string; subject: string | null }[] }).entries;
  }

  async function evidenceSaysEachThingOnce(sales: readonly string[], erasures: readonly string[]): Promise<void> {
    const journal = await h.owner.journalEntry.findMany({ where: { objectId: { in: [...sales, ...erasures] } } });
    const [holders, calls] = [ofOutcome(journal, 'confirmed-by-holder'), ofOutcome(journal, 'raised')];
    const asked = { standing: { not: 'held-by-operator' } };
    expect(holders).toHaveLength(await h.owner.erasureHolder.count({ where: asked }));
    expect(calls).toHaveLength(await h.owner.escalation.count({ where: { process: 'property-sale' } }));
    const others = journal.filter((entry) => !holders.includes(entry) && !calls.includes(entry));
    const said = others.map(({ objectId, outcome, reason }) => [objectId, outcome, reason].join(' '));
    expect(said.filter((line, index) => said.indexOf(line) < index)).toEqual([]);
    const rights = await h.owner.journalEntry.findMany({ where: { kind: 'property-right' } });
    expect(ofOutcome(rights, 'ended')).toHaveLength(sales.length);
    expect(ofOutcome(rights, 'restored')).toHaveLength(1);
  }
});

const deathsAt = (step: string): string[] =>
  Array.from({ length: DEATHS_EACH }, (_, time) => `${step}, death ${(time + 1).toString()}`);

const idsOf = (rows: readonly { readonly residentId: string }[]): string[] =>
  rows.map(({ residentId }) => residentId).toSorted();

const ofOutcome = <Entry extends { readonly outcome: string | null }>(entries: readonly Entry[], outcome: string) =>
  entries.filter((entry) => entry.outcome === outcome);
