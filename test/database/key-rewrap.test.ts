import { randomBytes, randomUUID } from 'node:crypto';
import { createKeyRewrapActivities } from '../../activities/key-rewrap';
import { openDatabase, type Database } from '../../prisma/database';
import { findOpenBao } from '../../stack/openbao/find';
import { newKey } from '../../vault/envelope';
import { localKeyEncryption, type KeyEncryption } from '../../vault/key-encryption';
import { openKeyStore, type KeyStore } from '../../vault/key-store';
import { WRAPPED_TABLES } from '../../vault/rewrap';
import { createSecretStore } from '../../vault/secrets';
import { createSealedFiles } from '../../vault/sealed-files';
import { createPhotoStage } from '../../vault/staged-photos';
import { createSubjectVault } from '../../vault/subject-keys';
import { createOwnKeyStore, newOwnKey } from '../../vault/own-keys';
import { transitKeyEncryption } from '../../vault/transit-key-encryption';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { startTransitEngine } from '../support/transit-engine';
import { startTransitStandIn } from '../support/transit-stand-in';

const oldKey = newKey();
const nextKey = newKey();
const both = new Map([
  ['old', oldKey],
  ['next', nextKey],
]);
const before = localKeyEncryption(new Map([['old', oldKey]]), 'old');
const during = localKeyEncryption(both, 'next');
const after = localKeyEncryption(new Map([['next', nextKey]]), 'next');

const RESIDENTS = 120;
const PHOTO = randomBytes(2_000);
const TOKEN_KEY = newOwnKey();
const FILE = randomUUID();

let db: TestDatabase;
let owner: Database;
let core: Database;
let keyStore: KeyStore;
let enrollmentId: string;
const residents = Array.from({ length: RESIDENTS }, () => randomUUID());

beforeEach(async () => {
  db = await createTestDatabase();
  owner = openDatabase(db.ownerUrl, 3);
  core = openDatabase(db.urlFor('domovoy_core'), 3);
  keyStore = openKeyStore(db.keyStoreOwnerUrl, 2);
  await owner.resident.createMany({ data: residents.map((id) => ({ id })) });
  enrollmentId = await anEnrollment(residents[0] ?? '');
});
afterEach(async () => {
  await core.$disconnect();
  await owner.$disconnect();
  await keyStore.close();
  await db.drop();
});

/** Something in every table that holds wrapped keys. */
async function fill(keyEncryption: KeyEncryption): Promise<void> {
  const subjects = createSubjectVault(keyEncryption, keyStore);
  for (const id of residents) await subjects.createKey(owner, id);
  await createPhotoStage(keyEncryption).put(owner, { enrollmentId, integration: 'smart-home', bytes: PHOTO });
  await createOwnKeyStore(keyEncryption, 'token').adopt(owner, [TOKEN_KEY]);
  await createSealedFiles(keyEncryption).put(owner, { id: FILE, mediaType: 'application/pdf', content: PHOTO });
  const store = createSecretStore(keyEncryption);
  for (const value of ['first', 'second']) {
    await store.put(owner, { owner: 'p', name: 'password', integration: 'smart-home', value });
  }
}

async function anEnrollment(residentId: string): Promise<string> {
  const integration = 'smart-home';
  await owner.partner.create({
    data: { id: 'p', integration, displayName: 'P', custody: 'partner', profile: {}, agreedFields: [] },
  });
  const house = await owner.house.create({ data: { id: randomUUID() } });
  const form = { id: 'f', version: 1, textRu: '', textEn: '', sha256: '', purposes: [], validForDays: 1 };
  await owner.consentForm.create({ data: form });
  const shared = { residentId, partnerId: 'p', integration };
  const consent = await owner.consent.create({
    data: { ...shared, id: randomUUID(), formId: 'f', formSha256: '', status: 'granted', expiresAt: new Date() },
  });
  const { id } = await owner.enrollment.create({
    data: { ...shared, id: randomUUID(), consentId: consent.id, houseId: house.id, state: 'requested' },
  });
  return id;
}

/** What the workflow does, one batch after another. @returns how many rows are left under another key */
async function rewrapAll(keyEncryption: KeyEncryption): Promise<number> {
  const activities = createKeyRewrapActivities({ database: core, keyEncryption });
  let rewrapped = 0;
  for (const table of WRAPPED_TABLES) {
    for (let some = await activities.rewrapSome(table); some > 0; some = await activities.rewrapSome(table)) {
      rewrapped += some;
    }
  }
  return activities.concludeRewrap(rewrapped);
}

async function readEverything(keyEncryption: KeyEncryption): Promise<void> {
  const [resident = ''] = residents;
  const subjects = createSubjectVault(keyEncryption, keyStore);
  const sealed = await subjects.seal(owner, resident, Buffer.from('x'), 'here');
  expect((await subjects.open(owner, resident, sealed, 'here')).toString()).toBe('x');
  expect(await createSecretStore(keyEncryption).get(owner, 'p', 'password')).toBe('second');
  expect(await createOwnKeyStore(keyEncryption, 'token').usable(owner)).toEqual([TOKEN_KEY]);
  expect((await createPhotoStage(keyEncryption).take(owner, enrollmentId))?.equals(PHOTO)).toBe(true);
  expect((await createSealedFiles(keyEncryption).read(owner, FILE)).equals(PHOTO)).toBe(true);
}

describe('replacing the key-encryption key', () => {
  beforeEach(() => fill(before));

  it('leaves everything readable before, while and after it is wrapped anew, and nothing under the old key', async () => {
    await readEverything(during);
    expect(await rewrapAll(during)).toBe(0);
    await readEverything(during);
    await readEverything(after);
    await expect(createSecretStore(before).get(owner, 'p', 'password')).rejects.toThrow('could not be opened');
  });

  it('does not change what is sealed: a value sealed before opens afterwards', async () => {
    const [resident = ''] = residents;
    const sealed = await createSubjectVault(before, keyStore).seal(owner, resident, Buffer.from('name'), 'profile');
    await rewrapAll(during);
    expect((await createSubjectVault(after, keyStore).open(owner, resident, sealed, 'profile')).toString()).toBe(
      'name',
    );
  });

  it('serves readers all the time', async () => {
    const over = new AbortController();
    const reading = (async () => {
      let reads = 0;
      for (; !over.signal.aborted; reads++) await readEverything(during);
      return reads;
    })();
    await rewrapAll(during);
    over.abort();
    expect(await reading).toBeGreaterThan(0);
  });

  it('is done once when two work at it, and finds nothing to do the next time', async () => {
    expect(await Promise.all([rewrapAll(during), rewrapAll(during)])).toEqual([0, 0]);
    await readEverything(after);
    const entries = () => owner.journalEntry.count({ where: { kind: 'key-encryption' } });
    const known = await entries();
    await rewrapAll(during);
    expect(await entries()).toBe(known);
  });

  it('does not overwrite what somebody else has written meanwhile', async () => {
    const store = createSecretStore(during);
    const slow: KeyEncryption = {
      ...during,
      async rewrap(wrapped, place) {
        await owner.$executeRaw`UPDATE secrets SET state = 'retired', wrapped = NULL WHERE version = 2`;
        return during.rewrap(wrapped, place);
      },
    };
    await createKeyRewrapActivities({ database: core, keyEncryption: slow }).rewrapSome('secrets');
    await expect(store.read(owner, { owner: 'p', name: 'password' }, 2)).rejects.toThrow('There is no version 2');
  });
});

describe('rotating the key of a transit engine', () => {
  let engine: { settings: Parameters<typeof transitKeyEncryption>[0]; rotate(): unknown; close(): Promise<unknown> };
  beforeAll(async () => {
    const program = await findOpenBao(process.env, () => undefined);
    engine = program === null ? await startTransitStandIn() : await startTransitEngine(program);
  });
  afterAll(() => engine.close());

  it('leaves everything readable before, while and after it is wrapped anew, and nothing under the old version', async () => {
    // One for each process: which version is the newest is remembered for a while.
    const [writing, reading, rewrapping] = [1, 2, 3].map(() => transitKeyEncryption(engine.settings));
    if (!writing || !reading || !rewrapping) throw new Error('no keys');
    await fill(writing);
    await engine.rotate();
    await readEverything(reading);
    expect(await owner.subjectKey.count({ where: { keyId: 'transit/domovoy/v1' } })).toBe(RESIDENTS);
    expect(await rewrapAll(rewrapping)).toBe(0);
    await readEverything(reading);
    expect(await owner.subjectKey.count({ where: { keyId: 'transit/domovoy/v2' } })).toBe(RESIDENTS);
    await Promise.all([writing, reading, rewrapping].map((each) => each.close()));
  });
});
