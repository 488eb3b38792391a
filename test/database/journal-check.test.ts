import { randomBytes } from 'node:crypto';
import type { Client } from 'pg';
import { createEntryAuthenticator } from '../../journal/authenticity';
import { checkDatabase, type DatabaseCheck } from '../../journal/database-check';
import { exportJournal } from '../../journal/export';
import { checkFile } from '../../journal/export-lines';
import { newestHead } from '../../journal/heads';
import { checkProof, proveEntry } from '../../journal/proof';
import { monthOf, retireMonths } from '../../journal/retention';
import { appendJournal, authenticateEntriesWith } from '../../journal/journal';
import { JournalNotExtending, signHead } from '../../journal/sealing';
import { JournalDamaged, placeEntries } from '../../journal/tree';
import { connect, createTestJournal, newDocumentSigner, type TestJournal } from '../support/journal';

const COUNT = 13;
const names = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `object-${(from + index).toString()}`);

const TABLES = [
  ...['journal_entries', 'journal_pending', 'journal_leaves', 'journal_nodes', 'journal_heads', 'journal_retired'],
];

let journal: TestJournal;
/** Three heads: at 5, 6 and 13 entries. */
beforeAll(async () => {
  journal = await createTestJournal();
  for (const [from, to] of [
    [0, 5],
    [5, 6],
    [6, COUNT],
  ] as const) {
    await journal.write(names(from, to));
    await journal.seal();
  }
  for (const table of TABLES) await journal.tamper(`CREATE TABLE kept_${table} AS TABLE ${table}`);
});
/** As it was: a database of its own for each test would take its time. */
afterEach(async () => {
  for (const table of TABLES) await journal.tamper(`TRUNCATE ${table}; INSERT INTO ${table} TABLE kept_${table}`);
});
afterAll(() => journal.close());

const check = (options: Parameters<typeof checkDatabase>[1] = {}): Promise<DatabaseCheck> =>
  checkDatabase(journal.auditor, options);
const fileCheck = async () => {
  const lines = await exported();
  return checkFile(async function* () {
    yield* lines;
    yield '';
  });
};
async function exported(): Promise<string[]> {
  const head = await newestHead(journal.auditor);
  if (!head) throw new Error('there is a head');
  const lines: string[] = [];
  for await (const line of exportJournal(journal.auditor, head)) lines.push(line);
  return lines;
}

/** Nothing goes outside: what is there extends what the next test begins with. */
async function sealInside(at?: string): Promise<number> {
  while ((await placeEntries(journal.core, 100)) > 0);
  return signHead(journal.core, journal.signer, journal.outside, at === undefined ? {} : { at: new Date(at) });
}

/** The entry at a position has the next number, as all were written one after the other. */
const seqAt = (position: number): bigint => BigInt(position + 1);
const positions = Array.from({ length: COUNT }, (_, position) => position);

describe('the check of the database', () => {
  it('finds nothing wrong where nothing is, and says how much is not signed yet', async () => {
    await journal.write(['placed, not signed', 'too']);
    await placeEntries(journal.core, 1);
    const result = await check({ keyId: journal.signer.keyId, outside: [...journal.outside.all()] });
    expect(result).toMatchObject({ ok: true, from: 0, to: COUNT, unsigned: 1, pending: 1 });
  });

  it.each(positions)('names the entry that was changed at position %i', async (position) => {
    const columns = ['integration', 'kind', 'object_id', 'actor', 'outcome', 'reason', 'subject'];
    const column = columns[position % columns.length] ?? '';
    await journal.tamper(`UPDATE journal_entries SET ${column} = 'other' WHERE seq = ${seqAt(position).toString()}`);
    expect(await check()).toEqual({ ok: false, why: 'entry-changed', position, entrySeq: seqAt(position) });
    expect(await fileCheck()).toMatchObject({ ok: false, line: position + 2, why: 'entry-changed' });
  });

  it.each(positions)('names the entry that was deleted at position %i', async (position) => {
    await journal.tamper(`DELETE FROM journal_entries WHERE seq = ${seqAt(position).toString()}`);
    expect(await check()).toEqual({ ok: false, why: 'entry-deleted', position, entrySeq: seqAt(position) });
    await expect(exported()).rejects.toThrow(JournalDamaged);
  });

  it.each([
    [0, 1],
    [2, 9],
    [12, 5],
  ])('names the first of two entries that changed places, %i and %i', async (a, b) => {
    await journal.tamper(`UPDATE journal_entries SET seq = CASE seq WHEN ${seqAt(a).toString()} THEN -${seqAt(b).toString()}
      ELSE -${seqAt(a).toString()} END WHERE seq IN (${seqAt(a).toString()}, ${seqAt(b).toString()})`);
    await journal.tamper('UPDATE journal_entries SET seq = -seq WHERE seq < 0');
    const position = Math.min(a, b);
    expect(await check()).toEqual({ ok: false, why: 'entry-changed', position, entrySeq: seqAt(position) });
    expect(await fileCheck()).toMatchObject({ ok: false, line: position + 2 });
  });

  it.each([
    [0, 1],
    [2, 9],
  ])('names the first of two places that were exchanged, %i and %i', async (a, b) => {
    await journal.tamper(`UPDATE journal_leaves SET position = CASE position WHEN ${a.toString()} THEN -100 - ${b.toString()}
      ELSE -100 - ${a.toString()} END WHERE position IN (${a.toString()}, ${b.toString()})`);
    await journal.tamper('UPDATE journal_leaves SET position = -100 - position WHERE position < 0');
    const result = await check();
    // The hashes went with their places: the next signed head says that the tree is another one.
    expect(result).toMatchObject({ ok: false, why: 'tree-rewritten', from: 0 });
  });

  it.each(positions)('names the entry that was put in before number %i', async (position) => {
    const before = seqAt(position).toString();
    await journal.tamper(`UPDATE journal_entries SET seq = -seq WHERE seq >= ${before}`);
    await journal.tamper(`INSERT INTO journal_entries (seq, kind, object_id) VALUES (${before}, 'opening', 'forged')`);
    await journal.tamper('UPDATE journal_entries SET seq = 1 - seq WHERE seq < 0');
    expect(await check()).toEqual({ ok: false, why: 'entry-changed', position, entrySeq: seqAt(position) });
  });

  it.each([
    [0, `at = at + interval '1 millisecond'`],
    [4, `sealed = '\\x00'`],
    [7, `at = at - interval '1 month'`],
    // Where no month is.
    [12, `at = '2001-01-01T00:00:00Z'`],
  ])('names the entry whose time or details were changed, at position %i: %s', async (position, change) => {
    const entrySeq = seqAt(position);
    await journal.tamper(`UPDATE journal_entries SET ${change} WHERE seq = ${entrySeq.toString()}`);
    expect(await check()).toEqual({ ok: false, why: 'entry-changed', position, entrySeq });
  });

  it('names an entry that was put in beside the tree, and one that was taken before it had a place', async () => {
    await journal.tamper(`INSERT INTO journal_entries (seq, kind) VALUES (900, 'opening'), (901, 'opening')`);
    expect(await check()).toEqual({ ok: false, why: 'entry-not-in-tree', entrySeq: 900n });
    await journal.tamper('DELETE FROM journal_entries WHERE seq >= 900');
    await journal.write(['not sealed yet']);
    await journal.tamper(`DELETE FROM journal_entries WHERE object_id = 'not sealed yet'`);
    expect(await check()).toMatchObject({ ok: false, why: 'entry-deleted-unsealed' });
  });

  describe('whoever logs in as no process of ours, with every trigger on,', () => {
    let superuser: Client;
    beforeAll(async () => {
      superuser = await connect(journal.db.ownerUrl);
    });
    afterAll(() => superuser.end());
    const newestSeq = async (): Promise<bigint> =>
      (await journal.core.journalEntry.findFirstOrThrow({ orderBy: { seq: 'desc' } })).seq;

    it.each([
      ['an entry as of now', `(kind, object_id) VALUES ('opening', 'forged')`],
      ['an entry of the past', `(kind, object_id, at) VALUES ('opening', 'forged', now() - interval '20 days')`],
      ['an entry in the role of a process', `(kind, object_id) VALUES ('opening', 'forged')`, 'SET ROLE domovoy_core'],
    ])('gets no place for %s, and it is named', async (_, values, role = 'RESET ROLE') => {
      await superuser.query(role);
      await superuser.query(`INSERT INTO journal_entries ${values}`);
      await superuser.query('RESET ROLE');
      const entrySeq = await newestSeq();
      await journal.write(['a real one']);
      expect(await sealInside()).toBe(COUNT + 1);
      expect(await check()).toEqual({ ok: false, why: 'entry-by-stranger', entrySeq });
      await journal.tamper(`DELETE FROM journal_entries WHERE object_id = 'forged'`);
      expect(await check()).toEqual({ ok: false, why: 'entry-deleted-unsealed', entrySeq });
    });

    it('gives no number a second time without being named, whatever the note about it says', async () => {
      await superuser.query(`INSERT INTO journal_entries (seq, at, kind) VALUES (5, now(), 'opening')`);
      expect(await sealInside()).toBe(COUNT);
      expect(await check()).toEqual({ ok: false, why: 'entry-by-stranger', entrySeq: 5n });
      await superuser.query('UPDATE journal_pending SET by_stranger = false');
      expect(await sealInside()).toBe(COUNT);
      expect(await check()).toEqual({ ok: false, why: 'entry-not-in-tree', entrySeq: 5n });
      await superuser.query(`UPDATE journal_pending SET entry_at = now()`);
      expect(await check()).toEqual({ ok: false, why: 'entry-not-in-tree', entrySeq: 5n });
    });

    it.each([`- interval '8 days'`, `+ interval '8 days'`])(
      'puts nothing into the tree at another time (%s), even past the note',
      async (shift) => {
        await superuser.query(`INSERT INTO journal_entries (kind, at) VALUES ('opening', now() ${shift})`);
        await superuser.query('UPDATE journal_pending SET by_stranger = false');
        expect(await sealInside()).toBe(COUNT + 1);
        expect(await check()).toEqual({
          ok: false,
          why: 'entry-misdated',
          position: COUNT,
          entrySeq: await newestSeq(),
        });
      },
    );
  });

  describe('whoever has the login of a process, and no key,', () => {
    const ring = { keys: new Map([['k', randomBytes(32)]]), currentId: 'k' };
    const authenticator = createEntryAuthenticator(ring);
    const { isAuthentic } = authenticator;
    const noted = { kind: 'opening', integration: null, objectId: 'real', actor: 'app', outcome: 'opened' } as const;
    const forge = (values: string) =>
      journal.core.$executeRawUnsafe(`INSERT INTO journal_entries (kind, object_id, actor, outcome, mac) ${values}`);
    const place = () => placeEntries(journal.core, 100, isAuthentic);
    const sign = () => signHead(journal.core, journal.signer, journal.outside, { isAuthentic });
    beforeAll(() => {
      authenticateEntriesWith(authenticator);
    });

    it.each([
      ['without a code', `VALUES ('opening', 'forged', 'app', 'opened', NULL)`],
      [
        'with the code of another',
        `SELECT kind, 'forged', actor, outcome, mac FROM journal_entries WHERE object_id = 'real'`,
      ],
    ])('gets no place for an entry %s, and it is named', async (_, values) => {
      await appendJournal(journal.core, noted);
      await forge(values);
      expect(await place()).toBe(1);
      await sign();
      const { seq } = await journal.core.journalEntry.findFirstOrThrow({ where: { objectId: 'forged' } });
      expect(await check()).toEqual({ ok: false, why: 'entry-by-stranger', entrySeq: seq });
    });

    it('makes no copy of an entry that is not named', async () => {
      await appendJournal(journal.core, noted);
      await forge(`SELECT kind, object_id, actor, outcome, mac FROM journal_entries WHERE object_id = 'real'`);
      expect(await place()).toBe(2);
      expect(await sign()).toBe(COUNT + 2);
      expect(await check()).toMatchObject({ ok: false, why: 'entry-copied' });
    });

    it('has nothing signed that was put into the tree past the placing', async () => {
      await forge(`VALUES ('opening', 'forged', 'app', 'opened', NULL)`);
      expect(await placeEntries(journal.core, 100)).toBe(1);
      await expect(sign()).rejects.toThrow(JournalNotExtending);
    });

    it('has nothing signed of which the entry is not there, to be put there later', async () => {
      await appendJournal(journal.core, noted);
      expect(await place()).toBe(1);
      await journal.tamper(`DELETE FROM journal_entries WHERE object_id = 'real'`);
      await expect(sign()).rejects.toThrow(JournalNotExtending);
    });
  });

  it.each([
    ['changed', `UPDATE journal_nodes SET hash = sha256('x') WHERE level = 2 AND index = 1`, 'node-changed'],
    ['taken away', `DELETE FROM journal_nodes WHERE level = 2 AND index = 1`, 'node-deleted'],
  ])('names the places whose common hash was %s', async (_, sql, why) => {
    await journal.tamper(sql);
    expect(await check()).toEqual({ ok: false, why, from: 4, to: 8 });
  });

  it('names a head between others that was taken away', async () => {
    await journal.tamper('DELETE FROM journal_heads WHERE tree_size = 6');
    expect(await check()).toEqual({ ok: false, why: 'head-deleted', treeSize: 6 });
    await journal.tamper('DELETE FROM journal_heads WHERE tree_size = 5');
    expect(await check()).toEqual({ ok: false, why: 'head-deleted', treeSize: 6 });
  });

  it('looks at every head outside, not only at the newest', async () => {
    const outside = [...journal.outside.all()].map((head) => (head.treeSize === 6 ? { ...head, treeSize: 9 } : head));
    expect(await check({ outside })).toEqual({ ok: false, why: 'tree-rewritten', from: 6, to: COUNT });
  });

  it('says between which signed heads the tree was rewritten, when entry, leaf and nodes were made to fit', async () => {
    await journal.tamper(`UPDATE journal_entries SET outcome = 'denied' WHERE seq = ${seqAt(5).toString()}`);
    await journal.tamper(`DELETE FROM journal_leaves WHERE position >= 5`);
    await journal.tamper(`DELETE FROM journal_nodes WHERE (index + 1) * 2 ^ level > 5`);
    await journal.tamper(`INSERT INTO journal_pending SELECT seq, at FROM journal_entries WHERE seq > 5`);
    while ((await placeEntries(journal.core, 100)) > 0);
    expect(await check()).toEqual({ ok: false, why: 'tree-rewritten', from: 5, to: 6 });
    expect((await fileCheck()).ok).toBe(false);
  });

  it('says so when the newest heads were taken away, or signed by somebody else', async () => {
    const outside = [...journal.outside.all()];
    await journal.tamper('DELETE FROM journal_heads WHERE tree_size > 6');
    expect(await check({ outside })).toEqual({ ok: false, why: 'behind-outside', treeSize: COUNT });
    const { keyId } = newDocumentSigner();
    expect(await check({ keyId })).toMatchObject({ ok: false, why: 'head-other-key' });
    expect(
      await check({ outside: outside.slice(0, 1).map((head) => ({ ...head, keyId })), keyId: journal.signer.keyId }),
    ).toEqual({ ok: false, why: 'head-other-key', treeSize: 5 });
    await journal.tamper(`UPDATE journal_heads SET document = jsonb_set(document, '{payload}', '"e30"')`);
    expect(await check()).toEqual({ ok: false, why: 'head-invalid', treeSize: 6 });
    await journal.tamper('DELETE FROM journal_heads');
    expect(await check()).toEqual({ ok: false, why: 'no-head' });
  });

  it('can be of a range, and then looks at nothing beyond the signed heads around it', async () => {
    await journal.tamper(`UPDATE journal_entries SET outcome = 'denied' WHERE seq = ${seqAt(12).toString()}`);
    expect(await check({ from: 5, to: 6 })).toMatchObject({ ok: true, from: 5, to: 6 });
    expect(await check({ to: 3 })).toMatchObject({ ok: true, from: 0, to: 5 });
    expect(await check({ from: 8 })).toMatchObject({ ok: false, why: 'entry-changed', position: 12 });
    await journal.tamper(`UPDATE journal_leaves SET leaf_hash = sha256('x') WHERE position = 4`);
    expect(await check({ from: 5, to: 6 })).toMatchObject({ ok: false, why: 'tree-rewritten', from: 0, to: 5 });
  });
});

describe('an export of the database', () => {
  it('holds every entry in the order of the tree and is valid without the database', async () => {
    const lines = await exported();
    expect(lines).toHaveLength(COUNT + 2);
    const objects = lines
      .slice(1, -1)
      .map((line) => (JSON.parse(line) as { entry: { objectId: string } }).entry.objectId);
    expect(objects).toEqual(names(0, COUNT));
    expect(await fileCheck()).toMatchObject({ ok: true, head: { treeSize: COUNT } });
  });

  it('is right over many batches', async () => {
    await journal.core.journalEntry.createMany({
      data: Array.from({ length: 2_300 }, (_, index) => ({ kind: 'opening', objectId: index.toString() })),
    });
    while ((await placeEntries(journal.core, 900)) > 0);
    await signHead(journal.core, journal.signer, journal.outside);
    expect(await fileCheck()).toMatchObject({ ok: true, head: { treeSize: COUNT + 2_300 } });
    expect(await check()).toMatchObject({ ok: true, to: COUNT + 2_300 });
  });
});

describe('a month of entries', () => {
  const OLD = '2019-03-01';
  const noteOld = (count: number) =>
    journal.tamper(`WITH old AS (INSERT INTO journal_entries (kind, object_id, at)
      SELECT 'opening', 'old', '2019-03-10T00:00:00Z' FROM generate_series(1, ${count.toString()}) RETURNING seq, at)
      INSERT INTO journal_pending SELECT seq, at FROM old`);
  const drop = (month: string) => journal.core.$executeRaw`SELECT drop_journal_month(${month}::date)`;
  const retire = () => retireMonths(journal.core, new Date());
  const oldEntries = () => journal.core.journalEntry.count({ where: { objectId: 'old' } });
  beforeEach(() => journal.tamper(`SELECT make_journal_month('${OLD}')`));

  it('does not go before its term is over, all of it is sealed and signed, and a signed entry has announced it', async () => {
    await expect(drop(`${monthOf(new Date())}-01`)).rejects.toThrow('too young');
    await expect(drop('2019-04-01')).rejects.toThrow('no such month');
    await noteOld(1);
    await expect(drop(OLD)).rejects.toThrow('not wholly sealed');
    await placeEntries(journal.core, 10);
    await expect(drop(OLD)).rejects.toThrow('not wholly sealed');
    // Whoever writes entries of the past today has them signed today.
    await sealInside();
    await expect(drop(OLD)).rejects.toThrow('too young');
    expect(await oldEntries()).toBe(1);
  });

  it('goes once it was announced, for core alone, and everything else is proved as before', async () => {
    await noteOld(3);
    await sealInside('2019-04-01T00:00:30Z');
    await expect(drop(OLD)).rejects.toThrow('not announced');
    await expect(journal.auditor.$executeRaw`SELECT drop_journal_month(${OLD}::date)`).rejects.toThrow('permission');
    // Twice: what is announced and not signed yet is not announced again, and does not go.
    expect([await retire(), await retire()]).toEqual([0, 0]);
    expect(await oldEntries()).toBe(3);
    await sealInside();
    expect([await retire(), await oldEntries()]).toEqual([1, 0]);

    const retired = [{ month: '2019-03', entries: 3, treeSize: COUNT + 3 }];
    expect(await check()).toMatchObject({ ok: true, to: COUNT + 4, retired });
    expect(await fileCheck()).toMatchObject({ ok: true, retired });
    await journal.write(['later']);
    await sealInside();
    expect(await check()).toMatchObject({ ok: true, to: COUNT + 5, retired });

    // Nothing else can go under its name.
    const gone = (await exported()).map((line) => line.replace('"retired":"2019-03"', '"retired":"2019-02"'));
    expect(
      await checkFile(async function* () {
        yield* gone;
        yield '';
      }),
    ).toMatchObject({ ok: false, position: COUNT, why: 'retired-unannounced' });
    await journal.tamper(`DELETE FROM journal_entries WHERE seq = ${seqAt(4).toString()}`);
    expect(await check()).toMatchObject({ ok: false, why: 'entry-deleted', position: 4 });
    await journal.tamper(`UPDATE journal_leaves SET entry_at = '2019-03-10T00:00:00Z' WHERE position = 4`);
    expect(await check()).toMatchObject({ ok: false, why: 'entry-deleted', position: 4 });
  });
});

describe('the proof of an entry', () => {
  it.each(positions)(
    'is valid without the database for the entry at %i, and for no other content',
    async (position) => {
      const head = await newestHead(journal.auditor);
      const proof = head && (await proveEntry(journal.auditor, seqAt(position), head));
      if (!proof) throw new Error('the entry is in the tree');
      const document = JSON.parse(JSON.stringify(proof)) as typeof proof;
      expect(checkProof(document)).toMatchObject({ position, entry: { objectId: `object-${position.toString()}` } });
      expect(checkProof({ ...document, entry: { ...document.entry, outcome: 'denied' } })).toBeNull();
      expect(checkProof({ ...document, position: (position + 1) % COUNT })).toBeNull();
      expect(checkProof({ ...document, path: document.path.slice(1) })).toBeNull();
      expect(checkProof({ ...document, head: { ...document.head, signature: 'AAAA' } })).toBeNull();
      expect(checkProof({ ...document, extra: 1 })).toBeNull();
    },
  );

  it('is not given for an entry that is not signed yet, or does not exist', async () => {
    const head = await newestHead(journal.auditor);
    if (!head) throw new Error('there is a head');
    await journal.write(['new']);
    await placeEntries(journal.core, 10);
    expect(await proveEntry(journal.auditor, seqAt(COUNT), head)).toBeNull();
    expect(await proveEntry(journal.auditor, 999n, head)).toBeNull();
  });
});
