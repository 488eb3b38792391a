import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of package.json: the same from the sources and from the compiled files in `dist/`. */
export const projectRoot = (): string => {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && /"name": *"domovoy"/.test(readFileSync(manifest, 'utf8'))) return folder;
    if (folder === dirname(folder)) throw new Error('This program was moved out of its project.');
  }
};

/** @returns the absolute path of a file named from the project's root */
export const projectFile = (path: string): string => join(projectRoot(), path);
