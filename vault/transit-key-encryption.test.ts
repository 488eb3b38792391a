import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '../sandbox/test-support/running-sandbox';
import { newKey, SealBroken } from './envelope';
import { transitKeyEncryption, TransitFailure } from './transit-key-encryption';

const SPOILT: Partial<Record<string, [status: number, body: string]>> = {
  error: [503, '{"errors":["Vault is sealed"]}'],
  throttle: [429, '{"errors":[]}'],
  garbage: [200, '{"data":{"ciphertext":"plain"'],
};

/**
 * The transit engine's HTTP API as its documentation has it (POST encrypt, decrypt and rewrap, GET keys; a `derived`
 * key, whose context decides; 400 with `errors` for what does not decrypt), over real TLS.
 */
async function startTransit() {
  const authority = await createAuthority('Key service authority');
  const own = await authority.issue('transit');
  const versions = [randomBytes(32)];
  const asked: { path: string; token: string | undefined }[] = [];
  let token = 's.first';
  let fault: 'none' | 'error' | 'throttle' | 'garbage' | 'hang' = 'none';

  const derived = (version: number, context: string): Buffer =>
    createHmac('sha256', versions[version - 1] ?? Buffer.alloc(0))
      .update(context)
      .digest();
  function encrypt(plaintext: string, context: string): string {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', derived(versions.length, context), nonce);
    const sealed = Buffer.concat([nonce, cipher.update(plaintext, 'base64'), cipher.final(), cipher.getAuthTag()]);
    return `vault:v${versions.length.toString()}:${sealed.toString('base64')}`;
  }
  function decrypt(ciphertext: string, context: string): string {
    const [, version = '', text = ''] = /^vault:v(\d+):(.+)$/.exec(ciphertext) ?? [];
    const bytes = Buffer.from(text, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', derived(Number(version), context), bytes.subarray(0, 12));
    decipher.setAuthTag(bytes.subarray(-16));
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('base64');
  }
  function answerTo(path: string, { plaintext = '', ciphertext = '', context = '' }: Record<string, string>): object {
    if (path === '/v1/transit/keys/domovoy') return { latest_version: versions.length, derived: true };
    if (path === '/v1/transit/encrypt/domovoy') return { ciphertext: encrypt(plaintext, context) };
    if (path === '/v1/transit/decrypt/domovoy') return { plaintext: decrypt(ciphertext, context) };
    return { ciphertext: encrypt(decrypt(ciphertext, context), context) };
  }

  const server: Server = createServer({ key: own.key, cert: own.cert }, (req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const path = req.url ?? '';
      asked.push({ path, token: req.headers['x-vault-token']?.toString() });
      const say = (status: number, body: string): void => {
        res.writeHead(status, { 'content-type': 'application/json' }).end(body);
      };
      if (fault === 'hang') return;
      const spoilt = SPOILT[fault];
      if (spoilt) {
        say(...spoilt);
        return;
      }
      if (req.headers['x-vault-token'] !== token) {
        say(403, '{"errors":["permission denied"]}');
        return;
      }
      const body = Buffer.concat(chunks).toString();
      try {
        say(
          200,
          JSON.stringify({ data: answerTo(path, (body === '' ? {} : JSON.parse(body)) as Record<string, string>) }),
        );
      } catch {
        say(400, '{"errors":["cipher: message authentication failed"]}');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const tokenFile = join(mkdtempSync(join(tmpdir(), 'domovoy-transit-')), 'token');
  writeFileSync(tokenFile, `${token}\n`);
  return {
    asked,
    settings: {
      url: `https://localhost:${(server.address() as AddressInfo).port.toString()}`,
      mount: 'transit',
      keyName: 'domovoy',
      caPem: authority.pem,
      tokenFile,
      timeoutMs: 1_000,
    },
    rotate: () => void versions.push(randomBytes(32)),
    become: (next: typeof fault) => (fault = next),
    /** A new token, as an agent writes it. */
    renew(next: string) {
      token = next;
      writeFileSync(tokenFile, next);
    },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('key encryption by a transit engine', () => {
  let transit: Awaited<ReturnType<typeof startTransit>>;
  let keys: ReturnType<typeof transitKeyEncryption>;
  beforeEach(async () => {
    transit = await startTransit();
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
    expect(transit.asked.map(({ token }) => token)).toEqual(['s.first', 's.second']);
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
