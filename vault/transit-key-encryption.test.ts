import { writeFileSync } from 'node:fs';
import { createAuthority } from '../sandbox/test-support/running-sandbox';
import { startTransitStandIn } from '../test/support/transit-stand-in';
import { newKey, SealBroken } from './envelope';
import { transitKeyEncryption, TransitFailure } from './transit-key-encryption';

describe('key encryption by a transit engine', () => {
  let transit: Awaited<ReturnType<typeof startTransitStandIn>>;
  let keys: ReturnType<typeof transitKeyEncryption>;
  beforeEach(async () => {
    transit = await startTransitStandIn();
    keys = transitKeyEncryption(transit.settings);
  });
  afterEach(async () => {
    await transit.close();
    await keys.close();
  });

  it('gives back the key that was wrapped, under an id that names the version', async () => {
    const key = newKey();
    const wrapped = await keys.wrap(key, 'subject_keys/1');
    expect(wrapped.keyId).toBe('transit/domovoy/v1');
    expect(Buffer.from(wrapped.wrapped).includes(key)).toBe(false);
    expect((await keys.unwrap(wrapped, 'subject_keys/1')).equals(key)).toBe(true);
  });

  it('does not open at another place, nor changed, nor under the id of another version', async () => {
    const wrapped = await keys.wrap(newKey(), 'subject_keys/1');
    await expect(keys.unwrap(wrapped, 'subject_keys/2')).rejects.toThrow(SealBroken);
    await expect(keys.rewrap(wrapped, 'subject_keys/2')).rejects.toThrow(SealBroken);
    const changed = Buffer.from(wrapped.wrapped);
    changed.writeUInt8(changed.readUInt8(20) === 65 ? 66 : 65, 20);
    await expect(keys.unwrap({ ...wrapped, wrapped: changed }, 'subject_keys/1')).rejects.toThrow(SealBroken);
    await expect(keys.unwrap({ ...wrapped, keyId: 'transit/domovoy/v2' }, 'subject_keys/1')).rejects.toThrow(
      SealBroken,
    );
    await expect(keys.unwrap({ wrapped: Buffer.from('../../sys'), keyId: 'x' }, 'a')).rejects.toThrow(SealBroken);
  });

  it('wraps anew inside: the data key does not come out, and older wrappings stay readable', async () => {
    const key = newKey();
    const older = await keys.wrap(key, 'here');
    transit.rotate();
    expect((await keys.unwrap(older, 'here')).equals(key)).toBe(true);
    transit.asked.length = 0;
    const newer = await keys.rewrap(older, 'here');
    expect(newer.keyId).toBe(await keys.currentKeyId());
    expect(newer.keyId).toBe('transit/domovoy/v2');
    expect(transit.asked.map(({ path }) => path)).toEqual(['/v1/transit/rewrap/domovoy', '/v1/transit/keys/domovoy']);
    expect((await keys.unwrap(newer, 'here')).equals(key)).toBe(true);
  });

  it('notes each request by what it was for and what came of it, and nothing of what was sent', async () => {
    const noted: unknown[] = [];
    const noting = transitKeyEncryption({
      ...transit.settings,
      note: (system, operation, outcome) => void noted.push([system, operation, outcome]),
    });
    const wrapped = await noting.wrap(newKey(), 'here');
    await noting.currentKeyId();
    await noting.currentKeyId();
    await expect(noting.unwrap(wrapped, 'there')).rejects.toThrow(SealBroken);
    transit.become('error');
    await expect(noting.wrap(newKey(), 'here')).rejects.toThrow(TransitFailure);
    await noting.close();
    expect(noted).toEqual([
      ['transit', 'keys', 'ok'],
      ['transit', 'encrypt', 'ok'],
      ['transit', 'keys', 'ok'],
      ['transit', 'decrypt', 'refused'],
      ['transit', 'encrypt', 'failed'],
    ]);
  });

  it('uses a renewed token with the next request', async () => {
    await keys.wrap(newKey(), 'here');
    transit.renew('s.second');
    await keys.wrap(newKey(), 'here');
    expect([...new Set(transit.asked.map(({ token }) => token))]).toEqual(['s.first', 's.second']);
  });

  it.each([
    ['error', 'failed'],
    ['throttle', 'throttled'],
    ['garbage', 'misanswered'],
    ['hang', 'unreachable'],
  ] as const)('names what kept it from serving, and shows nothing: %s', async (fault, code) => {
    transit.become(fault);
    const failure = await keys.wrap(newKey(), 'canary-place').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TransitFailure);
    expect(failure).toMatchObject({ code });
    expect(JSON.stringify(failure, Object.getOwnPropertyNames(failure))).not.toMatch(/canary|s\.first/);
  });

  it('asks nothing without a token, and says so when the token is refused', async () => {
    const without = transitKeyEncryption({ ...transit.settings, tokenFile: '/nowhere/token' });
    await expect(without.wrap(newKey(), 'here')).rejects.toMatchObject({ code: 'unauthorized' });
    expect(transit.asked).toEqual([]);
    await without.close();
    writeFileSync(transit.settings.tokenFile, 's.wrong');
    await expect(keys.wrap(newKey(), 'here')).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('believes no server but one of its own authority', async () => {
    const { pem } = await createAuthority('Another authority');
    const other = transitKeyEncryption({ ...transit.settings, caPem: pem });
    await expect(other.wrap(newKey(), 'here')).rejects.toMatchObject({ code: 'unreachable' });
    expect(transit.asked).toEqual([]);
    await other.close();
  });
});
