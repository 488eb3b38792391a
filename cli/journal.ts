import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { checkDatabase, type DatabaseFault, type OutsideHead } from '../journal/database-check';
import { exportJournal } from '../journal/export';
import { checkFile, type FileFault } from '../journal/export-lines';
import type { Head } from '../journal/head';
import { HeadInvalid, newestHead } from '../journal/heads';
import { HeadsFolderBroken, openHeadsFolder } from '../journal/heads-folder';
import { checkProof, proveEntry } from '../journal/proof';
import { checkSelection, exportSelection, Filter, isSelection } from '../journal/selection';
import type { Retired } from '../journal/retention';
import { JournalDamaged } from '../journal/tree';
import type { Database } from '../prisma/database';
import { databaseOption, noteTakenOut, withDatabase as withAnyDatabase } from './database';
import { CommandRefusal } from './refusal';
import { isSystemError, piecesOf, readJson } from './text-file';

/** `domovoy journal …`: what auditors do with the journal (R0.11). Only `export`, `prove` and a plain `verify` ask the database. */
export const journalCommand = (): Command =>
  new Command('journal')
    .description('Exports and checks the tamper-evident journal.')
    .addCommand(exportCommand())
    .addCommand(verifyCommand())
    .addCommand(proveCommand());

const keyOption = (): Option =>
  new Option('--key <thumbprint>', 'refuse what any other key signed (RFC 7638 thumbprint)');

const time = (text: string): string => {
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs)) throw new InvalidArgumentError('Not a time.');
  return new Date(atMs).toISOString();
};

type ExportOptions = Filter & { out: string; details: 'sealed' | 'opened'; database?: string };

/** The command has no key to open anything with, and one person at a terminal is not two. */
const TAKES_TWO =
  'Personal details are opened for two members of staff only: propose it at POST /staff/v1/journal-exports and have ' +
  'another approve it.';

const exportCommand = (): Command =>
  new Command('export')
    .description(
      'Writes the journal up to its newest signed head as JSON lines that can be checked offline; with a filter, the ' +
        'entries that it takes, each with its proof. Personal details are in it as ciphertext only.',
    )
    .requiredOption('--out <file>', 'the file to make; it must not be there yet')
    .addOption(
      new Option('--details <how>', 'whether what is personal stays sealed')
        .choices(['sealed', 'opened'])
        .default('sealed'),
    )
    .option('--integration <name>', 'only of this integration')
    .option('--kind <kind>', 'only of this kind, such as opening or exchange')
    .option('--actor <id>', "only what this client, partner's client, member of staff or process caused")
    .option('--object <id>', 'only about this object')
    .option('--subject <pseudonym>', 'only about this person, by the pseudonym that the journal has')
    .option('--from <time>', 'only from this time on', time)
    .option('--to <time>', 'only before this time', time)
    .addOption(databaseOption())
    .action(async ({ out, details, database, ...filter }: ExportOptions) => {
      if (details === 'opened') throw new CommandRefusal(TAKES_TWO);
      const isWhole = Object.keys(filter).length === 0;
      const head = await withDatabase(database, async (reader) => {
        const newest = await signedHead(reader);
        await noteTakenOut(reader, 'journal-export', Object.keys(filter));
        const lines = isWhole ? exportJournal(reader, newest) : exportSelection(reader, newest, Filter.parse(filter));
        await writeLines(out, lines);
        return newest;
      });
      console.log(`exported: ${isWhole ? '' : 'a part of '}${describe(head)}`);
    });

type VerifyOptions = {
  file?: string;
  proof?: string;
  heads?: string;
  from?: number;
  to?: number;
  key?: string;
  database?: string;
};

const verifyCommand = (): Command =>
  new Command('verify')
    .description('Checks the journal: the database, or offline an exported file or the proof of one entry.')
    .addOption(
      new Option('--file <file>', 'an exported journal').conflicts(['proof', 'from', 'to', 'heads', 'database']),
    )
    .addOption(new Option('--proof <file>', 'the proof of an entry').conflicts(['from', 'to', 'heads', 'database']))
    .option('--from <position>', 'first position to check', position)
    .option('--to <position>', 'position to stop before', position)
    .option('--heads <folder>', 'the folder of signed heads outside: the database must agree with all of them')
    .addOption(keyOption())
    .addOption(databaseOption())
    .action(async (options: VerifyOptions) => {
      if (options.file !== undefined) console.log(await verifyFile(options.file, options.key));
      else if (options.proof !== undefined) console.log(verifyProof(options.proof, options.key));
      else console.log(await verifyDatabase(options));
    });

const proveCommand = (): Command =>
  new Command('prove')
    .description('Prints the proof that an entry is in the journal; it is checked with `verify --proof`.')
    .argument('<entry>', "the entry's number", entryNumber)
    .addOption(databaseOption())
    .action(async (seq: bigint, { database }: { database?: string }) => {
      const proof = await withDatabase(database, async (reader) => proveEntry(reader, seq, await signedHead(reader)));
      if (!proof) throw new CommandRefusal(`There is no entry ${seq.toString()} that is signed already.`);
      console.log(JSON.stringify(proof, null, 2));
    });

async function verifyFile(file: string, key: string | undefined): Promise<string> {
  for await (const first of piecesOf(file)) {
    if (isSelection(first)) return verifySelection(file, key);
    break;
  }
  const check = await checkFile(() => piecesOf(file), key);
  if (check.ok) return `valid: ${describe(check.head)}${describeRetired(check.retired)}`;
  const place = check.position === undefined ? '' : ` (position ${check.position.toString()} of the tree)`;
  throw new CommandRefusal(`NOT VALID: line ${check.line.toString()}${place}: ${FILE_FAULTS[check.why]}`);
}

/** What was left out of a part cannot be told from it. */
async function verifySelection(file: string, key: string | undefined): Promise<string> {
  const check = await checkSelection(() => piecesOf(file));
  if (!check.ok) throw new CommandRefusal(`NOT VALID: line ${check.line.toString()} is not what was signed.`);
  const { head, filter, count } = check;
  if (key !== undefined && head.keyId !== key) throw otherKey(head.keyId);
  return `valid: ${count.toString()} entries of ${describe(head)}, with the filter ${JSON.stringify(filter)}`;
}

const FILE_FAULTS: Readonly<Record<FileFault, string>> = {
  'cut-off': 'the file does not end with a whole line.',
  header: 'the header is not that of this journal.',
  'head-signature': 'there is no signed head, or it was changed.',
  'head-other-key': 'the head is signed by another key than the one that was asked for.',
  'entry-changed': 'the entry is not what was signed: it was changed, or another one was put in its place.',
  'entry-not-in-place': 'the entry is not in its place: lines before it were taken out, put in or moved.',
  'entry-missing': 'the entry that belongs here is missing.',
  'retired-unannounced': 'the entries from here on went, and the journal does not say that they did.',
  'line-too-many': 'the journal has no such entry.',
};

function verifyProof(file: string, key: string | undefined): string {
  const proved = checkProof(readJson(file));
  if (!proved) throw new CommandRefusal('NOT VALID: this does not prove that the entry is in a signed journal.');
  const { head, position: at, entry } = proved;
  if (key !== undefined && head.keyId !== key) throw otherKey(head.keyId);
  return `valid: at position ${at.toString()} of ${describe(head)}\n${JSON.stringify(entry, null, 2)}`;
}

async function verifyDatabase({ database, heads, from, to, key }: VerifyOptions): Promise<string> {
  const outside = heads === undefined ? [] : outsideHeads(heads);
  const check = await withDatabase(database, (reader) =>
    checkDatabase(reader, {
      outside,
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
      ...(key !== undefined && { keyId: key }),
    }),
  );
  if (!check.ok) throw new CommandRefusal(`NOT VALID: ${describeFault(check)}`);
  const { head, unsigned, pending } = check;
  return (
    `valid: positions ${check.from.toString()} to ${(check.to - 1).toString()} of ${describe(head)}` +
    `${describeRetired(check.retired)}\n` +
    `${(unsigned + pending).toString()} newer entries are not signed yet.`
  );
}

/** @throws CommandRefusal when the folder is missing, empty or broken: it was named to be looked at */
function outsideHeads(folder: string): OutsideHead[] {
  try {
    const all = openHeadsFolder(folder, { make: false }).all();
    const heads = Array.from(all, ({ treeSize, rootHash, keyId }) => ({ treeSize, rootHash, keyId }));
    if (heads.length > 0) return heads;
  } catch (error) {
    if (error instanceof HeadsFolderBroken) throw new CommandRefusal(`NOT VALID: ${error.message}`);
    if (!isSystemError(error)) throw error;
  }
  throw new CommandRefusal(`There are no signed heads in ${folder}.`);
}

const ENTRY_FAULTS = {
  'entry-changed': 'is not what was sealed',
  'entry-deleted': 'is gone',
  'entry-misdated': 'has a time at which the journal was elsewhere',
} as const;

function describeFault(fault: DatabaseFault): string {
  switch (fault.why) {
    case 'entry-changed':
    case 'entry-deleted':
    case 'entry-misdated':
      return `position ${fault.position.toString()}: entry ${fault.entrySeq.toString()} ${ENTRY_FAULTS[fault.why]}.`;
    case 'place-empty':
      return `position ${fault.position.toString()}: the tree's row for this place is gone.`;
    case 'tree-rewritten':
      return (
        `positions ${fault.from.toString()} to ${(fault.to - 1).toString()}: the tree was rewritten; ` +
        'the heads that were signed before and after say that it was another one.'
      );
    case 'node-changed':
    case 'node-deleted': {
      const what = fault.why === 'node-changed' ? 'is not that of these entries' : 'is gone';
      return `positions ${fault.from.toString()} to ${(fault.to - 1).toString()}: the hash that the tree keeps of them together ${what}.`;
    }
    case 'entry-by-stranger':
      return `entry ${fault.entrySeq.toString()} was not written by a process.`;
    case 'entry-copied':
      return `entry ${fault.entrySeq.toString()} is a copy of another one.`;
    case 'entry-not-in-tree':
      return `entry ${fault.entrySeq.toString()} lies beside the tree: it did not come in the ordinary way.`;
    case 'entry-deleted-unsealed':
      return `entry ${fault.entrySeq.toString()} was taken away before it had a place.`;
    case 'head-invalid':
      return `the head of ${fault.treeSize.toString()} entries is not what was signed.`;
    case 'head-deleted':
      return `the head of ${fault.treeSize.toString()} entries, which the one after it extends, is gone.`;
    case 'head-other-key':
      return `the head of ${fault.treeSize.toString()} entries is signed by another key.`;
    case 'behind-outside':
      return `outside there is a signed head of ${fault.treeSize.toString()} entries that the database does not have.`;
    case 'no-head':
      return 'nothing is signed.';
  }
}

const describe = ({ treeSize, at, keyId }: Head): string =>
  `a journal of ${treeSize.toString()} entries, signed ${at} by key ${keyId}`;

const describeRetired = (months: readonly Retired[]): string =>
  months
    .map(
      ({ month, entries, treeSize }) =>
        `\n${entries.toString()} entries of ${month} went after their term, under the head of ${treeSize.toString()} entries.`,
    )
    .join('');

const otherKey = (keyId: string): CommandRefusal =>
  new CommandRefusal(`NOT VALID: signed by key ${keyId}, not by the key that was asked for.`);

/** @throws CommandRefusal when nothing is signed, or what is there is not valid */
async function signedHead(database: Database): Promise<Head> {
  const head = await newestHead(database);
  if (!head) throw new CommandRefusal('Nothing is signed yet.');
  return head;
}

/** What the command asks of the database; a journal that is not what was signed is a finding, not a failure. */
async function withDatabase<T>(url: string | undefined, work: (database: Database) => Promise<T>): Promise<T> {
  try {
    return await withAnyDatabase(url, work);
  } catch (error) {
    if (error instanceof JournalDamaged || error instanceof HeadInvalid) {
      throw new CommandRefusal(`NOT VALID: ${error.message} Run \`domovoy journal verify\`.`);
    }
    throw error;
  }
}

/** Several lines a write; on the disk when it returns. */
async function writeLines(file: string, lines: AsyncIterable<string>): Promise<void> {
  const handle = openNew(file);
  try {
    let text = '';
    for await (const line of lines) {
      text += `${line}\n`;
      if (text.length < 1_000_000) continue;
      writeSync(handle, text);
      text = '';
    }
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function openNew(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch {
    throw new CommandRefusal(`The file cannot be made, or is there already: ${file}`);
  }
}

function position(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('It is not a position.');
  return value;
}

function entryNumber(text: string): bigint {
  const value = /^\d{1,19}$/.test(text) ? BigInt(text) : -1n;
  if (value < 1n || value > 9_223_372_036_854_775_807n)
    throw new InvalidArgumentError('It is not the number of an entry.');
  return value;
}
