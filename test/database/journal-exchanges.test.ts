import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createExchangeJournal, type Exchange } from '../../journal/exchanges';
import { readRefusals } from '../../journal/refusals';
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
  let start = 0n;
  beforeAll(async () => {
    journal = await createTestJournal();
    api = openDatabase(journal.db.urlFor('domovoy_api'), 2);
  });
  afterAll(async () => {
    await api.$disconnect();
    await journal.close();
  });
  beforeEach(async () => {
    lost = 0;
    start = (await journal.core.journalEntry.findFirst({ orderBy: { seq: 'desc' } }))?.seq ?? 0n;
  });
  const open = () => createExchangeJournal(api, (count) => (lost += count));
  /** Since the test began. */
  const written = () => journal.core.journalEntry.findMany({ where: { seq: { gt: start } }, orderBy: { seq: 'asc' } });

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
    const ids = Array.from({ length: 1_200 }, () => randomUUID());
    let tries = 0;
    const $executeRaw = (...args: Parameters<typeof api.$executeRaw>) =>
      // Away at first, and again after the first batch.
      [1, 3].includes(++tries) ? Promise.reject(new Error('away')) : api.$executeRaw(...args);
    const flaky = { $executeRaw } as unknown as Database;
    const exchanges = createExchangeJournal(flaky, (count) => (lost += count));
    for (const id of ids) exchanges.note(exchange(id));
    await until('all are written', async () => (await written()).length === ids.length);
    expect((await written()).map(({ objectId }) => objectId)).toEqual(ids);
    await exchanges.close();
    expect(lost).toBe(0);
  });

  it('are written once when the answer to their writing was lost', async () => {
    let tries = 0;
    const $executeRaw = async (...args: Parameters<typeof api.$executeRaw>): Promise<number> => {
      const count = await api.$executeRaw(...args);
      if (++tries === 1) throw new Error('the connection broke off');
      return count;
    };
    const losing = { $executeRaw, $queryRaw: api.$queryRaw.bind(api) } as unknown as Database;
    const exchanges = createExchangeJournal(losing, (count) => (lost += count));
    const ids = Array.from({ length: 3 }, () => randomUUID());
    for (const id of ids) exchanges.note(exchange(id));
    await until('the first try is over', () => Promise.resolve(tries > 0));
    const after = randomUUID();
    exchanges.note(exchange(after));
    await exchanges.close();
    expect((await written()).map(({ objectId }) => objectId)).toEqual([...ids, after]);
    expect(lost).toBe(0);
  });

  describe('with a spool', () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'domovoy-spool-'));
    });
    afterEach(() => rmSync(folder, { recursive: true }));
    const spooling = (database: Database = api) => createExchangeJournal(database, (count) => (lost += count), folder);
    const nobody = { $executeRaw: () => new Promise(() => undefined), $queryRaw: () => new Promise(() => undefined) };
    const files = () => readdirSync(folder).map((name) => join(folder, name));
    /** A process has one for what it counts, too, which is empty where it counts nothing. */
    const filled = () => files().filter((file) => statSync(file).size > 0);
    /** As it is when its process has been dead for a while. */
    const age = () => {
      const past = new Date(Date.now() - 3_600_000);
      for (const file of files()) utimesSync(file, past, past);
    };

    it('survive a process that dies when they are noted: the next one writes each once, and says that they are late', async () => {
      const dead = spooling(nobody as unknown as Database);
      const ids = Array.from({ length: 1_200 }, () => randomUUID());
      for (const id of ids) dead.note(exchange(id));
      age();
      // Two that start at the same time both see to it.
      const next = [spooling(), spooling()];
      const arrived = () => journal.core.journalEntry.count({ where: { objectId: { in: ids } } });
      await until('all are written', async () => (await arrived()) >= ids.length);
      await until('its files are gone', () => Promise.resolve(files().length === 2 * next.length));
      await Promise.all(next.map((each) => each.close()));
      const entries = await written();
      const exchanges = entries.filter(({ kind }) => kind === 'exchange');
      expect(exchanges.map(({ objectId }) => objectId).toSorted()).toEqual(ids.toSorted());
      const late = entries.filter(({ kind }) => kind === 'journal-spool');
      expect(late.map(({ outcome }) => outcome)).toEqual(late.map(() => 'written-late'));
      expect(late.reduce((sum, { reason }) => sum + Number(reason?.split(' ')[0]), 0)).toBe(ids.length);
      expect(files()).toEqual([]);
      expect(lost).toBe(0);
    });

    it('leave nothing on the disk when the process ends in peace', async () => {
      const rows = await api.journalSpool.count();
      const exchanges = spooling();
      exchanges.note(exchange());
      expect(readFileSync(filled()[0] ?? '', 'utf8')).toContain('"kind":"exchange"');
      await until('it is written', async () => (await api.journalSpool.count()) === rows + 1);
      await exchanges.close();
      expect(files()).toEqual([]);
      expect(await api.journalSpool.count()).toBe(rows);
    });

    it('of a process that is only slow are written by another one, and not once more by itself', async () => {
      let isAway = true;
      const $executeRaw = (...args: Parameters<typeof api.$executeRaw>) =>
        isAway ? Promise.reject(new Error('away')) : api.$executeRaw(...args);
      const slow = spooling({ $executeRaw, $queryRaw: api.$queryRaw.bind(api) } as unknown as Database);
      const ids = [randomUUID(), randomUUID()];
      for (const id of ids) slow.note(exchange(id));
      const other = spooling();
      await until('the other has written them', async () => (await written()).length >= 3);
      await other.close();
      isAway = false;
      const after = randomUUID();
      slow.note(exchange(after));
      await slow.close();
      const exchanges = (await written()).filter(({ kind }) => kind === 'exchange');
      expect(exchanges.map(({ objectId }) => objectId)).toEqual([...ids, after]);
      expect(files()).toEqual([]);
    });

    it('are kept on the disk beyond what memory takes, and the file does not grow for ever', async () => {
      let isAway = true;
      const $executeRaw = (...args: Parameters<typeof api.$executeRaw>) =>
        isAway ? Promise.reject(new Error('away')) : api.$executeRaw(...args);
      const exchanges = spooling({ $executeRaw, $queryRaw: api.$queryRaw.bind(api) } as unknown as Database);
      const ids = Array.from({ length: 20_300 }, () => randomUUID());
      for (const id of ids) exchanges.note(exchange(id));
      isAway = false;
      await until(
        'all are written',
        async () => (await journal.core.journalEntry.count({ where: { seq: { gt: start } } })) === ids.length,
      );
      await until('the file is short', () => Promise.resolve(files().every((file) => statSync(file).size < 1_000_000)));
      await exchanges.close();
      expect(new Set((await written()).map(({ objectId }) => objectId))).toEqual(new Set(ids));
      expect(lost).toBe(0);
    });

    it('are counted when strangers are refused, and none of the count is lost when the process dies before its turn', async () => {
      const dead = spooling();
      const refused = { code: 'credentials', network: 'a-network' } as const;
      for (let times = 0; times < 700; times++) dead.refused({ ...refused, name: `name-${(times % 3).toString()}` });
      dead.refused({ code: 'too-many', network: 'a-network', client: { id: 'kluch', integration: 'smart-home' } });
      const next = spooling();
      const refusals = async () => (await written()).filter(({ kind }) => kind === 'refusal');
      await until('all are written', async () => (await refusals()).some(({ actor }) => actor === 'kluch'));
      await next.close();
      // It was only slow: what it goes on to count is written, and nothing twice.
      dead.refused({ ...refused, name: 'name-3' });
      await dead.close();
      const counts = (await refusals()).flatMap((entry) => readRefusals(entry) ?? []);
      const ofStrangers = counts.filter(({ code }) => code === 'credentials');
      expect(ofStrangers.reduce((sum, { times }) => sum + times, 0)).toBe(701);
      expect(new Set(ofStrangers.flatMap(({ names }) => names))).toEqual(
        new Set(['name-0', 'name-1', 'name-2', 'name-3']),
      );
      // Hundreds at a time are one entry.
      expect(counts.length).toBeLessThanOrEqual(4);
      expect(files()).toEqual([]);
    });

    it('with a line that was cut off are written as far as they are whole', async () => {
      const dead = spooling(nobody as unknown as Database);
      const ids = [randomUUID(), randomUUID()];
      for (const id of ids) dead.note(exchange(id));
      const [file = ''] = filled();
      writeFileSync(file, readFileSync(file, 'utf8').slice(0, -20));
      age();
      const next = spooling();
      await until('the whole one is written', async () => (await written()).length === 2);
      await next.close();
      expect((await written())[0]).toMatchObject({ kind: 'exchange', objectId: ids[0] });
    });

    it('are another role’s matter neither to write nor to skip', async () => {
      const exchanges = spooling();
      exchanges.note(exchange());
      await until('it is written', async () => (await api.journalSpool.count()) > 0);
      const worker = openDatabase(journal.db.urlFor('domovoy_smart_home'), 1);
      expect(await worker.$queryRaw`SELECT id FROM journal_spools`).toEqual([]);
      expect(await worker.$executeRaw`UPDATE journal_spools SET written = 1000000`).toBe(0);
      await worker.$disconnect();
      await exchanges.close();
    });
  });

  it('are given up beyond a limit, and when the process ends without a database, and it is said how many', async () => {
    await journal.tamper('ALTER TABLE journal_entries RENAME TO journal_entries_away');
    const exchanges = open();
    for (let index = 0; index < 20_003; index++) exchanges.note(exchange());
    expect(lost).toBe(3);
    await exchanges.close();
    expect(lost).toBe(20_003);
    await journal.tamper('ALTER TABLE journal_entries_away RENAME TO journal_entries');
    expect(await written()).toEqual([]);
  });
});
