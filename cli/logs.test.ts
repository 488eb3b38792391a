import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKey } from '../vault/envelope';
import { localKeyEncryption } from '../vault/key-encryption';
import { openLogSegments } from '../vault/log-segments';
import { logsCommand } from './logs';
import { CommandRefusal } from './refusal';

const key = newKey();
const entitled = { KEY_ENCRYPTION_KEYS: `k1:${key.toString('base64')}` };

/** A folder with a segment of each of two processes. */
async function twoSegments(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-logs-'));
  const keyEncryption = localKeyEncryption(new Map([['k1', key]]), 'k1');
  for (const process of ['api', 'worker-core']) {
    const log = await openLogSegments({ folder, process, keyEncryption });
    for (const id of ['id-1', 'id-2']) log.write(`{"process":"${process}","correlationId":"${id}"}\n`);
    log.flush();
  }
  return folder;
}

/** @returns what it printed; rejects with its refusal */
async function run(env: Record<string, string>, ...args: string[]): Promise<string> {
  let printed = '';
  const print = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text.toString();
    return true;
  });
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    await logsCommand().parseAsync(['decrypt', ...args], { from: 'user' });
    return printed;
  } finally {
    print.mockRestore();
    process.env = before;
  }
}

describe('domovoy logs decrypt', () => {
  it('prints the lines of all segments of a folder, or those that hold a text, to who has the keys', async () => {
    const folder = await twoSegments();
    const lines = (await run(entitled, folder)).split('\n').filter(Boolean);
    expect(lines.map((line) => (JSON.parse(line) as { process: string }).process).toSorted()).toEqual([
      'api',
      'api',
      'worker-core',
      'worker-core',
    ]);
    const some = (await run(entitled, folder, '--only', 'id-2')).split('\n').filter(Boolean);
    expect(some.map((line) => (JSON.parse(line) as { correlationId: string }).correlationId)).toEqual(['id-2', 'id-2']);
  });

  it('shows nothing to who has no keys, or others', async () => {
    const folder = await twoSegments();
    await expect(run({}, folder)).rejects.toThrow('The key encryption is missing');
    const others = { KEY_ENCRYPTION_KEYS: `k1:${newKey().toString('base64')}` };
    await expect(run(others, folder)).rejects.toThrow('NOT READABLE');
  });

  it('names the segment that was changed, and says when there is none', async () => {
    const folder = await twoSegments();
    const [name = ''] = readdirSync(folder);
    const file = join(folder, name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^(.*\n.{40})./, '$1_'));
    await expect(run(entitled, file)).rejects.toThrow(`NOT READABLE: ${file}`);
    await expect(run(entitled, join(folder, 'none'))).rejects.toThrow(CommandRefusal);
  });
});
