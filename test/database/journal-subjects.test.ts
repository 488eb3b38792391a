import { randomBytes, randomUUID } from 'node:crypto';
import { checkDatabase } from '../../journal/database-check';
import { newestHead } from '../../journal/heads';
import { checkProof, proveEntry } from '../../journal/proof';
import { appendAbout, entriesOfSubject } from '../../journal/subjects';
import { openDatabase, type Database } from '../../prisma/database';
import { localKeyEncryption } from '../../vault/key-encryption';
import { openKeyStore, type KeyStore } from '../../vault/key-store';
import { createSubjectVault, type SubjectVault } from '../../vault/subject-keys';
import { createTestJournal, type TestJournal } from '../support/journal';

const entry = (objectId: string) => ({ kind: 'consent', objectId, outcome: 'granted' }) as const;

describe('entries about a person', () => {
  let journal: TestJournal;
  let owner: Database;
  let keyStore: KeyStore;
  let subjects: SubjectVault;
  const anna = randomUUID();
  const boris = randomUUID();

  beforeEach(async () => {
    journal = await createTestJournal();
    owner = openDatabase(journal.db.ownerUrl, 2);
    keyStore = openKeyStore(journal.db.keyStoreOwnerUrl, 1);
    subjects = createSubjectVault(localKeyEncryption(new Map([['k', randomBytes(32)]]), 'k'), keyStore);
    for (const id of [anna, boris]) {
      await owner.resident.create({ data: { id } });
      await subjects.createKey(owner, id);
    }
    for (const [residentId, objectId] of [
      [anna, 'a-1'],
      [boris, 'b-1'],
      [anna, 'a-2'],
    ] as const) {
      await journal.core.$transaction(async (tx) => {
        const about = { residentId, details: { partnerId: 'canary-partner' } };
        await appendAbout(tx, subjects, about, { ...entry(objectId), integration: null, actor: 'test' });
      });
    }
    await journal.seal();
  });
  afterEach(async () => {
    await owner.$disconnect();
    await keyStore.close();
    await journal.close();
  });

  it('show neither the person nor the details, and are found and opened with the key', async () => {
    const rows = await owner.journalEntry.findMany({ orderBy: { seq: 'asc' } });
    const written = rows.map((row) =>
      JSON.stringify({ ...row, seq: 0, sealed: Buffer.from(row.sealed ?? []).toString() }),
    );
    expect(written.join()).not.toMatch(new RegExp(`${anna}|${boris}|canary`));
    expect(new Set(rows.map(({ subject }) => subject)).size).toBe(2);
    const extract = await entriesOfSubject(owner, subjects, anna);
    expect(extract.map(({ objectId, details }) => ({ objectId, details }))).toEqual([
      { objectId: 'a-1', details: { partnerId: 'canary-partner' } },
      { objectId: 'a-2', details: { partnerId: 'canary-partner' } },
    ]);
  });

  it('leave every proof as it was when the key is destroyed, and lead to nobody any more', async () => {
    const head = await newestHead(owner);
    const proof = head && (await proveEntry(owner, 1n, head));
    const ciphertext = await owner.journalEntry.findFirstOrThrow({ where: { seq: 1n } });
    await owner.subjectKey.delete({ where: { residentId: anna } });

    expect(await checkDatabase(journal.auditor)).toMatchObject({ ok: true, to: 3 });
    expect(checkProof(JSON.parse(JSON.stringify(proof)))).toMatchObject({ entry: { objectId: 'a-1' } });
    expect(head && (await proveEntry(owner, 1n, head))).toEqual(proof);
    expect(await entriesOfSubject(owner, subjects, anna)).toEqual([]);
    await expect(
      subjects.open(owner, anna, ciphertext.sealed ?? Buffer.alloc(0), 'journal_entries/consent/a-1/granted'),
    ).rejects.toThrow();
    // A key that is made anew is another key: it leads to the old entries as little.
    await subjects.createKey(owner, anna);
    expect(await entriesOfSubject(owner, subjects, anna)).toEqual([]);
    expect(await entriesOfSubject(owner, subjects, boris)).toHaveLength(1);
  });

  it('lead to nobody any more as well when the other half of the key is destroyed, whoever has this one', async () => {
    await keyStore.destroyShare(anna);
    expect(await subjects.find(owner, anna)).toBeNull();
    expect(await entriesOfSubject(owner, subjects, anna)).toEqual([]);
    expect(await entriesOfSubject(owner, subjects, boris)).toHaveLength(1);
  });

  it('are still written for a person whose key is gone, without anything of them', async () => {
    await owner.subjectKey.delete({ where: { residentId: anna } });
    const about = { residentId: anna, details: { partnerId: 'p' } };
    await appendAbout(owner, subjects, about, { ...entry('a-3'), integration: null, actor: 'test' });
    expect(await owner.journalEntry.findFirst({ where: { objectId: 'a-3' } })).toMatchObject({
      outcome: 'granted',
      subject: null,
      sealed: null,
    });
  });

  it('do not open as another entry of the same person', async () => {
    await journal.tamper(
      `UPDATE journal_entries SET sealed = (SELECT sealed FROM journal_entries WHERE seq = 1) WHERE seq = 3`,
    );
    await expect(entriesOfSubject(owner, subjects, anna)).rejects.toThrow('could not be opened');
  });
});
