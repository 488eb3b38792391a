import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { projectFile } from '../config/project-root';
import { makeFolder } from './make-folder';
import { explaining, StackError } from './stack-error';

/** What is made at every start, and removed in this order: the lock lies in the last one. */
const MADE = {
  certificates: 'certificates',
  secrets: 'secrets',
  temporal: 'temporal',
  logs: 'logs',
  sandbox: 'sandbox',
  journalHeads: 'journal-heads',
  journalSpools: 'journal-spools',
  erasures: 'erasures',
  run: 'run',
} as const;

const ANOTHER_FOLDER = 'Choose another folder with DOMOVOY_STATE_DIR.';

type Part = keyof typeof MADE;

export type StateFolder = Readonly<Record<Part, string>> & {
  readonly path: string;
  /** Made, and perhaps moved elsewhere, by stack/postgres-home.ts. */
  readonly postgres: string;
};

/** PostgreSQL and Temporal stop working in the middle of things when the disk fills up; say so before. */
const SPACE_NEEDED_BYTES = 1_073_741_824;

/** The one folder that holds everything the local stack makes: `.domovoy` in the project, or DOMOVOY_STATE_DIR. */
export function openStateFolder(env: NodeJS.ProcessEnv): StateFolder {
  const named = env['DOMOVOY_STATE_DIR'] ?? '';
  const path = named === '' ? projectFile('.domovoy') : resolve(named);
  const inside = (name: string): string => join(path, name);
  const made = Object.entries(MADE).map(([part, name]) => [part, inside(name)] as const);
  explaining(`making ${path}`, () => {
    // The database server may run as another user: it must be able to pass through, not to read.
    makeFolder(path, ANOTHER_FOLDER, 0o711);
    for (const [, name] of made) {
      makeFolder(name, ANOTHER_FOLDER, 0o700);
      accessSync(name, constants.R_OK | constants.W_OK | constants.X_OK);
    }
  });
  return { ...(Object.fromEntries(made) as Record<Part, string>), path, postgres: inside('postgres') };
}

/**
 * Removes what {@link openStateFolder} made and nothing else: DOMOVOY_STATE_DIR may name a folder that holds other
 * things too.
 *
 * @returns the names of what is left; none when the folder itself is gone
 */
export function removeState(folder: StateFolder): string[] {
  for (const part of Object.keys(MADE) as Part[]) rmSync(folder[part], { recursive: true, force: true });
  const left = readdirSync(folder.path);
  if (left.length === 0) rmdirSync(folder.path);
  return left;
}

/** @throws StackError when less than a gibibyte is free */
export function assertSpace(folder: StateFolder): void {
  const { bavail, bsize } = statfsSync(folder.path);
  if (bavail * bsize >= SPACE_NEEDED_BYTES) return;
  const freeMb = Math.floor((bavail * bsize) / 1_000_000);
  throw new StackError(
    `Only ${freeMb.toString()} MB are free where ${folder.path} lies.`,
    'Free at least 1 GB, or choose another disk with DOMOVOY_STATE_DIR.',
  );
}

/**
 * Writes so that a crash leaves the old content or the new one, never half of it.
 *
 * @throws StackError when the disk is full or the folder closed
 */
export function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): void {
  explaining(`writing ${path}`, () => {
    const temporary = `${path}.new`;
    writeFileSync(temporary, content, { mode, flush: true });
    renameSync(temporary, path);
    flushFolder(dirname(path));
  });
}

/** A rename is on the disk only when its folder is. Some systems cannot flush folders; there it is left to them. */
export function flushFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * A secret of the local stack: made at first use, found again afterwards.
 *
 * A file that is there and cannot be read is an error, never a reason to make another: what the old secret encrypted
 * would be lost.
 */
export function secretFile(folder: StateFolder, name: string, make: () => string): { path: string; value: string } {
  const path = join(folder.secrets, name);
  const found = explaining(`reading ${path}`, () => readIfThere(path));
  if (found === '') {
    throw new StackError(`The secret ${path} is empty.`, 'Put it back from a backup, or run `npm run reset`.');
  }
  if (found !== null) return { path, value: found };
  const value = make();
  writeDurably(path, value);
  return { path, value };
}

/** @returns `null` for a file that does not exist; every other error is thrown */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    throw error;
  }
}
