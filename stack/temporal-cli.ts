import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runWithProgress } from './run-with-progress';
import { sdkDownload } from './sdk-download';
import { explained, StackError } from './stack-error';
import { goProgram, isExecutable, makeInCache, onPath, toolCache } from './tool-cache';

/** Newer releases cannot be built with `go install`: their go.mod replaces a module. Server 1.29.1, UI included. */
const VERSION = 'v1.5.1';
/** The first server in which Update-with-Start needs no setting. */
const OLDEST_SERVER = { major: 1, minor: 28 };

type Print = (line: string) => void;

/**
 * Finds a real Temporal server that runs and is new enough: DOMOVOY_TEMPORAL_CLI, PATH, the tool cache, the SDK's own
 * download, and at last Go, which builds it in a few minutes.
 *
 * @param signal ends the search, and the build with it
 * @returns the path of the `temporal` program
 */
export async function findTemporalCli(env: NodeJS.ProcessEnv, print: Print, signal?: AbortSignal): Promise<string> {
  const named = env['DOMOVOY_TEMPORAL_CLI'] ?? '';
  if (named !== '') {
    const problem = await problemWith(named);
    if (problem === null) return named;
    throw new StackError(`DOMOVOY_TEMPORAL_CLI ${problem}.`, 'Correct it, or leave it out.');
  }
  const folder = join(toolCache(env), `temporal-cli-${VERSION}`);
  const cached = join(folder, 'temporal');
  for (const candidate of [onPath('temporal', env), cached]) {
    if (candidate === null || !isExecutable(candidate)) continue;
    const problem = await problemWith(candidate);
    if (problem === null) return candidate;
    print(`Not using ${candidate}: it ${problem}.`);
  }
  const downloaded = await sdkDownload('temporal-cli', join(toolCache(env), 'sdk'), print, signal);
  if (downloaded !== null && (await problemWith(downloaded)) === null) return downloaded;
  return buildWithGo(folder, env, print, signal);
}

/** @returns why this program cannot serve, to follow its name in a sentence; `null` when it can */
async function problemWith(program: string): Promise<string | null> {
  if (!isExecutable(program)) return 'names no program';
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 20_000 });
    const [, major, minor] = /Server (\d+)\.(\d+)/.exec(stdout) ?? [];
    if (major === undefined || minor === undefined) return 'does not say which server it holds';
    const { major: oldest, minor: within } = OLDEST_SERVER;
    const isRecent = Number(major) > oldest || (Number(major) === oldest && Number(minor) >= within);
    return isRecent ? null : `holds server ${major}.${minor}, older than ${oldest.toString()}.${within.toString()}`;
  } catch {
    return 'does not run';
  }
}

async function buildWithGo(
  folder: string,
  env: NodeJS.ProcessEnv,
  print: Print,
  signal: AbortSignal | undefined,
): Promise<string> {
  const go = goProgram(env);
  const remedy = 'Install the Temporal CLI (docs.temporal.io/cli) or Go 1.24, or name one with DOMOVOY_TEMPORAL_CLI.';
  if (go === null) {
    throw new StackError(
      'The Temporal server is missing, its download is out of reach, and Go is not installed.',
      remedy,
    );
  }
  print('Building the Temporal server with Go: once, about three minutes.');
  const build = ['install', '-v', `github.com/temporalio/cli/cmd/temporal@${VERSION}`];
  try {
    await makeInCache(folder, 'temporal', (temporary) =>
      runWithProgress('building Temporal', go, build, { env: { ...env, GOBIN: temporary }, print, signal }),
    );
  } catch (error) {
    if (signal?.aborted) throw new StackError('Stopped while building the Temporal server.', 'Start again.');
    const told = explained(error, 'building the Temporal server');
    if (told instanceof StackError) throw told;
    const words = error instanceof Error ? error.message : String(error);
    throw new StackError(`The Temporal server is missing, and ${words}.`, remedy);
  }
  return join(folder, 'temporal');
}
