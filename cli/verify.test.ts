import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CERTIFICATE_TYPE } from '../contracts/erasure-certificate';
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

/** @returns what it prints of an act in this form, of which it says nothing but this of backups */
async function saidOfAct(form: string, backups: object | undefined): Promise<string> {
  const at = '2026-11-21T09:00:00.000Z';
  const id = '20e93229-676b-8b13-84be-b41f4bb43c4c';
  const entry = { entry: '1', at, event: 'certified', subject: id, category: null, system: 'Domovoy', reason: 'x' };
  const act = {
    ...{ schema_version: form, certificate_id: id, version: 1, issued_at: at, keep_until: at, processors: [] },
    operator: { name: 'Оператор', address: null },
    subject: { request_id: id, pseudonym: null },
    performed_by: { system: 'Domovoy', position: 'process', signature: 'electronic' },
    reason: { basis: 'stop-processing', law: '152-FZ' },
    ...{ requested_at: at, destroyed_at: at, destroyed: [], holders: [], ...(backups && { backups }) },
    search: { searched_at: at, places: 1, found: 0, kept: [] },
    journal_extract: [entry],
  };
  writeFileSync(file, JSON.stringify(signDocument(documentSigner(key), CERTIFICATE_TYPE, act)));
  const print = jest.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    await verifyCommand().parseAsync([file], { from: 'user' });
    return print.mock.calls.join('\n');
  } finally {
    print.mockRestore();
  }
}

describe('domovoy verify', () => {
  it('tells of acts of every form what they say of backups, and no more', async () => {
    const hold = '2026-12-21T09:00:00.000Z';
    const said = { key_destroyed_at: '2026-11-21T09:00:00.000Z', retention_days: 30, hold_until: hold, statement: 's' };
    expect(await saidOfAct('RKN-179-2022/1', undefined)).toContain('opens from no backup: not said');
    expect(await saidOfAct('RKN-179-2022/2', said)).toContain(`opens from no backup: from ${hold} on`);
    const [share, nothing] = ['2026-11-21T09:00:01.000Z', '2026-11-28T09:00:01.000Z'];
    const halves = { share_destroyed_at: share, key_store_retention_days: 7, key_store_hold_until: nothing };
    expect(
      await saidOfAct('RKN-179-2022/3', { ...said, ...halves, whole_key_until: null, opens_nothing_from: nothing }),
    ).toContain(`opens from no backup: from ${nothing} on`);
  });

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
