import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * Who was erased, outside of the database: when an old backup is restored, their data comes back, and with this it is
 * erased again. Hashes of random ids only; nobody is found by them who is not looked for by the id itself.
 */
export type ErasureLedger = {
  /** Adds a line; it is on the disk when this returns. */
  enter(residentId: string, erasureId: string): void;
  hashes(): ReadonlySet<string>;
};

const Line = z.object({ at: z.string(), erasureId: z.string(), resident: z.string() });
const FILE = 'erased.jsonl';

export const residentHash = (residentId: string): string =>
  createHash('sha256').update(residentId.toLowerCase()).digest('hex');

/** @param path folder; best one that is not restored together with the database */
export function openErasureLedger(path: string): ErasureLedger {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const file = join(path, FILE);
  const hashes = (): ReadonlySet<string> => new Set(linesOf(file).map(({ resident }) => resident));
  return {
    enter(residentId, erasureId) {
      const resident = residentHash(residentId);
      if (hashes().has(resident)) return;
      const handle = openSync(file, 'a', 0o600);
      try {
        // A line that a crash cut off is ended first, so that it spoils no other.
        writeSync(handle, `\n${JSON.stringify({ at: new Date().toISOString(), erasureId, resident })}\n`);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    },
    hashes,
  };
}

function linesOf(file: string): z.infer<typeof Line>[] {
  return textOf(file)
    .split('\n')
    .flatMap((line) => {
      try {
        return [Line.parse(JSON.parse(line))];
      } catch {
        return [];
      }
    });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return '';
    throw error;
  }
}
