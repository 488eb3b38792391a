import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documentSigner, signDocument } from '../vault/document-signature';
import { CommandRefusal } from './refusal';
import { verifyCommand } from './verify';

const folder = mkdtempSync(join(tmpdir(), 'domovoy-verify-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const document = signDocument(documentSigner(key), 'example', { say: 'что угодно' });
const file = join(folder, 'document.json');

/** @returns whether the file with these bytes is accepted */
async function accepts(bytes: Uint8Array | string): Promise<boolean> {
  writeFileSync(file, bytes);
  const print = jest.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    await verifyCommand().parseAsync([file], { from: 'user' });
    return true;
  } catch (error) {
    if (!(error instanceof CommandRefusal)) throw error;
    return false;
  } finally {
    print.mockRestore();
  }
}

describe('domovoy verify', () => {
  it.each([
    ['as the API writes it', JSON.stringify(document)],
    ['with a line feed at its end', `${JSON.stringify(document)}\n`],
    ['laid out for people', `${JSON.stringify(document, null, 2)}\n`],
  ])('accepts a document %s', async (_how, text) => {
    expect(await accepts(text)).toBe(true);
  });

  it.each([
    ['as the API writes it', `${JSON.stringify(document)}\n`],
    ['laid out for people', `${JSON.stringify(document, null, 2)}\n`],
  ])('refuses a document %s after any byte of it is changed, to whatever', async (_how, text) => {
    const accepted: string[] = [];
    for (const [at, byte] of Buffer.from(text).entries()) {
      for (const other of new Set([byte ^ 0x01, byte ^ 0x80, 0x20])) {
        if (other === byte) continue;
        const changed = Buffer.from(text);
        changed[at] = other;
        if (await accepts(changed)) accepted.push(`${at.toString()}: ${byte.toString()} to ${other.toString()}`);
      }
    }
    expect(accepted).toEqual([]);
  });
});
