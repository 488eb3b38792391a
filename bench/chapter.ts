import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFile } from '../config/project-root';

const FOLDER = projectFile('docs/benchmarks');

/** Writes a file of `docs/benchmarks`. */
export function writeFigures(name: string, content: string): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, name), content);
}

/** What a ratio has to be. */
export type Target = { readonly atMost: number } | { readonly atLeast: number };

export const isMet = (ratio: number, target: Target): boolean =>
  'atMost' in target ? ratio <= target.atMost : ratio >= target.atLeast;

export const described = (target: Target): string =>
  'atMost' in target ? `at most ${target.atMost.toString()}` : `at least ${target.atLeast.toString()}`;
