import { accessSync, constants, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { makeFolder } from './make-folder';

/** Where built and downloaded tools are kept between clones; not part of the state folder. */
export const toolCache = (env: NodeJS.ProcessEnv): string =>
  join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'domovoy', 'tools');

export const ANOTHER_CACHE = 'Choose another folder for the cache with XDG_CACHE_HOME.';

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @returns the first program of that name on PATH */
export function onPath(name: string, env: NodeJS.ProcessEnv): string | null {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

/** @returns Go, also where GOROOT names it, or its own installer puts it, and PATH does not */
export function goProgram(env: NodeJS.ProcessEnv): string | null {
  const installed = join(env['GOROOT'] || '/usr/local/go', 'bin/go');
  return onPath('go', env) ?? (isExecutable(installed) ? installed : null);
}

/**
 * Makes a folder of the cache whole or not at all: two builds at once do not disturb each other, and one that is
 * killed leaves nothing that looks finished.
 *
 * @param program the file in it that makes it useful; a folder that lacks it is replaced
 * @param make fills the temporary folder that it is given
 */
export async function makeInCache(
  folder: string,
  program: string,
  make: (temporary: string) => Promise<void>,
): Promise<void> {
  makeFolder(dirname(folder), ANOTHER_CACHE);
  removeAbandoned(folder);
  const temporary = mkdtempSync(`${folder}.`);
  try {
    await make(temporary);
    if (!moved(temporary, folder) && !isExecutable(join(folder, program))) {
      rmSync(folder, { recursive: true, force: true });
      renameSync(temporary, folder);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** @returns false when somebody else was quicker */
function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST'].includes((error as { code?: string }).code ?? '')) return false;
    throw error;
  }
}

/** No build takes this long; a temporary folder that is older was left by one that was killed. */
const ABANDONED_AFTER_MS = 3_600_000;

function removeAbandoned(folder: string): void {
  const parent = dirname(folder);
  for (const name of readdirSync(parent).filter((each) => each.startsWith(`${basename(folder)}.`))) {
    const path = join(parent, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > ABANDONED_AFTER_MS) rmSync(path, { recursive: true, force: true });
  }
}
