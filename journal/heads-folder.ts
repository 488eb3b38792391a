import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { checkHead, type Head } from './head';

/**
 * The place outside where signed heads go: one line each, a file a month. Whoever rewrites the database has to rewrite
 * this, too, and every copy of it; so it belongs where the database's administrators cannot write.
 */
export type HeadsFolder = {
  /** The newest head in the folder. @throws HeadsFolderBroken when what is there is no head of ours */
  last(): Head | null;
  /** Adds a head at the end; it is on the disk when this returns. */
  append(head: Head): void;
  /** All heads, oldest first, one at a time: in years there are many. @throws HeadsFolderBroken */
  all(): Iterable<Head>;
};

export class HeadsFolderBroken extends Error {
  override readonly name = 'HeadsFolderBroken';
}

const FILE = /^heads-\d{4}-\d\d\.jsonl$/;
/** Longer than any line: a head holds at most some hundred hashes. */
const TAIL_BYTES = 64 * 1024;

/** @param options.make whether to make the folder when it is not there, as who writes to it does */
export function openHeadsFolder(path: string, options: { make: boolean } = { make: true }): HeadsFolder {
  if (options.make) mkdirSync(path, { recursive: true, mode: 0o700 });
  const files = (): string[] =>
    readdirSync(path)
      .filter((name) => FILE.test(name))
      .sort()
      .map((name) => join(path, name));
  return {
    last() {
      for (const file of files().reverse()) {
        const line = wholeLines(tailOf(file)).at(-1);
        if (line !== undefined) return parse(line, file);
      }
      return null;
    },
    append(head) {
      appendLine(join(path, `heads-${head.at.slice(0, 7)}.jsonl`), JSON.stringify(head.document));
    },
    *all() {
      for (const file of files()) for (const line of wholeLines(readFileSync(file))) yield parse(line, file);
    },
  };
}

/** A line that was cut off by a crash is none; the head is still in the database and is written again. */
const wholeLines = (bytes: Buffer): string[] => bytes.toString('utf8').split('\n').slice(0, -1);

function parse(line: string, file: string): Head {
  const check = checkHead(jsonOf(line));
  if (!check.ok) throw new HeadsFolderBroken(`A line of ${file} is not a signed head (${check.why}).`);
  return check.head;
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

function tailOf(file: string): Buffer {
  const handle = openSync(file, 'r');
  try {
    const { size } = fstatSync(handle);
    const length = Math.min(size, TAIL_BYTES);
    const bytes = Buffer.alloc(length);
    readSync(handle, bytes, 0, length, size - length);
    return bytes;
  } finally {
    closeSync(handle);
  }
}

function appendLine(file: string, line: string): void {
  const isNew = !existsSync(file);
  const handle = openSync(file, isNew ? 'wx+' : 'r+', 0o640);
  try {
    const { size } = fstatSync(handle);
    const tail = isNew ? Buffer.alloc(0) : tailOf(file);
    const cutOff = tail.length - (tail.lastIndexOf(0x0a) + 1);
    ftruncateSync(handle, size - cutOff);
    writeSync(handle, `${line}\n`, size - cutOff);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
