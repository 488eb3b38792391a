import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '../../sandbox/test-support/running-sandbox';

const SPOILT: Partial<Record<string, [status: number, body: string]>> = {
  error: [503, '{"errors":["Vault is sealed"]}'],
  throttle: [429, '{"errors":[]}'],
  garbage: [200, '{"data":{"ciphertext":"plain"'],
};

/**
 * A stand-in that fails as a real engine cannot be made to: the transit engine's HTTP API as its documentation has it
 * (POST encrypt, decrypt and rewrap, GET keys; a `derived` key, whose context decides; 400 with `errors` for what does
 * not decrypt), over real TLS. That a real one says the same is what vault/transit-contract.test.ts shows.
 */
export async function startTransitStandIn() {
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
