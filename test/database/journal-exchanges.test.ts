import { randomUUID } from 'node:crypto';
import { createExchangeJournal, type Exchange } from '../../journal/exchanges';
import { appendManyToJournal } from '../../journal/journal';
import { openDatabase, type Database } from '../../prisma/database';
import { createTestJournal, type TestJournal } from '../support/journal';
import { until } from '../support/until';

const exchange = (requestId: string = randomUUID()): Exchange => ({
  integration: 'smart-home',
  requestId,
  actor: 'kluch',
  operation: 'openDoor',
  outcome: '200',
});

describe('exchanges between the systems', () => {
  let journal: TestJournal;
  let api: Database;
  let lost = 0;
  beforeAll(async () => {
    journal = await createTestJournal();
    api = openDatabase(journal.db.urlFor('domovoy_api'), 2);
  });
  afterAll(async () => {
    await api.$disconnect();
    await journal.close();
  });
  beforeEach(() => {
    lost = 0;
  });
  const open = () => createExchangeJournal(api, (count) => (lost += count));
  const written = () => journal.core.journalEntry.findMany({ orderBy: { seq: 'asc' } });

  it('are written soon, by themselves, with a place in the tree', async () => {
    const exchanges = open();
    const { requestId, ...noted } = exchange();
    exchanges.note({ requestId, ...noted });
    await until('the exchange is written', async () => (await written()).length === 1);
    expect(await written()).toMatchObject([
      {
        kind: 'exchange',
        integration: 'smart-home',
        objectId: requestId,
        actor: 'kluch',
        reason: 'openDoor',
        outcome: '200',
      },
    ]);
    expect(await journal.seal()).toBe(1);
    await exchanges.close();
  });

  it('do not keep what a caller put in its request id', async () => {
    const exchanges = open();
    exchanges.note(exchange('A123BC777-canary'));
    await exchanges.close();
    expect(JSON.stringify((await written()).map(({ objectId }) => objectId))).not.toContain('canary');
  });

  it('wait for a database that is away, and are all there when it is back', async () => {
    const before = (await written()).length;
    const ids = Array.from({ length: 1_200 }, () => randomUUID());
    let tries = 0;
    const flaky = (...args: Parameters<typeof appendManyToJournal>) =>
      // Away at first, and again after the first batch.
      [1, 3].includes(++tries) ? Promise.reject(new Error('away')) : appendManyToJournal(...args);
    const exchanges = createExchangeJournal(api, (count) => (lost += count), flaky);
    for (const id of ids) exchanges.note(exchange(id));
    await until('all are written', async () => (await written()).length === before + ids.length);
    expect((await written()).slice(before).map(({ objectId }) => objectId)).toEqual(ids);
    await exchanges.close();
    expect(lost).toBe(0);
  });

  it('are given up beyond a limit, and when the process ends without a database, and it is said how many', async () => {
    const before = (await written()).length;
    await journal.tamper('ALTER TABLE journal_entries RENAME TO journal_entries_away');
    const exchanges = open();
    for (let index = 0; index < 20_003; index++) exchanges.note(exchange());
    expect(lost).toBe(3);
    await exchanges.close();
    expect(lost).toBe(20_003);
    await journal.tamper('ALTER TABLE journal_entries_away RENAME TO journal_entries');
    expect(await written()).toHaveLength(before);
  });
});
