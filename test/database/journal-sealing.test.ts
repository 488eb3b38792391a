import { appendFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Client } from 'pg';
import { canonicalEntry, leafOf } from '../../journal/entry';
import { hashText } from '../../journal/head';
import { openHeadsFolder } from '../../journal/heads-folder';
import { verifyConsistency } from '../../journal/merkle';
import { exportHeads, JournalNotExtending, signHead } from '../../journal/sealing';
import { placeEntries } from '../../journal/tree';
import { connect, createTestJournal, INSERT_ENTRY, type TestJournal } from '../support/journal';
import { rootByDefinition } from '../support/tree-by-definition';

let journal: TestJournal;
beforeEach(async () => {
  journal = await createTestJournal();
});
afterEach(() => journal.close());

/** What lies in the tree, in its order. */
async function placed(): Promise<(string | null)[]> {
  const leaves = await journal.core.journalLeaf.findMany({ orderBy: { position: 'asc' } });
  expect(leaves.map(({ position }) => Number(position))).toEqual(leaves.map((_, index) => index));
  const entries = await journal.core.journalEntry.findMany();
  const objectOf = new Map(entries.map(({ seq, objectId }) => [seq, objectId]));
  return leaves.map(({ entrySeq }) => objectOf.get(entrySeq) ?? null);
}

async function signedRoot(): Promise<string> {
  const head = await journal.core.journalHead.findFirstOrThrow({ orderBy: { treeSize: 'desc' } });
  return hashText(head.rootHash);
}

async function rootOfRows(): Promise<string> {
  const leaves = await journal.core.journalLeaf.findMany({ orderBy: { position: 'asc' } });
  const entries = await journal.core.journalEntry.findMany();
  const hashOf = new Map(entries.map((entry) => [entry.seq, leafOf(canonicalEntry(entry))]));
  return hashText(rootByDefinition(leaves.map(({ entrySeq }) => hashOf.get(entrySeq) ?? Buffer.alloc(0))));
}

describe('placing entries', () => {
  let early: Client;
  let late: Client;
  beforeEach(async () => {
    early = await connect(journal.db.urlFor('domovoy_smart_home'));
    late = await connect(journal.db.urlFor('domovoy_smart_home'));
  });
  afterEach(() => Promise.all([early.end(), late.end()]));

  it('does not pass over an entry with a lower number that is committed later', async () => {
    await early.query('BEGIN');
    await early.query(INSERT_ENTRY, ['lower number, commits last']);
    await late.query(INSERT_ENTRY, ['higher number, commits first']);
    expect(await journal.seal()).toBe(1);
    expect(await placed()).toEqual(['higher number, commits first']);
    await early.query('COMMIT');
    expect(await journal.seal()).toBe(2);
    expect(await placed()).toEqual(['higher number, commits first', 'lower number, commits last']);
    expect(await signedRoot()).toBe(await rootOfRows());
  });

  it('goes on over the number of an entry that was rolled back', async () => {
    await early.query('BEGIN');
    await early.query(INSERT_ENTRY, ['never was']);
    await late.query(INSERT_ENTRY, ['after it']);
    await early.query('ROLLBACK');
    await journal.seal();
    expect(await placed()).toEqual(['after it']);
    expect(await journal.core.journalPending.count()).toBe(0);
  });

  it('waits for no writer, and no writer waits for it', async () => {
    await early.query('BEGIN');
    await early.query(INSERT_ENTRY, ['still open']);
    const lock = await connect(journal.db.ownerUrl);
    await lock.query('BEGIN');
    await lock.query('LOCK TABLE journal_leaves, journal_nodes, journal_heads IN ACCESS EXCLUSIVE MODE');
    await lock.query(`SELECT pg_advisory_xact_lock(${(0x6a6f_7572).toString()})`);
    await late.query(`SET statement_timeout = '5s'`);
    await late.query(INSERT_ENTRY, ['while all of the tree is locked']);
    await lock.query('ROLLBACK');
    await lock.end();
    await journal.seal();
    expect(await placed()).toEqual(['while all of the tree is locked']);
    await early.query('COMMIT');
  });

  it('gives every committed entry one place, whatever the order of the transactions and with two sealers', async () => {
    const clients = [early, late, ...(await Promise.all([1, 2].map(() => connect(journal.db.urlFor('domovoy_api')))))];
    const open = clients.map(() => false);
    const expected = new Set<string>();
    const waiting = clients.map((): string[] => []);
    let next = 0;
    const step = fc.tuple(fc.nat({ max: 3 }), fc.constantFrom('write', 'write', 'commit', 'rollback', 'seal'));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
        for (const [who, what] of steps) {
          const client = clients[who] as Client;
          if (what === 'seal') await Promise.all([placeEntries(journal.core, 2), placeEntries(journal.core, 3)]);
          else if (what === 'write') {
            if (!open[who]) await client.query('BEGIN');
            open[who] = true;
            const name = `entry ${(next++).toString()}`;
            await client.query(INSERT_ENTRY, [name]);
            waiting[who]?.push(name);
          } else if (open[who]) {
            await client.query(what);
            open[who] = false;
            if (what === 'commit') for (const name of waiting[who] ?? []) expected.add(name);
            waiting[who] = [];
          }
        }
        while ((await placeEntries(journal.core, 7)) > 0);
        const names = await placed();
        expect(names).toHaveLength(expected.size);
        expect(new Set(names)).toEqual(expected);
      }),
      { numRuns: 12 },
    );
    expect(expected.size).toBeGreaterThan(20);
    await signHead(journal.core, journal.signer, journal.outside);
    expect(await signedRoot()).toBe(await rootOfRows());
    await Promise.all(clients.slice(2).map((client) => client.end()));
  });
});

describe('signed heads', () => {
  it('are written when the tree grew, each proved to extend the one before, and are the same outside', async () => {
    for (const count of [1, 2, 5, 1, 8]) {
      await journal.write(Array.from({ length: count }, (_, index) => index.toString()));
      await journal.seal();
      await journal.seal();
    }
    const heads = [...journal.outside.all()];
    expect(heads.map(({ treeSize }) => treeSize)).toEqual([1, 3, 8, 9, 17]);
    const rows = await journal.core.journalHead.findMany({ orderBy: { treeSize: 'asc' } });
    expect(rows.map(({ document }) => document)).toEqual(heads.map(({ document }) => document));
    heads.slice(1).forEach((head, index) => {
      const before = heads[index];
      const proof = (head.previous?.consistencyProof ?? []).map((hash) => Buffer.from(hash, 'hex'));
      expect(head.previous?.treeSize).toBe(before?.treeSize);
      expect(
        verifyConsistency(
          { size: before?.treeSize ?? 0, root: before?.rootHash ?? Buffer.alloc(0) },
          { size: head.treeSize, root: head.rootHash },
          proof,
        ),
      ).toBe(true);
    });
    expect(await signedRoot()).toBe(await rootOfRows());
  });

  it('are handed out later when the process died in between', async () => {
    await journal.write(['a']);
    while ((await placeEntries(journal.core, 10)) > 0);
    await signHead(journal.core, journal.signer, journal.outside);
    expect(journal.outside.last()).toBeNull();
    await journal.write(['b']);
    await journal.seal();
    expect([...journal.outside.all()].map(({ treeSize }) => treeSize)).toEqual([1, 2]);
  });

  it('are whole outside, also after a crash in the middle of a line', async () => {
    await journal.write(['a']);
    await journal.seal();
    const file = join(journal.headsPath, readdirSync(journal.headsPath)[0] ?? '');
    const size = readFileSync(file).length;
    appendFileSync(file, '{"payload":"half of a li');
    expect(journal.outside.last()?.treeSize).toBe(1);
    await journal.write(['b']);
    await journal.seal();
    expect([...journal.outside.all()].map(({ treeSize }) => treeSize)).toEqual([1, 2]);
    truncateSync(file, size - 5);
    await exportHeads(journal.core, journal.outside);
    expect([...journal.outside.all()].map(({ treeSize }) => treeSize)).toEqual([1, 2]);
  });

  const NODE = `UPDATE journal_nodes SET hash = sha256('other') WHERE level = 1 AND index = 1`;
  it.each([
    ['a leaf was changed', `UPDATE journal_leaves SET leaf_hash = sha256('other') WHERE position = 4`],
    ['an inner node was changed', NODE],
    ['a leaf was taken away', 'DELETE FROM journal_leaves WHERE position = 4'],
    ['the whole tree was taken away', 'DELETE FROM journal_leaves'],
    ['a node was taken away', 'DELETE FROM journal_nodes WHERE level = 2'],
    ['the last head was changed', `UPDATE journal_heads SET root_hash = sha256('other')`],
  ])('are not signed after %s', async (_, sql) => {
    await journal.write(['a', 'b', 'c', 'd', 'e']);
    await journal.seal();
    await journal.tamper(sql);
    if (sql === NODE) await journal.tamper(`DELETE FROM journal_nodes WHERE level = 2`);
    await journal.write(['f', 'g']);
    await placeEntries(journal.core, 10).catch(() => undefined);
    await expect(signHead(journal.core, journal.signer, journal.outside)).rejects.toThrow(JournalNotExtending);
    expect(journal.outside.last()?.treeSize).toBe(5);
  });

  it('are not signed for a database that was put back to an earlier state, although it fits itself', async () => {
    await journal.write(['a', 'b', 'c']);
    await journal.seal();
    const lost = [
      'journal_entries WHERE seq > 2',
      'journal_leaves WHERE position > 1',
      'journal_heads',
      'journal_nodes',
    ];
    for (const rows of lost) await journal.tamper(`DELETE FROM ${rows}`);
    await journal.tamper(`INSERT INTO journal_nodes SELECT 1, 0, sha256('\\x01'::bytea || a.leaf_hash || b.leaf_hash)
      FROM journal_leaves a, journal_leaves b WHERE a.position = 0 AND b.position = 1`);
    await expect(signHead(journal.core, journal.signer, journal.outside)).rejects.toThrow('signed at 3 entries');
    await journal.write(['other', 'history']);
    while ((await placeEntries(journal.core, 10)) > 0);
    await expect(signHead(journal.core, journal.signer, journal.outside)).rejects.toThrow('signed at 3 entries');
    expect(await journal.core.journalHead.count()).toBe(0);
  });

  it('are not added to a folder whose last line is no head', async () => {
    await journal.write(['a']);
    await journal.seal();
    writeFileSync(join(journal.headsPath, 'heads-2999-01.jsonl'), '{"treeSize":1}\n');
    await journal.write(['b']);
    await placeEntries(journal.core, 10);
    const outside = openHeadsFolder(journal.headsPath);
    await expect(signHead(journal.core, journal.signer, outside)).rejects.toThrow('is not a signed head');
  });
});

describe('the roles of the database', () => {
  it.each(['domovoy_smart_home', 'domovoy_communal', 'domovoy_api'] as const)(
    '%s can neither read nor write the tree, nor choose the number or the time of an entry',
    async (role) => {
      const client = await connect(journal.db.urlFor(role));
      const refused = { code: '42501' };
      for (const table of ['journal_pending', 'journal_leaves', 'journal_nodes', 'journal_heads']) {
        await expect(client.query(`SELECT 1 FROM ${table}`)).rejects.toMatchObject(refused);
        await expect(client.query(`DELETE FROM ${table}`)).rejects.toMatchObject(refused);
      }
      const writes = [
        `INSERT INTO journal_leaves VALUES (0, 1, '')`,
        `INSERT INTO journal_nodes VALUES (1, 0, '')`,
        `INSERT INTO journal_heads VALUES (1, '', '{}', now())`,
        `INSERT INTO journal_pending VALUES (1)`,
        `INSERT INTO journal_entries (seq, integration, kind) VALUES (7, 'communal', 'opening')`,
        `INSERT INTO journal_entries (at, integration, kind) VALUES (now(), 'communal', 'opening')`,
        `UPDATE journal_entries SET outcome = 'x'`,
        'DELETE FROM journal_entries',
      ];
      for (const sql of writes) await expect(client.query(sql)).rejects.toMatchObject(refused);
      await client.end();
    },
  );

  it('an integration writes entries of its own and reads none', async () => {
    const client = await connect(journal.db.urlFor('domovoy_communal'));
    await client.query(`INSERT INTO journal_entries (integration, kind) VALUES ('communal', 'opening')`);
    await expect(client.query(INSERT_ENTRY, ['x'])).rejects.toMatchObject({ code: '42501' });
    await expect(client.query('SELECT 1 FROM journal_entries')).rejects.toMatchObject({ code: '42501' });
    await client.end();
  });

  it('core adds to the tree and takes nothing back; the auditor only reads', async () => {
    await journal.write(['a', 'b']);
    await journal.seal();
    for (const role of ['domovoy_core', 'domovoy_auditor'] as const) {
      const client = await connect(journal.db.urlFor(role));
      for (const table of ['journal_entries', 'journal_leaves', 'journal_nodes', 'journal_heads']) {
        expect((await client.query(`SELECT 1 FROM ${table}`)).rowCount).toBeGreaterThan(0);
        await expect(client.query(`DELETE FROM ${table}`)).rejects.toMatchObject({ code: '42501' });
        await expect(client.query(`TRUNCATE ${table}`)).rejects.toMatchObject({ code: '42501' });
      }
      await client.end();
    }
    const auditor = await connect(journal.db.urlFor('domovoy_auditor'));
    await expect(auditor.query(`INSERT INTO journal_entries (kind) VALUES ('x')`)).rejects.toMatchObject({
      code: '42501',
    });
    await expect(auditor.query('SELECT 1 FROM residents')).rejects.toMatchObject({ code: '42501' });
    await auditor.end();
  });

  it.each(['journal_leaves', 'journal_nodes', 'journal_heads'])('not even the owner changes %s', async (table) => {
    const owner = await connect(journal.db.ownerUrl);
    for (const sql of [`DELETE FROM ${table}`, `TRUNCATE ${table}`, `UPDATE ${table} SET ${COLUMN[table] ?? ''}`]) {
      await expect(owner.query(sql)).rejects.toThrow(/append-only/);
    }
    await owner.end();
  });
});

const COLUMN: Readonly<Record<string, string>> = {
  journal_leaves: 'position = 0',
  journal_nodes: 'level = 0',
  journal_heads: 'tree_size = 0',
};
