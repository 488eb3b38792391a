import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { journalCommand } from '../../cli/journal';
import { logsCommand } from '../../cli/logs';
import { CommandRefusal } from '../../cli/refusal';
import { parseKeyRing } from '../../config/environment';
import { placeEntries } from '../../journal/tree';
import { watch } from '../../monitoring/watch';
import { localKeyEncryption } from '../../vault/key-encryption';
import { openLogSegments } from '../../vault/log-segments';
import { createTestJournal, newDocumentSigner, type TestJournal } from '../support/journal';

const folder = mkdtempSync(join(tmpdir(), 'domovoy-command-'));
let made = 0;
const newFile = (): string => join(folder, `${(made++).toString()}.jsonl`);
const withContent = (content: string | Buffer): string => {
  const file = newFile();
  writeFileSync(file, content);
  return file;
};

describe('the command domovoy journal', () => {
  let journal: TestJournal;
  let printed: string[] = [];
  beforeAll(async () => {
    journal = await createTestJournal();
    await journal.write(['a', 'b', 'c']);
    await journal.seal();
    await journal.write(['d', 'e', 'ü']);
    await journal.seal();
  });
  afterAll(() => journal.close());
  beforeEach(() => {
    printed = [];
    jest.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
  });
  afterEach(() => jest.restoreAllMocks());

  /** @returns what it printed; rejects with its refusal */
  async function run(...args: string[]): Promise<string> {
    printed = [];
    const command = journalCommand();
    for (const part of [command, ...command.commands])
      part.exitOverride().configureOutput({ writeErr: () => undefined });
    await command.parseAsync(args, { from: 'user' });
    return printed.join('\n');
  }
  const asAuditor = (...args: string[]): Promise<string> =>
    run(...args, '--database', journal.db.urlFor('domovoy_auditor'));

  async function exported(): Promise<string> {
    const file = newFile();
    await asAuditor('export', '--out', file);
    return file;
  }

  it('exports as the auditor, and verifies the file without a database', async () => {
    const file = await exported();
    expect(await run('verify', '--file', file, '--key', journal.signer.keyId)).toMatch(
      /^valid: a journal of 6 entries, signed 20\d\d-\S+ by key \S+$/,
    );
    await expect(asAuditor('export', '--out', file)).rejects.toThrow('is there already');
    const opened = asAuditor('export', '--out', newFile(), '--details', 'opened');
    await expect(opened).rejects.toThrow('two members of staff');
  });

  it('says in the journal who takes it out and how much of it, before it does; off hours that is looked at', async () => {
    const takenOut = () =>
      journal.core.journalEntry.findMany({ where: { kind: 'journal-export' }, orderBy: { seq: 'asc' } });
    const before = (await takenOut()).length;
    await exported();
    await asAuditor('export', '--out', newFile(), '--actor', 'staff/canary', '--to', '2999-01-01');
    const actor = 'login/test_domovoy_auditor';
    const [whole, part] = (await takenOut()).slice(before);
    expect(whole).toMatchObject({ actor, integration: null, outcome: 'by-command', reason: 'whole' });
    expect(part).toMatchObject({ actor, integration: null, outcome: 'by-command', reason: 'actor,to' });
    expect(
      JSON.stringify(part, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
    ).not.toContain('canary');
    const { kind, objectId, outcome, reason } = whole as NonNullable<typeof whole>;
    const seen = { type: 'entry', seq: '1', kind, objectId, actor, outcome, reason, integration: null } as const;
    const at = (time: string) => watch({}, [{ ...seen, atMs: Date.parse(time) }]).found;
    expect(at('2026-11-21T09:00:00Z')).toMatchObject([
      { kind: 'off-hours-export', scope: 'journal-export', objectId: actor, evidence: ['1'] },
    ]);
    expect(at('2026-11-20T09:00:00Z')).toEqual([]);
  });

  it('cannot write anything else in it, and is nobody else’s door', async () => {
    for (const [what, part] of [
      ['opening', 'whole'],
      ['journal-export', ''],
      ['journal-export', 'Анна'],
      ['log-reading', 'a '.repeat(20)],
    ]) {
      await expect(journal.auditor.$executeRaw`SELECT note_taken_out(${what}, ${part})`).rejects.toThrow(
        'nothing of this kind',
      );
    }
    await expect(journal.core.$executeRaw`SELECT note_taken_out('log-reading', 'whole')`).rejects.toThrow(
      'permission denied',
    );
  });

  it('decrypts logs as the auditor, after the journal says so, and not without it', async () => {
    const ring = `k1:${randomBytes(32).toString('base64')}`;
    const { keys, currentId } = parseKeyRing(ring);
    const logs = join(folder, 'logs');
    const segments = await openLogSegments({
      folder: logs,
      process: 'api',
      keyEncryption: localKeyEncryption(keys, currentId),
    });
    segments.write('{"event":"request"}\n');
    segments.end();
    const decrypt = async (...args: string[]) => {
      let text = '';
      const output = jest.spyOn(process.stdout, 'write').mockImplementation((piece) => ((text += String(piece)), true));
      const command = logsCommand();
      for (const part of [command, ...command.commands]) part.exitOverride();
      try {
        await command.parseAsync(['decrypt', logs, ...args], { from: 'user' });
      } finally {
        output.mockRestore();
      }
      return text;
    };
    process.env['KEY_ENCRYPTION_KEYS'] = ring;
    const database = ['--database', journal.db.urlFor('domovoy_auditor')];
    expect(await decrypt(...database)).toContain('"event":"request"');
    expect(await decrypt('--only', 'nothing of this', ...database)).toBe('');
    const entries = await journal.core.journalEntry.findMany({
      where: { kind: 'log-reading' },
      orderBy: { seq: 'asc' },
    });
    expect(entries.map(({ actor, outcome, reason }) => [actor, outcome, reason])).toEqual([
      ['login/test_domovoy_auditor', 'by-command', 'whole'],
      ['login/test_domovoy_auditor', 'by-command', 'only'],
    ]);
    await expect(decrypt('--database', journal.db.urlFor('domovoy_smart_home'))).rejects.toThrow(CommandRefusal);

    process.env['KEY_ENCRYPTION_KEYS'] = `k1:${randomBytes(32).toString('base64')}`;
    await expect(decrypt(...database)).rejects.toThrow('NOT READABLE');
    process.env['KEY_ENCRYPTION_KEYS'] = ring;
    await expect(decrypt(join(logs, 'none'), ...database)).rejects.toThrow(CommandRefusal);
    const [name = ''] = readdirSync(logs);
    const file = join(logs, name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^(.*\n.{40})./, '$1_'));
    await expect(decrypt(...database)).rejects.toThrow(`NOT READABLE: ${file}`);
    Reflect.deleteProperty(process.env, 'KEY_ENCRYPTION_KEYS');
    await expect(decrypt(...database)).rejects.toThrow('The key encryption is missing');
  });

  it('names the first line that was changed, taken out, put in or moved', async () => {
    const lines = readFileSync(await exported(), 'utf8').split('\n');
    const verify = (changed: readonly string[]) => run('verify', '--file', withContent(changed.join('\n')));
    await expect(verify(lines.with(3, (lines[3] ?? '').replace('opened', 'denied')))).rejects.toThrow(
      'NOT VALID: line 4 (position 2 of the tree): the entry is not what was signed',
    );
    await expect(verify(lines.toSpliced(5, 1))).rejects.toThrow(
      'line 6 (position 4 of the tree): the entry is not in its place',
    );
    await expect(verify(lines.toSpliced(3, 0, lines[2] ?? ''))).rejects.toThrow('line 4');
    await expect(verify(lines.with(1, lines[6] ?? '').with(6, lines[1] ?? ''))).rejects.toThrow('line 2');
    await expect(verify(lines.slice(0, -1))).rejects.toThrow('line 8: the file does not end with a whole line');
    await expect(verify(lines.toSpliced(6, 1))).rejects.toThrow(
      'line 7 (position 5 of the tree): the entry that belongs here is missing',
    );
  });

  it('exports the entries that a filter takes, each with its proof, and names the first line that is not what was signed', async () => {
    const file = newFile();
    expect(await asAuditor('export', '--out', file, '--object', 'e')).toMatch(/^exported: a part of a journal of 6/);
    expect(await run('verify', '--file', file, '--key', journal.signer.keyId)).toMatch(
      /^valid: 1 entries of a journal of 6 entries[^]*\{"object":"e"\}$/,
    );
    const all = newFile();
    await asAuditor('export', '--out', all, '--from', '2020-01-01');
    const lines = readFileSync(all, 'utf8').split('\n');
    const verify = (changed: readonly string[]) => run('verify', '--file', withContent(changed.join('\n')));
    expect(await verify(lines)).toMatch(/^valid: 6 entries/);
    await expect(verify(lines.with(3, (lines[3] ?? '').replace('opened', 'denied')))).rejects.toThrow('line 4');
    await expect(verify(lines.toSpliced(3, 0, lines[2] ?? ''))).rejects.toThrow('line 4');
    await expect(verify(lines.with(2, lines[4] ?? ''))).rejects.toThrow('line 4');
    await expect(verify(lines.slice(0, -2))).rejects.toThrow('NOT VALID');
    const other = (lines[0] ?? '').replace('2020-01-01', '2999-01-01');
    await expect(verify(lines.with(0, other))).rejects.toThrow('line 2');
    const none = newFile();
    await asAuditor('export', '--out', none, '--integration', 'communal', '--to', '2020-01-01');
    expect(await run('verify', '--file', none)).toMatch(/^valid: 0 entries/);
    const { keyId } = newDocumentSigner();
    await expect(run('verify', '--file', file, '--key', keyId)).rejects.toThrow('not by the key that was asked for');
    await expect(asAuditor('export', '--out', newFile(), '--from', 'yesterday')).rejects.toThrow();
  });

  it('takes bytes that are no text for a change, and any file for a file', async () => {
    const bytes = readFileSync(await exported());
    const at = bytes.indexOf('ü');
    const broken = Buffer.concat([bytes.subarray(0, at), Buffer.of(0xff), bytes.subarray(at + 2)]);
    await expect(run('verify', '--file', withContent(broken))).rejects.toThrow('line 7');
    for (const content of ['', '\n', '{}', '{}\n', '\n\n\n', 'null\nnull\n', Buffer.from([0xff, 0x0a])]) {
      await expect(run('verify', '--file', withContent(content))).rejects.toThrow(CommandRefusal);
    }
    await expect(run('verify', '--file', join(folder, 'not-there'))).rejects.toThrow('cannot be read');
    await expect(run('verify', '--file', folder)).rejects.toThrow('cannot be read');
  });

  it('refuses the key of somebody else', async () => {
    const { keyId } = newDocumentSigner();
    const file = await exported();
    await expect(run('verify', '--file', file, '--key', keyId)).rejects.toThrow(
      'line 8: the head is signed by another key',
    );
    await expect(asAuditor('verify', '--key', keyId)).rejects.toThrow('signed by another key');
  });

  it('proves an entry on paper', async () => {
    const proof = await asAuditor('prove', '2');
    const file = withContent(proof);
    expect(await run('verify', '--proof', file)).toMatch(
      /^valid: at position 1 of a journal of 6 entries[^]*"objectId": "b"/,
    );
    await expect(run('verify', '--proof', withContent(proof.replace('"b"', '"x"')))).rejects.toThrow('NOT VALID');
    await expect(run('verify', '--proof', withContent('not JSON'))).rejects.toThrow('not JSON');
    await expect(asAuditor('prove', '700')).rejects.toThrow('There is no entry 700');
    for (const number of ['0', '-1', 'x', '99999999999999999999']) {
      await expect(asAuditor('prove', number)).rejects.toThrow();
    }
  });

  it('verifies the database, whole or in part, and against the heads outside', async () => {
    const said = await asAuditor('verify', '--heads', journal.headsPath);
    expect(said).toMatch(/^valid: positions 0 to 5/);
    // That it was exported before.
    const newer = Number(/\n(\d+) newer entries/.exec(said)?.[1]);
    expect(await asAuditor('verify', '--from', '3', '--to', '4')).toMatch(/^valid: positions 3 to 5/);
    await expect(asAuditor('verify', '--heads', join(folder, 'none'))).rejects.toThrow('There are no signed heads');
    await journal.write(['new']);
    await placeEntries(journal.core, 10);
    expect(await asAuditor('verify')).toContain(`\n${(newer + 1).toString()} newer entries are not signed yet`);
    await journal.tamper(`UPDATE journal_entries SET outcome = 'denied' WHERE object_id = 'e'`);
    await expect(asAuditor('verify')).rejects.toThrow('NOT VALID: position 4: entry 5 is not what was sealed.');
    await journal.tamper(`UPDATE journal_entries SET outcome = 'opened' WHERE object_id = 'e'`);
  });

  it('says in one sentence that a database is missing, and does not repeat its password', async () => {
    const url = new URL(journal.db.urlFor('domovoy_auditor'));
    url.password = 'canary-password';
    const wrong: unknown = await run('verify', '--database', url.toString()).catch((error: unknown) => error);
    expect(wrong).toBeInstanceOf(CommandRefusal);
    expect(String(wrong)).not.toContain('canary');
    await expect(run('verify', '--database', 'mysql://x')).rejects.toThrow('Say which database');
  });

  it('lets no other role do it', async () => {
    await expect(run('verify', '--database', journal.db.urlFor('domovoy_smart_home'))).rejects.toThrow(CommandRefusal);
  });
});
