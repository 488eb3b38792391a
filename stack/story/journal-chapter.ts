import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { projectFile } from '../../config/project-root';
import { DATABASE, LOGINS } from '../processes';
import { postgresUrl } from '../postgres';
import type { Stack } from '../stack';
import type { Teller } from './teller';

const run = promisify(execFile);
const NAME = 'journal.jsonl';
/** The schedule signs every minute. */
const SIGNED_WITHIN_MS = 150_000;

/**
 * Waits until everything that the story did is signed, exports the journal as an auditor does, and verifies the file
 * with nothing but itself.
 *
 * @param out folder where `journal.jsonl` is left; without one it is verified and thrown away
 */
export async function tellJournal(teller: Teller, stack: Stack, out: string | undefined): Promise<void> {
  teller.chapter('The journal');
  const folder = out === undefined ? mkdtempSync(join(tmpdir(), 'domovoy-journal-')) : resolve(out);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, NAME);
  // What an earlier story left is of an earlier journal.
  rmSync(file, { force: true });
  const url = postgresUrl(stack.ports.postgres, stack.secrets.auditorDatabase.value, DATABASE, LOGINS.auditor);
  await teller.step(
    {
      name: 'the journal is exported and verified',
      profile: 'journal',
      asked: 'domovoy journal verify, export, verify --file',
      expected: 'valid',
    },
    async () => {
      await allSigned(stack, url);
      await command(['export', '--out', file], url);
      return { outcome: (await command(['verify', '--file', file])).startsWith('valid: ') ? 'valid' : 'not valid' };
    },
  );
  if (out === undefined) rmSync(folder, { recursive: true });
}

async function allSigned(stack: Stack, url: string): Promise<void> {
  for (const untilMs = Date.now() + SIGNED_WITHIN_MS; ;) {
    const said = await command(['verify', '--heads', stack.journalHeads], url).catch(refusalOf);
    if (said.startsWith('NOT VALID') && !said.includes('nothing is signed')) throw new Error(said.trim());
    if (said.includes('\n0 newer entries')) return;
    if (Date.now() > untilMs) throw new Error('the journal was not signed in time');
    await pause(1_000);
  }
}

/** Runs `domovoy journal …` as its user does; only what asks the database has its address. */
async function command(args: readonly string[], databaseUrl?: string): Promise<string> {
  const env = databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl };
  const { stdout } = await run(process.execPath, [projectFile('dist/cli/main.js'), 'journal', ...args], { env });
  return stdout;
}

/** What the command answered when it said no. */
function refusalOf(error: unknown): string {
  const { stderr } = error as { stderr?: unknown };
  if (typeof stderr !== 'string') throw error;
  return stderr;
}
