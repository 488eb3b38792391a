import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { StackError } from './stack-error';

/**
 * Makes a folder and those above it, each by itself: where a file system takes no folders and says that there is nothing
 * (`/proc`), Node's own way of making them tries for ever.
 *
 * @param remedy what to do about a place where it cannot be made
 * @throws StackError that names the folder
 */
export function makeFolder(path: string, remedy: string, mode = 0o777): void {
  const missing: string[] = [];
  for (let each = path; !isFolder(each) && each !== dirname(each); each = dirname(each)) missing.unshift(each);
  for (const each of missing) {
    try {
      mkdirSync(each, { mode });
    } catch (error) {
      // Somebody else was quicker.
      if (isFolder(each)) continue;
      const { code } = error as { code?: string };
      const leadsNowhere = code === 'EEXIST' && statSync(each, { throwIfNoEntry: false }) === undefined;
      if (code === 'ENOENT' || leadsNowhere) throw new StackError(`${path} cannot be made where it is to lie.`, remedy);
      throw error;
    }
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
