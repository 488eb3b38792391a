import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { createErasureActivities } from '../../activities/erasure';
import { createLogger } from '../../config/logger';
import { profilePlace, templatePlace, vehiclePlace } from '../../contracts/sealed-places';
import { acceptErasuresAgain } from '../../erasure/again';
import { openErasureLedger, residentHash } from '../../erasure/ledger';
import { noteComparedWithLedger } from '../../erasure/restore-check';
import { appendAbout, entriesOfSubject } from '../../journal/subjects';
import { openDatabase, openStatements, sql, type Database } from '../../prisma/database';
import type { KeyStoreRole } from '../../prisma/logins';
import { newKey, open, seal, SealBroken } from '../../vault/envelope';
import { holdSubjectKeys } from '../../vault/held-subject-keys';
import { localKeyEncryption } from '../../vault/key-encryption';
import { openKeyStore, type KeyStore } from '../../vault/key-store';
import { splitWholeKeys } from '../../vault/key-store-upkeep';
import { rewrapBatch } from '../../vault/rewrap';
import { createSubjectVault, subjectKeyPlace, type SubjectVault } from '../../vault/subject-keys';
import { keepKeyStore, tendKeyStore } from '../../workers/key-store-keeper';
import { administer, copyDatabase, createTestDatabase, serverUrl, type TestDatabase } from '../support/database';

const DAY_MS = 86_400_000;
const keyEncryption = localKeyEncryption(new Map([['k', newKey()]]), 'k');
const houseId = randomUUID();
/** Nothing listens there. */
const AWAY = 'postgresql://nobody:nothing@127.0.0.1:1/none';
const folder = mkdtempSync(join(tmpdir(), 'domovoy-key-store-'));

let db: TestDatabase;
let owner: Database;
let core: Database;
let keyStore: KeyStore;
let coresOwn: KeyStore;
let subjects: SubjectVault;
beforeAll(async () => {
  db = await createTestDatabase();
  [owner, core] = [openDatabase(db.ownerUrl, 3), openDatabase(db.urlFor('domovoy_core'), 3)];
  keyStore = openKeyStore(db.keyStoreOwnerUrl, 2);
  coresOwn = openKeyStore(db.keyStoreUrlFor('domovoy_keys_core'), 2);
  subjects = createSubjectVault(keyEncryption, keyStore);
  await owner.partner.create({
    data: { id: 'p', integration: 'smart-home', displayName: 'P', custody: 'company', profile: {}, agreedFields: [] },
  });
  await owner.house.create({ data: { id: houseId } });
  const form = { id: 'f', version: 1, textRu: '', textEn: '', sha256: '', purposes: [], validForDays: 1 };
  await owner.consentForm.create({ data: form });
});
afterAll(async () => {
  await Promise.all([owner.$disconnect(), core.$disconnect(), keyStore.close(), coresOwn.close()]);
  await db.drop();
  rmSync(folder, { recursive: true });
});

/** Somebody, with everything that is sealed under their key. */
async function resident(): Promise<string> {
  const id = randomUUID();
  await owner.$transaction(async (tx) => {
    await tx.resident.create({ data: { id } });
    await subjects.createKey(tx, id);
  });
  await sealEverything(id);
  return id;
}

async function sealEverything(id: string): Promise<void> {
  const sealed = (place: string) => subjects.seal(owner, id, Buffer.from('личное'), place);
  const held = { residentId: id, partnerId: 'p', integration: 'smart-home' };
  const [consentId, enrollmentId] = [randomUUID(), randomUUID()];
  await owner.consent.create({
    data: { ...held, id: consentId, formId: 'f', formSha256: '', status: 'granted', expiresAt: new Date() },
  });
  await owner.enrollment.create({ data: { ...held, id: enrollmentId, consentId, houseId, state: 'active' } });
  const template = { ...held, id: randomUUID(), enrollmentId, houseId, modelVersion: 'm' };
  await owner.faceTemplate.create({ data: { ...template, sealed: await sealed(templatePlace(enrollmentId)) } });
  await owner.residentProfile.create({ data: { residentId: id, sealed: await sealed(profilePlace(id)) } });
  const vehicle = { id: randomUUID(), residentId: id, kind: 'owned', plateIndex: Buffer.from(newKey()) };
  await owner.vehicle.create({ data: { ...vehicle, sealed: await sealed(vehiclePlace(vehicle.id)) } });
  const entry = {
    kind: 'vehicle',
    objectId: vehicle.id,
    outcome: 'registered',
    integration: null,
    actor: 'test',
  } as const;
  await appendAbout(owner, subjects, { residentId: id, details: { partnerId: 'p' } }, entry);
}

/** As keys were made before there was a key store. @returns the key itself */
async function wholeKey(id: string = randomUUID()): Promise<{ id: string; key: Buffer }> {
  const key = newKey();
  const wrapped = await keyEncryption.wrap(key, subjectKeyPlace(id, { splitAt: null }));
  await owner.resident.create({ data: { id } });
  await owner.subjectKey.create({ data: { residentId: id, ...wrapped, createdAt: new Date(Date.now() - DAY_MS) } });
  return { id, key };
}

/** What of a person opens in a database, with every key-encryption key there is and what the key store has now. */
async function opened(database: Database, residentId: string) {
  const vault = createSubjectVault(keyEncryption, keyStore);
  const profile = await database.residentProfile.findUniqueOrThrow({ where: { residentId } });
  const vehicles = await database.vehicle.findMany({ where: { residentId } });
  const templates = await database.faceTemplate.findMany({ where: { residentId } });
  const values = [
    { ...profile, place: profilePlace(residentId) },
    ...templates.map((row) => ({ ...row, place: templatePlace(row.enrollmentId) })),
    ...vehicles.map(({ id, sealed }) => ({ residentId, sealed: sealed ?? Buffer.alloc(0), place: vehiclePlace(id) })),
  ];
  const row = await database.subjectKey.findUniqueOrThrow({ where: { residentId } });
  const half = await keyEncryption.unwrap(row, subjectKeyPlace(residentId, row));
  return {
    values: (await vault.openMany(database, values)).length,
    journal: (await entriesOfSubject(database, vault, residentId)).length,
    pseudonym: await vault.pseudonym(database, residentId, 'journal'),
    byHalf: values.filter(({ sealed, place }) => isOpenedBy(half, sealed, place)).length,
  };
}

function isOpenedBy(key: Buffer, sealed: Uint8Array, place: string): boolean {
  try {
    return open(key, sealed, place).length > 0;
  } catch {
    return false;
  }
}

/** The activities of an erasure that touch the key, with the rights of `core`. */
const erasures = (store: Pick<KeyStore, 'share' | 'destroyShare'> = coresOwn) =>
  createErasureActivities({
    database: core,
    keyStore: store,
    ledger: openErasureLedger(folder),
    subjects: createSubjectVault(keyEncryption, coresOwn),
  } as unknown as Parameters<typeof createErasureActivities>[0]);

async function demanded(residentId: string): Promise<string> {
  const id = randomUUID();
  await owner.resident.update({ where: { id: residentId }, data: { status: 'erased' } });
  await owner.erasure.create({
    data: { id, residentId, basis: 'stop-processing', actor: 'test', dueAt: new Date(Date.now() + DAY_MS) },
  });
  return id;
}
const destroyedOf = async (erasureId: string) =>
  (
    await owner.journalEntry.findMany({
      where: { kind: 'erasure', objectId: erasureId, outcome: 'destroyed' },
      orderBy: { seq: 'asc' },
    })
  ).map(({ reason }) => reason);

describe('a backup of the main database', () => {
  it('that was made before an erasure opens nothing of the person afterwards, with every key-encryption key there is', async () => {
    const [erased, other] = [await resident(), await resident()];
    const erasureId = await demanded(erased);
    const backup = `${new URL(db.ownerUrl).pathname.slice(1)}_backup`;
    await Promise.all([owner.$disconnect(), core.$disconnect()]);
    await copyDatabase(new URL(db.ownerUrl).pathname.slice(1), backup);
    [owner, core] = [openDatabase(db.ownerUrl, 3), openDatabase(db.urlFor('domovoy_core'), 3)];
    const restored = openDatabase(serverUrl(backup), 2);
    try {
      const all = { values: 3, journal: 1, pseudonym: expect.any(String) as string, byHalf: 0 };
      expect(await opened(restored, erased)).toEqual(all);

      expect(await erasures().eraseRows(erasureId)).toBe(true);
      expect(await opened(restored, erased)).toEqual({ values: 0, journal: 0, pseudonym: null, byHalf: 0 });
      expect(await opened(restored, other)).toEqual(all);
      // What the journal of the running database has of them is dark by the same.
      expect(await entriesOfSubject(owner, subjects, erased)).toEqual([]);
    } finally {
      await restored.$disconnect();
      await administer(`DROP DATABASE ${backup} WITH (FORCE)`);
    }
  });
});

describe('somebody whom a backup of the main database brings back', () => {
  it('is erased again although no key of theirs opens any more, and their plates, which every partner let go of', async () => {
    const residentId = await resident();
    const family = await resident();
    const { id: vehicleId, plateIndex } = await owner.vehicle.findFirstOrThrow({ where: { residentId } });
    const shared = await owner.vehicle.create({
      data: { id: randomUUID(), residentId, kind: 'owned', plateIndex: Buffer.from(newKey()) },
    });
    await owner.vehicle.updateMany({ where: { residentId: family }, data: { plateIndex: shared.plateIndex } });
    const at = { partnerId: 'p', integration: 'smart-home' };
    await owner.vehiclePartner.create({ data: { ...at, vehicleId, state: 'open' } });
    for (const index of [plateIndex, shared.plateIndex]) {
      const held = { id: randomUUID(), houseId, plateIndex: Buffer.from(index ?? []), state: 'allowed' };
      await owner.plateHolding.create({ data: { ...at, ...held } });
    }
    const ledger = openErasureLedger(folder);
    const erasureId = randomUUID();
    const now = new Date().toISOString();
    const demand = { erasureId, basis: 'stop-processing', requestedAt: now, dueAt: now, holdReason: null } as const;
    ledger.enter(residentId, { ...demand, erasedAt: now });
    await keyStore.destroyShare(residentId);

    const vault = createSubjectVault(keyEncryption, coresOwn);
    const clocks = { withdrawalDays: 30, demandWorkingDays: 10, prolongByWorkingDays: 5, warnDays: 3 };
    expect(await acceptErasuresAgain(core, { subjects: vault, ledger, clocks })).toEqual([erasureId]);
    expect(await owner.erasure.findUniqueOrThrow({ where: { id: erasureId } })).toMatchObject({
      state: 'waiting',
      subject: null,
    });
    expect(await owner.vehicle.count({ where: { residentId } })).toBe(0);
    const holdings = await owner.plateHolding.findMany();
    expect(holdings.map((row) => Buffer.from(row.plateIndex))).toEqual([Buffer.from(shared.plateIndex ?? [])]);
    await owner.biometricDeletion.updateMany({ where: { residentId }, data: { state: 'deleted' } });
    expect(await erasures().eraseRows(erasureId)).toBe(true);
    expect(await owner.subjectKey.count({ where: { residentId } })).toBe(0);
  });
});

describe('the destruction of a key', () => {
  it('whose worker died between the row and the share is finished by the next try, and written down once', async () => {
    const residentId = await resident();
    const erasureId = await demanded(residentId);
    const dying = { ...coresOwn, destroyShare: () => Promise.reject(new Error('died')) };
    await expect(erasures(dying).eraseRows(erasureId)).rejects.toThrow('died');
    expect(await owner.subjectKey.count({ where: { residentId } })).toBe(0);
    expect(await keyStore.share(residentId)).not.toBeNull();
    // A backup that is restored now is known to be of somebody whom every holder had let go.
    expect(openErasureLedger(folder).demands().get(residentHash(residentId))?.erasedAt).toEqual(expect.any(String));

    const doing = erasures();
    for (let time = 1; time <= 2; time++) expect(await doing.eraseRows(erasureId)).toBe(true);
    expect(await keyStore.share(residentId)).toBeNull();
    expect((await destroyedOf(erasureId)).filter((category) => category === 'key-share')).toHaveLength(1);
    const row = await owner.erasure.findUniqueOrThrow({ where: { id: erasureId } });
    expect(row.shareDestroyedAt?.getTime()).toBeGreaterThanOrEqual(row.erasedAt?.getTime() ?? Infinity);
    expect(row.wholeKeyUntil).toBeNull();
  });

  it('keeps until when backups hold it whole: until it was split, or to the end when it never was', async () => {
    const split = await wholeKey();
    await splitWholeKeys({ database: core, keyStore: coresOwn }, keyEncryption);
    const { splitAt } = await owner.subjectKey.findUniqueOrThrow({ where: { residentId: split.id } });
    const never = await wholeKey();
    const [ofSplit, ofNever] = [await demanded(split.id), await demanded(never.id)];
    for (const erasureId of [ofSplit, ofNever]) await erasures().eraseRows(erasureId);
    const rowOf = (id: string) => owner.erasure.findUniqueOrThrow({ where: { id } });
    expect(splitAt).not.toBeNull();
    expect((await rowOf(ofSplit)).wholeKeyUntil).toEqual(splitAt);
    expect(await destroyedOf(ofSplit)).toEqual(['encryption-key', 'key-share']);
    const last = await rowOf(ofNever);
    expect(last.wholeKeyUntil).toEqual(last.erasedAt);
    expect(await destroyedOf(ofNever)).toEqual(['encryption-key']);
  });

  it('waits while the key store does not answer, and is done when it is back', async () => {
    const residentId = await resident();
    const erasureId = await demanded(residentId);
    const away = openKeyStore(AWAY, 1);
    await expect(erasures(away).eraseRows(erasureId)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(erasures(away).closeErasure(erasureId)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await destroyedOf(erasureId)).not.toContain('key-share');
    await away.close();
    expect(await erasures().eraseRows(erasureId)).toBe(true);
    expect(await keyStore.share(residentId)).toBeNull();
  });
});

describe('keys that were made whole', () => {
  const stores = () => ({ database: core, keyStore: coresOwn });
  const read = async (id: string, sealed: Buffer) => (await subjects.open(owner, id, sealed, 'here')).toString();

  it('are split while everything reads, seals and wraps anew, and open what was sealed before, meanwhile and after', async () => {
    const people = await Promise.all(Array.from({ length: 30 }, () => wholeKey()));
    const before = people.map(({ id, key }) => ({ id, sealed: seal(key, Buffer.from('before'), 'here') }));
    const meanwhile: typeof before = [];
    const over = new AbortController();
    const reading = (async () => {
      for (let at = 0; !over.signal.aborted; at = (at + 7) % people.length) {
        const { id, sealed } = before[at] ?? { id: '', sealed: Buffer.alloc(0) };
        expect(await read(id, sealed)).toBe('before');
        meanwhile.push({ id, sealed: await subjects.seal(owner, id, Buffer.from('meanwhile'), 'here') });
        const values = before.map((value) => ({ residentId: value.id, sealed: value.sealed, place: 'here' }));
        expect(await subjects.openMany(owner, values)).toHaveLength(people.length);
      }
    })();
    // Every row is of another key to it, and wrapped anew.
    const replacing = { ...keyEncryption, currentKeyId: () => Promise.resolve('another') };
    const [first, second] = await Promise.all([
      splitWholeKeys(stores(), keyEncryption),
      splitWholeKeys(stores(), keyEncryption),
      rewrapBatch(core, replacing, 'subject_keys', 100),
    ]);
    const { split } = await splitWholeKeys(stores(), keyEncryption);
    over.abort();
    await reading;
    expect(first.split + second.split + split).toBe(people.length);
    expect(await owner.subjectKey.count({ where: { splitAt: null } })).toBe(0);
    expect(meanwhile.length).toBeGreaterThan(0);
    for (const { id, sealed } of before) expect(await read(id, sealed)).toBe('before');
    for (const { id, sealed } of meanwhile) expect(await read(id, sealed)).toBe('meanwhile');
    // Neither half is the key.
    const [{ id, key } = { id: '', key: Buffer.alloc(0) }] = people;
    const row = await owner.subjectKey.findUniqueOrThrow({ where: { residentId: id } });
    const half = await keyEncryption.unwrap(row, subjectKeyPlace(id, row));
    for (const each of [half, await keyStore.share(id)]) expect(each?.equals(key)).toBe(false);
  });

  it('whose splitting was killed after the share read whole until the next one ends it with the same share', async () => {
    const { id, key } = await wholeKey();
    const sealed = seal(key, Buffer.from('before'), 'here');
    const killed = { updateMany: () => Promise.reject(new Error('killed')) };
    const dying = {
      subjectKey: {
        findMany: (query: Parameters<typeof core.subjectKey.findMany>[0]) => core.subjectKey.findMany(query),
        ...killed,
      },
    } as unknown as Database;
    await expect(splitWholeKeys({ ...stores(), database: dying }, keyEncryption)).rejects.toThrow('killed');
    const share = await keyStore.share(id);
    expect(share).not.toBeNull();
    expect(await read(id, sealed)).toBe('before');
    await splitWholeKeys(stores(), keyEncryption);
    expect(await keyStore.share(id)).toEqual(share);
    expect(await read(id, sealed)).toBe('before');
  });

  it('that are destroyed meanwhile leave no share, and those under a key that is not there do not stop the others', async () => {
    const [gone, strange, other] = [await wholeKey(), await wholeKey(), await wholeKey()];
    await owner.subjectKey.update({ where: { residentId: strange.id }, data: { keyId: 'elsewhere' } });
    const racing: KeyStore = {
      ...coresOwn,
      async makeShare(residentId) {
        if (residentId === gone.id) await owner.subjectKey.delete({ where: { residentId } });
        return coresOwn.makeShare(residentId);
      },
    };
    expect(await splitWholeKeys({ database: core, keyStore: racing }, keyEncryption)).toEqual({ split: 1, left: 1 });
    expect(await keyStore.holding([gone.id, strange.id, other.id])).toEqual(new Set([other.id]));
    await owner.subjectKey.delete({ where: { residentId: strange.id } });
  });

  it('as a backup brings them back beside the share of before are split into the same halves', async () => {
    const { id, key } = await wholeKey();
    const backup = await owner.subjectKey.findUniqueOrThrow({ where: { residentId: id } });
    await splitWholeKeys(stores(), keyEncryption);
    const sealed = await subjects.seal(owner, id, Buffer.from('after'), 'here');
    await owner.subjectKey.update({ where: { residentId: id }, data: backup });
    expect(open(key, sealed, 'here').toString()).toBe('after');
    await splitWholeKeys(stores(), keyEncryption);
    expect(await read(id, sealed)).toBe('after');
  });
});

describe('the vault', () => {
  it('asks for a share again that was asked for before its row said that it is wanted', async () => {
    const residentId = await resident();
    let asked = 0;
    const early: KeyStore = {
      ...keyStore,
      share: (id) => (asked++ === 0 ? Promise.resolve(null) : keyStore.share(id)),
      shares: (ids) => (asked++ === 0 ? Promise.resolve(new Map()) : keyStore.shares(ids)),
    };
    const vault = createSubjectVault(keyEncryption, early);
    expect(await vault.find(owner, residentId)).not.toBeNull();
    asked = 0;
    const { sealed } = await owner.residentProfile.findUniqueOrThrow({ where: { residentId } });
    expect(await vault.openMany(owner, [{ residentId, sealed, place: profilePlace(residentId) }])).toHaveLength(1);
  });

  it('never takes a key store that does not answer for a key that is destroyed', async () => {
    const residentId = await resident();
    const away = openKeyStore(AWAY, 1);
    const vault = createSubjectVault(keyEncryption, away);
    const refused = { code: 'ECONNREFUSED' };
    const { sealed } = await owner.residentProfile.findUniqueOrThrow({ where: { residentId } });
    const value = { residentId, sealed, place: profilePlace(residentId) };
    await expect(vault.find(owner, residentId)).rejects.toMatchObject(refused);
    await expect(vault.pseudonym(owner, residentId, 'journal')).rejects.toMatchObject(refused);
    await expect(vault.seal(owner, residentId, Buffer.from('x'), 'here')).rejects.toMatchObject(refused);
    await expect(vault.openMany(owner, [value])).rejects.toMatchObject(refused);
    await expect(holdSubjectKeys(owner, vault).of(residentId)).rejects.toMatchObject(refused);
    await expect(
      owner.$transaction(async (tx) => {
        const id = randomUUID();
        await tx.resident.create({ data: { id } });
        await vault.createKey(tx, id);
      }),
    ).rejects.toMatchObject(refused);
    await away.close();
    expect(await holdSubjectKeys(owner, subjects).of(residentId)).not.toBeNull();
  });

  it('opens and seals nothing once either half is gone, and says so', async () => {
    const [row, share] = [await resident(), await resident()];
    await owner.subjectKey.delete({ where: { residentId: row } });
    await keyStore.destroyShare(share);
    for (const residentId of [row, share]) {
      expect(await subjects.find(owner, residentId)).toBeNull();
      expect(await holdSubjectKeys(owner, subjects).of(residentId)).toBeNull();
      await expect(subjects.seal(owner, residentId, Buffer.from('x'), 'here')).rejects.toThrow(SealBroken);
    }
    await owner.subjectKey.delete({ where: { residentId: share } });
  });

  it('takes no half for the whole of a key, whatever the row says', async () => {
    const residentId = await resident();
    const data = { splitAt: null };
    const { splitAt } = await owner.subjectKey.findUniqueOrThrow({ where: { residentId } });
    await owner.subjectKey.update({ where: { residentId }, data });
    await expect(subjects.seal(owner, residentId, Buffer.from('x'), 'here')).rejects.toThrow(SealBroken);
    await owner.subjectKey.update({ where: { residentId }, data: { splitAt } });
  });
});

describe('the key store', () => {
  const WAYS = {
    select: sql`SELECT count(*) FROM subject_key_shares`,
    insert: sql`INSERT INTO subject_key_shares (resident_id, share) VALUES (${randomUUID()}::uuid, ${newKey()})
      ON CONFLICT DO NOTHING`,
    update: sql`UPDATE subject_key_shares SET share = share WHERE false`,
    delete: sql`DELETE FROM subject_key_shares WHERE resident_id = ${randomUUID()}::uuid`,
    truncate: sql`TRUNCATE subject_key_shares`,
    create: sql`CREATE TABLE more (id int)`,
  };

  it.each<[KeyStoreRole, (keyof typeof WAYS)[]]>([
    ['domovoy_keys_api', ['select', 'insert']],
    ['domovoy_keys_smart_home', ['select']],
    ['domovoy_keys_communal', ['select']],
    ['domovoy_keys_core', ['select', 'insert', 'delete']],
  ])('lets %s do what it may and refuses the rest', async (role, may) => {
    const store = openStatements(db.keyStoreUrlFor(role), 1);
    for (const [way, statement] of Object.entries(WAYS)) {
      const done = store.run(statement).then(
        () => 'done',
        (error: unknown) => (error as { code: string }).code,
      );
      expect([way, await done]).toEqual([way, may.includes(way as keyof typeof WAYS) ? 'done' : '42501']);
    }
    await store.close();
  });

  it('gives both of two who make a share at once the same', async () => {
    const id = randomUUID();
    const made = await Promise.all(Array.from({ length: 8 }, () => keyStore.makeShare(id)));
    expect(new Set(made.map((share) => share.toString('hex'))).size).toBe(1);
    await keyStore.destroyShare(id);
  });

  it('fails when it takes a statement and does not answer', async () => {
    const blocker = openStatements(db.keyStoreOwnerUrl, 1);
    const asking = openStatements(db.keyStoreOwnerUrl, 1, 100);
    await expect(asking.run(sql`SELECT pg_sleep(30)`)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await Promise.all([blocker.close(), asking.close()]);
  });
});

describe('keeping the two databases in step', () => {
  const tend = (later: number) =>
    tendKeyStore({ database: core, keyStore: coresOwn, keyEncryption }, new Date(Date.now() + later));
  beforeAll(() => noteComparedWithLedger(core));

  it('destroys the shares of nobody after a day, and those of a database that was put back a day after that', async () => {
    const [there, nobody] = [await resident(), randomUUID()];
    await keyStore.makeShare(nobody);
    expect((await tend(DAY_MS / 2)).removed).toBe(0);
    // Of a dump every row is written by another transaction than it was.
    await owner.$executeRaw`UPDATE restore_checks SET checked_at = now() - interval '9 days'`;
    expect((await tend(2 * DAY_MS)).removed).toBe(0);
    await noteComparedWithLedger(core);
    // A worker that only started again does not begin the day anew.
    const since = () => owner.$queryRaw`SELECT checked_at FROM restore_checks`;
    const first = await since();
    await noteComparedWithLedger(core);
    expect(await since()).toEqual(first);
    expect((await tend(DAY_MS / 2)).removed).toBe(0);
    expect(await keyStore.share(nobody)).not.toBeNull();

    expect((await tend(2 * DAY_MS)).removed).toBeGreaterThanOrEqual(1);
    expect(await keyStore.holding([there, nobody])).toEqual(new Set([there]));
  });

  it('waits for a resident who is being made, and leaves them their share', async () => {
    const id = randomUUID();
    let sweeping: Promise<{ removed: number }> | undefined;
    await owner.$transaction(async (tx) => {
      await tx.resident.create({ data: { id } });
      await subjects.createKey(tx, id);
      // Made long ago, as one that is left of a try before.
      const store = openStatements(db.keyStoreOwnerUrl, 1);
      await store.run(sql`UPDATE subject_key_shares SET created_at = now() - interval '9 days'
        WHERE resident_id = ${id}::uuid`);
      await store.close();
      sweeping = tend(2 * DAY_MS);
      const isWaiting = async () =>
        (
          await owner.$queryRaw<unknown[]>`SELECT FROM pg_locks
          WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
        ).length > 0;
      while (!(await isWaiting()));
    });
    await sweeping;
    expect(await keyStore.share(id)).not.toBeNull();
  });

  it('tells how many keys are lost because the store was put back too old, and not of people who are being erased', async () => {
    const [lost, erased] = [await resident(), await resident()];
    const before = await tend(0);
    await Promise.all([keyStore.destroyShare(lost), keyStore.destroyShare(erased)]);
    await demanded(erased);
    expect((await tend(0)).lost).toBe(before.lost + 1);
    const registry = new Registry();
    const lines: string[] = [];
    const log = createLogger('test', 'info', { write: (line: string) => void lines.push(line) });
    await keepKeyStore(registry, log, { database: core, keyStore: coresOwn, keyEncryption }).close();
    expect(await registry.metrics()).toContain(`domovoy_keys_lost ${(before.lost + 1).toString()}`);
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toContain('keys-lost');
  });
});
