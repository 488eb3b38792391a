import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ERASURE_BASES, HOLD_REASONS } from '../contracts/erasure';

/** A demand as the ledger has it: enough to take it up where a restored database has lost it. */
const Demand = z.object({
  erasureId: z.uuid(),
  basis: z.enum(ERASURE_BASES),
  requestedAt: z.iso.datetime(),
  dueAt: z.iso.datetime(),
  /** A hold is not lost with the rows that a backup does not have. */
  holdReason: z.enum(HOLD_REASONS).nullable(),
  /** When the rows and the key were destroyed: backups of before have them until they are destroyed themselves. */
  erasedAt: z.iso.datetime().nullable(),
});
export type LedgerDemand = z.infer<typeof Demand>;

/** An act as it was signed, with what it takes to put it back. */
const Act = z.object({
  erasureId: z.uuid(),
  version: z.number().int().min(1),
  issuedAt: z.iso.datetime(),
  document: z.record(z.string(), z.unknown()),
});
export type LedgerAct = z.infer<typeof Act>;

/**
 * Who demanded to be erased, and the acts of those who were, outside of the database: when an old backup is restored,
 * their data comes back, and with this it is erased again and the acts are there. It has hashes of random ids and what
 * acts may say; nobody is found by it who is not looked for by the id itself. A file for each, put in place whole, so
 * that several processes may write and none is ever half there.
 */
export type ErasureLedger = {
  /** On the disk when this returns; what was entered of the person before is replaced. */
  enter(residentId: string, demand: LedgerDemand): void;
  /** By {@link residentHash}; `null`: of the person nothing is known but that they were erased. */
  demands(): ReadonlyMap<string, LedgerDemand | null>;
  /** Keeps an act for its time; on the disk when this returns. */
  keep(act: LedgerAct): void;
  acts(): LedgerAct[];
  /**
   * Lets go of demands that were carried out before any backup that there still is, and of acts that outlived their term.
   *
   * @returns how many files went
   */
  retire(before: { readonly erasedAt: Date; readonly actIssuedAt: Date }): number;
};

const DEMANDS = 'demands';
const ACTS = 'acts';
/** What this was before it had a file for each: lines, written when the destruction began. Read, and written no more. */
const LINES = 'erased.jsonl';
const Line = z.object({ at: z.string(), erasureId: z.string(), resident: z.string() });

export const residentHash = (residentId: string): string =>
  createHash('sha256').update(residentId.toLowerCase()).digest('hex');

/** @param path folder; best one that is not restored together with the database */
export function openErasureLedger(path: string): ErasureLedger {
  const [demands, acts, lines] = [join(path, DEMANDS), join(path, ACTS), join(path, LINES)];
  for (const folder of [path, demands, acts]) mkdirSync(folder, { recursive: true, mode: 0o700 });

  return {
    enter(residentId, demand) {
      putInPlace(demands, `${residentHash(residentId)}.json`, JSON.stringify(demand));
    },
    demands() {
      const old = linesOf(lines).map(({ resident }) => [resident, null] as const);
      const entered = namesIn(demands).map((name) => {
        const demand = parsed(Demand, textOf(join(demands, name)));
        return [name.replace(/\.json$/, ''), demand] as const;
      });
      return new Map([...old, ...entered]);
    },
    keep(act) {
      putInPlace(acts, `${act.erasureId}-${act.version.toString()}.json`, JSON.stringify(act));
    },
    acts: () =>
      namesIn(acts)
        .flatMap((name) => parsed(Act, textOf(join(acts, name))) ?? [])
        .toSorted((a, b) => a.version - b.version),
    retire({ erasedAt, actIssuedAt }) {
      const isOver = (at: string | null | undefined, before: Date): boolean =>
        at !== null && at !== undefined && new Date(at) < before;
      const over = [
        ...namesIn(demands)
          .map((name) => join(demands, name))
          .filter((file) => isOver(parsed(Demand, textOf(file))?.erasedAt, erasedAt)),
        ...namesIn(acts)
          .map((name) => join(acts, name))
          .filter((file) => isOver(parsed(Act, textOf(file))?.issuedAt, actIssuedAt)),
      ];
      const newest = linesOf(lines).at(-1);
      // When those of before were carried out is not known: they stay for as long as their acts.
      if (newest && isOver(newest.at, actIssuedAt)) over.push(lines);
      for (const file of over) rmSync(file, { force: true });
      return over.length;
    },
  };
}

/** Whole or not at all, and on the disk when it returns. */
function putInPlace(folder: string, name: string, text: string): void {
  if (textOf(join(folder, name)) === text) return;
  const draft = join(folder, `.${name}.${randomUUID()}`);
  const handle = openSync(draft, 'wx', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(draft, join(folder, name));
  const entry = openSync(folder, 'r');
  try {
    fsyncSync(entry);
  } finally {
    closeSync(entry);
  }
}

const namesIn = (folder: string): string[] => readdirSync(folder).filter((name) => /^[^.].*\.json$/.test(name));

function parsed<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

const linesOf = (file: string): z.infer<typeof Line>[] =>
  textOf(file)
    .split('\n')
    .flatMap((line) => parsed(Line, line) ?? []);

/** Empty when there is none, or it was retired meanwhile. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return '';
    throw error;
  }
}
