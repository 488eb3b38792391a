import { credentialsOf, PRESENTED, rotationOf, type CredentialsOf } from '../support/credentials';
import { breakPartner } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { until } from '../support/until';

let h: Harness;
let credentials: CredentialsOf;
beforeAll(async () => {
  // The server that skips time gives no task of a worker that died to another one.
  h = await createHarness({ server: 'real' });
  credentials = credentialsOf(h);
}, 120_000);
afterAll(() => h.close());

it('a rotation ends complete and with one credential, though the workers are killed after every step', async () => {
  const [password] = PRESENTED;
  if (!password) throw new Error('no credential');
  // Long enough that no two of its steps fit between two looks, however busy the machine is.
  await breakPartner(h, 'kluch', { endpoint: 'credentials', fault: 'delay', delayMs: 1_000 });
  await credentials.start(password);
  const { workflow } = h.temporal.client;
  const handle = workflow.getHandle(rotationOf(password));
  const { runId } = await handle.describe();
  await handle.signal('revokeCredential');
  const first = workflow.getHandle(rotationOf(password), runId);
  const done = async () => {
    const { events } = await first.fetchHistory();
    return (events ?? []).filter(({ activityTaskCompletedEventAttributes: completed }) => completed).length;
  };
  const isOver = async () => (await first.describe()).status.name !== 'RUNNING';
  let kills = 0;
  for (; !(await isOver()); kills++) {
    await h.stopWorkers();
    const before = await done();
    await h.startWorkers();
    // What was on its way to the worker that died is given out again when its time is over.
    await until('another step is done', async () => (await isOver()) || (await done()) > before);
  }
  // Seven steps; two of them may be done between two kills.
  expect(kills).toBeGreaterThanOrEqual(3);
  expect(await credentials.versions(password)).toMatchObject([
    { version: 2, state: 'active' },
    { version: 1, state: 'retired', destroyed: true },
  ]);
  expect(await credentials.outcomes(password)).toEqual(['issued version-2', 'in-use version-2', 'refused version-1']);
  const ledger = (await (await fetch(`${h.sandboxControlUrl}/ledger?partner=kluch`)).json()) as {
    entries: { kind: string }[];
  };
  expect(ledger.entries.map(({ kind }) => kind)).toEqual(['credential-add', 'credential-retire']);
  expect(await credentials.openWithFirst(password)).toBe('kluch: PartnerUnauthorized');
  expect(await credentials.openWithCurrent('kluch')).toBe('opened');
}, 300_000);
