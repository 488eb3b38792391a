import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { NoteCall } from '../contracts/partner-calls';
import { SealBroken } from './envelope';
import type { KeyEncryption, WrappedKey } from './key-encryption';

/** What kept the key management service from serving. Nothing that was sent or answered is part of it. */
export class TransitFailure extends Error {
  override readonly name = 'TransitFailure';
  /** `underived`: the key is one that takes no notice of places. */
  readonly code: 'unreachable' | 'unauthorized' | 'throttled' | 'failed' | 'misanswered' | 'underived';
  constructor(code: TransitFailure['code']) {
    super(`The key management service did not serve: ${code}.`);
    this.code = code;
  }
}

export type TransitSettings = {
  /** Origin of HashiCorp Vault or OpenBao, https. */
  readonly url: string;
  /** Where the transit engine is mounted. */
  readonly mount: string;
  /** Name of the key: of type aes256-gcm96, `derived`, not exportable. */
  readonly keyName: string;
  /** The only certificate authorities that it is believed by, PEM. */
  readonly caPem: string;
  /** A file with the token; read for each request, because whatever renews the token writes it there. */
  readonly tokenFile: string;
  readonly timeoutMs: number;
  /** Told of each request. */
  readonly note?: NoteCall;
};

/** The service, as the journal names it. */
const TRANSIT = 'transit';

/** Both products write their ciphertexts like this; the number is the version of the key. */
const CIPHERTEXT = /^(?:vault|bao):v(\d+):[A-Za-z0-9+/]+={0,2}$/;
const Encrypted = z.object({ data: z.object({ ciphertext: z.string().regex(CIPHERTEXT) }) });
const Decrypted = z.object({ data: z.object({ plaintext: z.base64() }) });
const Described = z.object({
  data: z.object({ latest_version: z.number().int().positive(), derived: z.boolean() }),
});

const MAX_ANSWER_BYTES = 100_000;
/** How long the newest version of the key is taken for known, milliseconds: it is asked for in each batch of a rewrap. */
const VERSION_KNOWN_MS = 10_000;

/**
 * Key encryption by the transit engine of HashiCorp Vault or OpenBao, over its HTTP API (R0.13): the key-encryption key
 * never leaves it. The place of a data key is the context that its wrapping key is derived from, so that a wrapping that
 * is copied to another place does not open there. Rewrapping is done inside, without the data key coming out.
 */
export function transitKeyEncryption(settings: TransitSettings): KeyEncryption & { close(): Promise<void> } {
  const agent = new Agent({
    connections: 16,
    pipelining: 1,
    connect: { ca: settings.caPem, rejectUnauthorized: true, minVersion: 'TLSv1.2', timeout: settings.timeoutMs },
    maxResponseSize: MAX_ANSWER_BYTES,
  });
  let known: Promise<number> | undefined;
  let newest: { readonly keyId: string; readonly knownUntilMs: number } | undefined;

  async function ask<T>(method: 'GET' | 'POST', path: string, schema: z.ZodType<T>, json?: object): Promise<T> {
    const [operation = ''] = path.split('/');
    const startedMs = performance.now();
    let outcome = 'ok';
    try {
      return await answered(method, path, schema, json);
    } catch (error) {
      outcome = error instanceof TransitFailure ? error.code : 'refused';
      throw error;
    } finally {
      settings.note?.(TRANSIT, operation, outcome, performance.now() - startedMs);
    }
  }

  async function answered<T>(method: 'GET' | 'POST', path: string, schema: z.ZodType<T>, json?: object): Promise<T> {
    const { status, body } = await send(method, path, json);
    // What does not decrypt is a request at fault, in the engine's words.
    if (status === 400 && /^(?:decrypt|rewrap)/.test(path)) throw new SealBroken();
    if (status === 401 || status === 403) throw new TransitFailure('unauthorized');
    if (status === 429) throw new TransitFailure('throttled');
    if (status !== 200) throw new TransitFailure('failed');
    const parsed = schema.safeParse(asJson(body));
    if (!parsed.success) throw new TransitFailure('misanswered');
    return parsed.data;
  }

  async function send(method: 'GET' | 'POST', path: string, json?: object): Promise<{ status: number; body: string }> {
    const token = tokenIn(settings.tokenFile);
    try {
      const answer = await request(`${settings.url}/v1/${settings.mount}/${path}`, {
        method,
        dispatcher: agent,
        headers: { 'x-vault-token': token, 'content-type': 'application/json' },
        body: json ? JSON.stringify(json) : null,
        signal: AbortSignal.timeout(settings.timeoutMs),
      });
      return { status: answer.statusCode, body: await answer.body.text() };
    } catch {
      // The error may quote the request.
      throw new TransitFailure('unreachable');
    }
  }

  const key = encodeURIComponent(settings.keyName);
  const keyIdOf = (version: string): string => `transit/${settings.keyName}/v${version}`;
  const contextOf = (place: string): string => Buffer.from(`wrap/${place}`).toString('base64');
  const wrappedIn = ({ data: { ciphertext } }: z.infer<typeof Encrypted>): WrappedKey => ({
    wrapped: Buffer.from(ciphertext),
    keyId: keyIdOf(CIPHERTEXT.exec(ciphertext)?.[1] ?? ''),
  });
  const ciphertextOf = ({ wrapped, keyId }: WrappedKey): string => {
    const ciphertext = Buffer.from(wrapped).toString();
    const version = CIPHERTEXT.exec(ciphertext)?.[1];
    if (version === undefined || keyId !== keyIdOf(version)) throw new SealBroken();
    return ciphertext;
  };

  /** @returns its newest version. A key that is not derived would ignore the context, and open at every place. */
  async function describedKey(): Promise<number> {
    const { data } = await ask('GET', `keys/${key}`, Described);
    if (!data.derived) throw new TransitFailure('underived');
    return data.latest_version;
  }
  /** Once: a key is made derived or never is. */
  async function assertDerived(): Promise<void> {
    known ??= describedKey();
    await known.catch((error: unknown) => {
      known = undefined;
      throw error;
    });
  }

  return {
    async wrap(plain, place) {
      await assertDerived();
      const question = { plaintext: plain.toString('base64'), context: contextOf(place) };
      return wrappedIn(await ask('POST', `encrypt/${key}`, Encrypted, question));
    },
    async unwrap(wrapped, place) {
      const question = { ciphertext: ciphertextOf(wrapped), context: contextOf(place) };
      const { data } = await ask('POST', `decrypt/${key}`, Decrypted, question);
      return Buffer.from(data.plaintext, 'base64');
    },
    async rewrap(wrapped, place) {
      const question = { ciphertext: ciphertextOf(wrapped), context: contextOf(place) };
      await assertDerived();
      return wrappedIn(await ask('POST', `rewrap/${key}`, Encrypted, question));
    },
    async currentKeyId() {
      if (newest && newest.knownUntilMs > performance.now()) return newest.keyId;
      const keyId = keyIdOf((await describedKey()).toString());
      newest = { keyId, knownUntilMs: performance.now() + VERSION_KNOWN_MS };
      return keyId;
    },
    close: () => agent.close(),
  };
}

function tokenIn(file: string): string {
  try {
    const token = readFileSync(file, 'utf8').trim();
    if (/^[\x21-\x7e]+$/.test(token)) return token;
  } catch {
    // Falls through: a token that cannot be read is none.
  }
  throw new TransitFailure('unauthorized');
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
