import { randomUUID } from 'node:crypto';
import { moveGalinaIn } from '../../stack/seed';
import { GALINA } from '../../stack/town';
import { startErasure } from '../../workflows/erasure/start';
import { startCore, type CoreWorker } from '../support/core';
import { breakPartner } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { createLostAnswers } from '../support/lost-answers';
import { partnerOf, residentOf } from '../support/resident';
import { until } from '../support/until';

const shlagbaum = partnerOf('shlagbaum');
const PLATE = 'Н357ОР77';
const PAST = new Date('2026-01-01T00:00:00.000Z');

/** The steps of both processes, those of the processes included that they begin. */
const SALE = ['askHolder', 'concludeDeletion', 'surveyHolders', 'surveySale', 'takeSaleEffect', 'tellSalePartners'];
const ERASURE = [
  'askErasedHolder',
  'certifyErasure',
  'closeErasure',
  'enterLedger',
  'eraseRows',
  'removeExecutions',
  'searchEverywhere',
  'surveyErasure',
];

let h: Harness;
let core: CoreWorker;
const deaths = createLostAnswers();
const wrap = deaths.wrap.bind(deaths);

beforeAll(async () => {
  // The server that skips time neither lists executions nor gives tasks of a dead worker to another one.
  h = await createHarness({ server: 'real', wrap });
  core = await startCore(h, { wrap });
}, 120_000);
afterAll(async () => {
  await core.stop();
  await h.close();
});

it('a sale and an erasure end complete, though the worker dies after every step and every third call to the partner fails', async () => {
  const [seller, leaver] = [await moveGalinaIn(h.db.ownerUrl, h.secrets), await moveGalinaIn(h.db.ownerUrl, h.secrets)];
  await Promise.all([seller, leaver].map((id) => residentOf(h, id).enrolled(shlagbaum)));
  const car = await h.app.post(`/app/v1/residents/${leaver}/vehicles`, { plate: PLATE });
  expect(car.status).toBe(201);
  const plates = async () => (await h.sandbox.platesHeld('shlagbaum')).map(({ plate }) => plate);
  await until('the plate is allowed', async () => (await plates()).includes(PLATE));
  deaths.on();
  await breakPartner(h, 'shlagbaum', { endpoint: '*', fault: 'lost-answer', every: 3 });

  const report = {
    registryReference: `R-${randomUUID()}`,
    propertyId: GALINA.flat.propertyId,
    sellers: [seller],
    effectiveAt: new Date(Date.now() + 1_000).toISOString(),
  };
  const [sold, demanded] = await Promise.all([
    h.registry.post('/registry/v1/property-sales', report),
    h.app.post(`/app/v1/residents/${leaver}/erasure`, {}),
  ]);
  expect([sold.status, demanded.status]).toEqual([201, 202]);
  const [saleId, erasureId] = [String(sold.body['saleId']), String(demanded.body['erasureId'])];
  const deletions = async () => h.owner.biometricDeletion.findMany({ where: { residentId: { in: [seller, leaver] } } });
  await until('both deletions are due', async () => (await deletions()).length === 2);
  const orders = (await deletions()).map(({ id }) => `delete/${id}/${shlagbaum.houseId}/0`);

  const stateOf = async () => (await h.app.get(`/app/v1/erasures/${erasureId}`)).body['state'];
  await until('the erasure is certified', async () => (await stateOf()) === 'erased', 120_000);
  await h.owner.erasure.update({ where: { id: erasureId }, data: { followUpAt: PAST } });
  await startErasure(h.temporal.client, erasureId);
  await until('the erasure is closed', async () => (await stateOf()) === 'closed', 120_000);
  const sale = async () => (await h.registry.get(`/registry/v1/property-sales/${saleId}`)).body;
  await until('the sale is done', async () => (await sale())['done'] === true, 120_000);

  expect(deaths.names()).toEqual(expect.arrayContaining([...SALE, ...ERASURE]));
  expect(await sale()).toMatchObject({ state: 'in-force', rightsEnded: 1 });
  expect(await residentOf(h).held(shlagbaum)).toEqual([]);
  expect(await plates()).toEqual([]);
  for (const order of orders) expect(await h.sandbox.effects('shlagbaum', order)).toBe(1);
  const answer = await fetch(`${h.sandboxControlUrl}/ledger?partner=shlagbaum`);
  const { entries } = (await answer.json()) as { entries: { key: string }[] };
  expect(new Set(entries.map(({ key }) => key)).size).toBe(entries.length);
  expect(await h.owner.erasureCertificate.count({ where: { erasureId } })).toBe(1);
  const journal = await h.owner.journalEntry.findMany({ where: { objectId: { in: [saleId, erasureId] } } });
  const holders = journal.filter(({ outcome }) => outcome === 'confirmed-by-holder');
  expect(holders).toHaveLength(await h.owner.erasureHolder.count({ where: { erasureId } }));
  const others = journal.filter((entry) => !holders.includes(entry));
  const said = others.map(({ objectId, outcome, reason }) => [objectId, outcome, reason].join(' '));
  expect(new Set(said).size).toBe(said.length);
}, 200_000);
