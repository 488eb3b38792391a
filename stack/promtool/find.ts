import { execFile } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectFile } from '../../config/project-root';
import { runWithProgress } from '../run-with-progress';
import { explained, StackError } from '../stack-error';
import { goProgram, isExecutable, makeInCache, onPath, toolCache } from '../tool-cache';

/** go.mod beside this file names the module of the same release, which is v0.311.3. */
const VERSION = '3.11.3';
/** Before it, a range took in the sample at its left edge, and counted one more than the server does that we run. */
const OLDEST_MAJOR = 3;

const REMEDY = 'Install Prometheus 3 (prometheus.io/download) or Go 1.25, or name its promtool with DOMOVOY_PROMTOOL.';

const PROGRAM = 'github.com/prometheus/prometheus/cmd/promtool';
/**
 * It asks no cloud for machines, and lives for a second: without the code for the former, and without optimizing, the
 * build takes half of the processor time.
 */
const BUILD = [
  ...['build', '-v', '-mod=mod', '-trimpath', '-tags=remove_all_sd', '-gcflags=all=-N -l -dwarf=false'],
  `-ldflags=-s -w -X github.com/prometheus/common/version.Version=${VERSION}`,
];

type Print = (line: string) => void;

/**
 * Finds Prometheus's own checker of rules: DOMOVOY_PROMTOOL, PATH, the tool cache, and at last Go, which builds it in a
 * few minutes. Only tests need it.
 *
 * @returns the path of the `promtool` program
 */
export async function findPromtool(env: NodeJS.ProcessEnv, print: Print): Promise<string> {
  const named = env['DOMOVOY_PROMTOOL'] ?? '';
  if (named !== '') {
    const problem = await problemWith(named);
    if (problem === null) return named;
    throw new StackError(`DOMOVOY_PROMTOOL ${problem}.`, 'Correct it, or leave it out.');
  }
  const folder = join(toolCache(env), `promtool-${VERSION}`);
  const cached = join(folder, 'promtool');
  for (const candidate of [onPath('promtool', env), cached]) {
    if (candidate === null || !isExecutable(candidate)) continue;
    const problem = await problemWith(candidate);
    if (problem === null) return candidate;
    print(`Not using ${candidate}: it ${problem}.`);
  }
  await buildWithGo(folder, env, print);
  return cached;
}

/** @returns why this program cannot serve, to follow its name in a sentence; `null` when it can */
async function problemWith(program: string): Promise<string | null> {
  if (!isExecutable(program)) return 'names no program';
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 20_000 });
    const [, major] = /^promtool, version (\d+)\./.exec(stdout) ?? [];
    if (major === undefined) return 'does not say which Prometheus it is of';
    return Number(major) >= OLDEST_MAJOR ? null : `is older than Prometheus ${OLDEST_MAJOR.toString()}`;
  } catch {
    return 'does not run';
  }
}

async function buildWithGo(folder: string, env: NodeJS.ProcessEnv, print: Print): Promise<void> {
  const go = goProgram(env);
  if (go === null) {
    throw new StackError('Prometheus’s promtool is missing, and Go, which could build it, is not installed.', REMEDY);
  }
  print('Building promtool with Go: once, two to five minutes.');
  try {
    await makeInCache(folder, 'promtool', async (temporary) => {
      for (const file of ['go.mod', 'go.sum'])
        copyFileSync(projectFile(`stack/promtool/${file}`), join(temporary, file));
      const options = { cwd: temporary, env: { ...env, CGO_ENABLED: '0', GOWORK: 'off' }, print };
      await runWithProgress('building promtool', go, [...BUILD, '-o', 'promtool', PROGRAM], options);
    });
  } catch (error) {
    const told = explained(error, 'building promtool');
    if (told instanceof StackError) throw told;
    const words = error instanceof Error ? error.message : String(error);
    throw new StackError(`Prometheus’s promtool is missing, and ${words}.`, REMEDY);
  }
}
