import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { projectFile } from '../config/project-root';
import { isAlive, startTimeOf } from './process-identity';
import { explained, StackError } from './stack-error';

export type StateFolder = {
  readonly path: string;
  readonly certificates: string;
  readonly secrets: string;
  readonly postgres: string;
  readonly temporal: string;
  readonly logs: string;
  readonly run: string;
  readonly sandbox: string;
};

/** PostgreSQL and Temporal stop working in the middle of things when the disk fills up; say so before. */
const SPACE_NEEDED_BYTES = 1_000_000_000;

/** The one folder that holds everything the local stack makes: `.domovoy` in the project, or DOMOVOY_STATE_DIR. */
export function openStateFolder(env: NodeJS.ProcessEnv): StateFolder {
  const path = env['DOMOVOY_STATE_DIR'] ?? projectFile('.domovoy');
  const inside = (name: string): string => join(path, name);
  const folder: StateFolder = {
    path,
    certificates: inside('certificates'),
    secrets: inside('secrets'),
    postgres: inside('postgres'),
    temporal: inside('temporal'),
    logs: inside('logs'),
    run: inside('run'),
    sandbox: inside('sandbox'),
  };
  try {
    // The database server may run as another user: it must be able to pass through, not to read.
    mkdirSync(path, { recursive: true, mode: 0o711 });
    for (const name of [
      folder.certificates,
      folder.secrets,
      folder.run,
      folder.sandbox,
      folder.logs,
      folder.temporal,
    ]) {
      mkdirSync(name, { recursive: true, mode: 0o700 });
    }
  } catch (error) {
    throw explained(error, `making ${path}`);
  }
  return folder;
}

/** @throws StackError when less than a gigabyte is free */
export function assertSpace(folder: StateFolder): void {
  const { bavail, bsize } = statfsSync(folder.path);
  if (bavail * bsize >= SPACE_NEEDED_BYTES) return;
  const freeMb = Math.floor((bavail * bsize) / 1_000_000);
  throw new StackError(
    `Only ${freeMb.toString()} MB are free where ${folder.path} lies.`,
    'Free at least 1 GB, or choose another disk with DOMOVOY_STATE_DIR.',
  );
}

/** Writes so that a crash leaves the old content or the new one, never half of it. */
export function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', mode);
  try {
    writeSync(file, content as string);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** A secret of the local stack: made at first use, found again afterwards. */
export function secretFile(folder: StateFolder, name: string, make: () => string): { path: string; value: string } {
  const path = join(folder.secrets, name);
  try {
    return { path, value: readFileSync(path, 'utf8') };
  } catch {
    const value = make();
    writeDurably(path, value);
    return { path, value };
  }
}

/**
 * Keeps a second stack off the folder. A lock whose process is gone is taken over.
 *
 * @returns what gives it back
 */
export function lockStateFolder(folder: StateFolder): () => void {
  const path = join(folder.run, 'stack.lock');
  const holder = readLock(path);
  if (holder !== null && holder.pid !== process.pid && isAlive(holder)) {
    throw new StackError(
      `Another stack (process ${holder.pid.toString()}) runs on ${folder.path}.`,
      'Stop it first, or give this one its own folder with DOMOVOY_STATE_DIR and ports with DOMOVOY_PORT_OFFSET=100.',
    );
  }
  writeDurably(path, JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) }));
  return () => {
    rmSync(path, { force: true });
  };
}

function readLock(path: string): { pid: number; startTime: string | null } | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { pid: number; startTime: string | null };
  } catch {
    return null;
  }
}
