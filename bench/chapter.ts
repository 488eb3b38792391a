import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFile } from '../config/project-root';

const FOLDER = projectFile('docs/benchmarks');

/** Writes a file of `docs/benchmarks`. */
export function writeFigures(name: string, content: string): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, name), content);
}

/** Figures of an earlier run; none where there was none. */
export function readFigures(name: string): Record<string, unknown> {
  const file = join(FOLDER, name);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {};
}

/** What a ratio has to be. */
export type Target = { readonly atMost: number } | { readonly atLeast: number };

export const isMet = (ratio: number, target: Target): boolean =>
  'atMost' in target ? ratio <= target.atMost : ratio >= target.atLeast;

export const described = (target: Target): string =>
  'atMost' in target ? `at most ${target.atMost.toString()}` : `at least ${target.atLeast.toString()}`;
