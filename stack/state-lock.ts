import { copyFileSync, constants, linkSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { isAlive, startTimeOf, type ProcessIdentity } from './process-identity';
import { explaining, StackError } from './stack-error';
import { readIfThere, writeDurably, type StateFolder } from './state-folder';

const Holder = z.object({ pid: z.number().int().positive(), startTime: z.string().nullable() });

/** More rounds than this mean that somebody takes and leaves the lock all the time. */
const ROUNDS = 20;

/**
 * Keeps a second stack off the folder. A lock whose process is gone is taken over; of several that try at once, one
 * gets it.
 *
 * @returns what gives it back
 * @throws StackError that names the process which holds it
 */
export function lockStateFolder(folder: StateFolder): () => void {
  const path = join(folder.run, 'stack.lock');
  const mine = `${path}.${process.pid.toString()}`;
  writeDurably(mine, JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) }));
  try {
    explaining(`locking ${folder.path}`, () => {
      take(path, mine, folder.path);
    });
  } finally {
    rmSync(mine, { force: true });
  }
  return () => {
    rmSync(path, { force: true });
  };
}

function take(path: string, mine: string, folder: string): void {
  for (let round = 0; round < ROUNDS; round += 1) {
    if (placed(mine, path)) return;
    const holder = readHolder(path);
    if (holder !== null && isAlive(holder)) throw heldBy(holder, folder);
    // Moved aside before it is removed, and looked at again: between reading and moving another may have taken over.
    const aside = `${mine}.stale`;
    if (!moved(path, aside)) continue;
    const taken = readHolder(aside);
    const live = taken !== null && isAlive(taken);
    if (live) placed(aside, path);
    rmSync(aside, { force: true });
    if (live) throw heldBy(taken, folder);
  }
  throw new StackError(`The lock of ${folder} cannot be had.`, 'Stop the stacks that use it and start again.');
}

const heldBy = ({ pid }: ProcessIdentity, folder: string): StackError =>
  new StackError(
    `Another stack (process ${pid.toString()}) runs on ${folder}.`,
    'Stop it first, or give this one its own folder with DOMOVOY_STATE_DIR and ports with DOMOVOY_PORT_OFFSET=100.',
  );

/** Puts a finished file in its place unless one is there: whole or not at all. */
function placed(file: string, path: string): boolean {
  try {
    linkSync(file, path);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'EEXIST') return false;
    // File systems without hard links.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') return copied(file, path);
    throw error;
  }
}

function copied(file: string, path: string): boolean {
  try {
    copyFileSync(file, path, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'EEXIST') return false;
    throw error;
  }
}

function moved(path: string, aside: string): boolean {
  try {
    renameSync(path, aside);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return false;
    throw error;
  }
}

function readHolder(path: string): ProcessIdentity | null {
  const text = readIfThere(path);
  try {
    return Holder.parse(JSON.parse(text ?? 'null'));
  } catch {
    return null;
  }
}
