import { writeFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { contractOfRecording, contractOfServer, type Contract } from '../test/support/transit-contract';
import { SealBroken } from './envelope';
import { transitKeyEncryption } from './transit-key-encryption';

/** The same each time, so that what is asked is what was asked when it was recorded. */
const KEY = Buffer.alloc(32, 7);

// The recording is replayed in any case, so that it stays what this adapter asks. The server's turn may begin with a download.
describe.each([
  ['a server, where one can be had', contractOfServer],
  ['what a server said', contractOfRecording],
])('the contract with %s', (_of, start) => {
  let contract: Contract;
  let keys: ReturnType<typeof transitKeyEncryption>;
  beforeAll(async () => {
    contract = await start();
  }, 600_000);
  beforeEach(async () => {
    await contract.begin((expect.getState().currentTestName ?? '').replace(/^.*: /, ''));
    keys = transitKeyEncryption(contract.settings);
  });
  afterEach(async () => {
    await keys.close();
    expect(contract.strayed()).toEqual([]);
  });
  afterAll(() => contract.close());

  it('is kept: a key is wrapped and opened by the rights that operations.md asks for, and by no other', async () => {
    const wrapped = await keys.wrap(KEY, 'subject_keys/1');
    expect(wrapped.keyId).toBe('transit/domovoy/v1');
    expect(Buffer.from(wrapped.wrapped).includes(KEY)).toBe(false);
    expect((await keys.unwrap(wrapped, 'subject_keys/1')).equals(KEY)).toBe(true);

    const another = transitKeyEncryption({ ...contract.settings, keyName: 'another' });
    await expect(another.wrap(KEY, 'subject_keys/1')).rejects.toMatchObject({ code: 'unauthorized' });
    await another.close();
    for (const path of ['keys/domovoy/rotate', 'keys/domovoy/config', 'keys/another', 'encrypt/another']) {
      expect(await statusOf('POST', `transit/${path}`)).toBe(403);
    }
    expect(await statusOf('GET', 'transit/export/encryption-key/domovoy')).toBe(403);
  });

  it('is kept: a wrapped key does not open at another place, nor changed', async () => {
    const wrapped = await keys.wrap(KEY, 'subject_keys/1');
    await expect(keys.unwrap(wrapped, 'subject_keys/2')).rejects.toThrow(SealBroken);
    await expect(keys.rewrap(wrapped, 'subject_keys/2')).rejects.toThrow(SealBroken);
    const changed = Buffer.from(wrapped.wrapped);
    changed.writeUInt8(changed.readUInt8(20) === 65 ? 66 : 65, 20);
    await expect(keys.unwrap({ ...wrapped, wrapped: changed }, 'subject_keys/1')).rejects.toThrow(SealBroken);
  });

  it('is kept: of a key that takes no notice of places nothing is wrapped', async () => {
    await contract.operate((engine) => engine.beginAnew({ derived: false }));
    await expect(keys.wrap(KEY, 'here')).rejects.toMatchObject({ code: 'underived' });
    await expect(keys.currentKeyId()).rejects.toMatchObject({ code: 'underived' });
  });

  it('is kept: after a rotation the older opens and is wrapped anew, until the key leaves it behind', async () => {
    const older = await keys.wrap(KEY, 'here');
    await contract.operate((engine) => engine.rotate());
    expect((await keys.unwrap(older, 'here')).equals(KEY)).toBe(true);
    const newer = await keys.rewrap(older, 'here');
    expect(newer.keyId).toBe('transit/domovoy/v2');
    expect(await keys.currentKeyId()).toBe('transit/domovoy/v2');
    await contract.operate((engine) =>
      engine.operate('POST', 'transit/keys/domovoy/config', { min_decryption_version: 2 }),
    );
    await expect(keys.unwrap(older, 'here')).rejects.toThrow(SealBroken);
    expect((await keys.unwrap(newer, 'here')).equals(KEY)).toBe(true);
  });

  it('is kept: without the rights, and with a token that was revoked, everything is refused by name', async () => {
    const wrapped = await keys.wrap(KEY, 'here');
    await contract.operate((engine) => engine.operate('POST', 'auth/token/revoke', { token: contract.tokens.revoked }));
    for (const token of [contract.tokens.other, contract.tokens.revoked]) {
      writeFileSync(contract.settings.tokenFile, token);
      const work = [
        () => keys.wrap(KEY, 'here'),
        () => keys.unwrap(wrapped, 'here'),
        () => keys.rewrap(wrapped, 'here'),
        () => keys.currentKeyId(),
      ];
      for (const each of work) await expect(each()).rejects.toMatchObject({ code: 'unauthorized' });
    }
    writeFileSync(contract.settings.tokenFile, contract.tokens.documented);
    expect((await keys.unwrap(wrapped, 'here')).equals(KEY)).toBe(true);
  });

  it('is kept: sealed it has failed, asked too often it throttles, and then it serves again', async () => {
    const wrapped = await keys.wrap(KEY, 'here');
    await contract.operate((engine) => engine.operate('POST', 'sys/seal'));
    await expect(keys.unwrap(wrapped, 'here')).rejects.toMatchObject({ code: 'failed' });
    await contract.operate((engine) => engine.unseal());

    const limit = 'sys/quotas/rate-limit/slow';
    await contract.operate((engine) => engine.operate('POST', limit, { path: 'transit', rate: 1, interval: '1h' }));
    await keys.unwrap(wrapped, 'here');
    await expect(keys.unwrap(wrapped, 'here')).rejects.toMatchObject({ code: 'throttled' });
    await contract.operate((engine) => engine.operate('DELETE', limit));
    expect((await keys.unwrap(wrapped, 'here')).equals(KEY)).toBe(true);
  });

  it('is kept: when it is gone, that is what is said', async () => {
    await contract.stop();
    await expect(keys.wrap(KEY, 'here')).rejects.toMatchObject({ code: 'unreachable' });
  });

  /** Asks past the adapter, as whoever stole its token would. */
  async function statusOf(method: 'GET' | 'POST', path: string): Promise<number> {
    const dispatcher = new Agent({ connect: { ca: contract.settings.caPem } });
    const headers = { 'x-vault-token': contract.tokens.documented };
    const { statusCode, body } = await request(`${contract.settings.url}/v1/${path}`, { dispatcher, method, headers });
    await body.dump();
    await dispatcher.close();
    return statusCode;
  }
});
