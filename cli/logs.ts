import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { readLogReaderConfiguration } from '../config/environment';
import { createKeyEncryption } from '../config/key-encryption';
import type { KeyEncryption } from '../vault/key-encryption';
import { readLogSegment, SEGMENT_SUFFIX, SegmentBroken } from '../vault/log-segments';
import { databaseOption, noteTakenOut, withDatabase } from './database';
import { CommandRefusal } from './refusal';

/** `domovoy logs …`: for whoever is entitled to the keys that logs rest under (R2.5). */
export const logsCommand = (): Command =>
  new Command('logs').description('Reads logs that rest encrypted.').addCommand(decryptCommand());

const decryptCommand = (): Command =>
  new Command('decrypt')
    .description(
      'Prints the lines of segments; wants the key encryption that the processes have (KEY_ENCRYPTION…), and the ' +
        'database, whose journal says first that they are read.',
    )
    .argument('<files...>', 'segments, or folders of them')
    .option('--only <text>', 'only lines that hold this text, such as the id of a request')
    .addOption(databaseOption())
    .action(async (paths: string[], { only, database }: { only?: string; database?: string }) => {
      const keyEncryption = entitledTo();
      const files = paths.flatMap(segmentsIn);
      const part = only === undefined ? [] : ['only'];
      await withDatabase(database, (journal) => noteTakenOut(journal, 'log-reading', part));
      for (const file of files) await print(file, keyEncryption, only);
    });

/** @throws CommandRefusal */
function entitledTo(): KeyEncryption {
  try {
    const { settings, secrets } = readLogReaderConfiguration(process.env);
    return createKeyEncryption(settings, secrets);
  } catch {
    throw new CommandRefusal('The key encryption is missing: KEY_ENCRYPTION_KEYS_FILE, or KEY_ENCRYPTION=transit.');
  }
}

/** In the order in which they were begun, which their names say. */
function segmentsIn(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => name.endsWith(SEGMENT_SUFFIX));
    return names.toSorted().map((name) => join(path, name));
  } catch {
    throw new CommandRefusal(`There is nothing to read at ${path}.`);
  }
}

async function print(file: string, keyEncryption: KeyEncryption, only: string | undefined): Promise<void> {
  try {
    for await (const text of readLogSegment(file, keyEncryption)) {
      const lines = only === undefined ? text : linesWith(text, only);
      if (lines !== '') process.stdout.write(lines);
    }
  } catch (error) {
    if (error instanceof SegmentBroken) throw new CommandRefusal(`NOT READABLE: ${file}: ${error.message}`);
    throw error;
  }
}

/** A frame holds whole lines. */
const linesWith = (text: string, only: string): string =>
  text
    .split('\n')
    .filter((line) => line.includes(only))
    .map((line) => `${line}\n`)
    .join('');
