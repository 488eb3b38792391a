import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { projectRoot } from '../config/project-root';

/** `null`: nobody could be asked, and why in a word. */
export type Advisories =
  | { readonly counts: Readonly<Record<string, number>>; readonly packages: readonly string[] }
  | { readonly why: string };

const TIMEOUT_MS = 60_000;
const AuditOutput = z.object({
  metadata: z.object({ vulnerabilities: z.record(z.string(), z.number()) }),
  vulnerabilities: z.record(z.string(), z.object({ severity: z.string() })),
});

/**
 * Asks the package registry that npm is configured for which of the installed packages have known faults. Registries
 * that keep no advisories, and installations without npm or without a lock file, cannot say: then the answer is why, and
 * never an empty list.
 */
export async function askForAdvisories(): Promise<Advisories> {
  const folder = projectRoot();
  if (!existsSync(join(folder, 'package-lock.json'))) return { why: 'no-lock-file' };
  const output = await new Promise<string | null>((resolve) => {
    const args = ['audit', '--omit=dev', '--json'];
    // It ends with 1 when there is something to tell.
    execFile('npm', args, { cwd: folder, timeout: TIMEOUT_MS, maxBuffer: 64_000_000 }, (error, stdout) => {
      resolve(error && error.code === 'ENOENT' ? null : stdout);
    });
  });
  if (output === null) return { why: 'no-npm' };
  return readAdvisories(output);
}

/** @param output of `npm audit --json`; anything else, an error's included, is no list of advisories */
export function readAdvisories(output: string): Advisories {
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    return { why: 'not-reachable' };
  }
  const parsed = AuditOutput.safeParse(value);
  if (!parsed.success) return { why: 'not-reachable' };
  const grave = Object.entries(parsed.data.vulnerabilities).filter(([, { severity }]) => GRAVE.includes(severity));
  return { counts: parsed.data.metadata.vulnerabilities, packages: grave.map(([name]) => name).sort() };
}

/** Severities that fail an audit. */
export const GRAVE = ['high', 'critical'];
