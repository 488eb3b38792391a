import { join } from 'node:path';
import { isExecutable, makeInCache, onPath, toolCache } from './tool-cache';
import { runWithProgress } from './run-with-progress';
import { sdkDownload } from './sdk-download';
import { StackError } from './stack-error';

/** Newer releases cannot be built with `go install`: their go.mod replaces a module. Server 1.29.1, UI included. */
const VERSION = 'v1.5.1';

/**
 * Finds a real Temporal server: DOMOVOY_TEMPORAL_CLI, PATH, the tool cache, the SDK's own download, and at last Go,
 * which builds it in a few minutes.
 *
 * @returns the path of the `temporal` program
 */
export async function findTemporalCli(env: NodeJS.ProcessEnv, print: (line: string) => void): Promise<string> {
  const named = env['DOMOVOY_TEMPORAL_CLI'];
  if (named !== undefined) {
    if (isExecutable(named)) return named;
    throw new StackError('DOMOVOY_TEMPORAL_CLI names no program.', 'Correct it, or leave it out.');
  }
  const folder = join(toolCache(env), `temporal-cli-${VERSION}`);
  const cached = join(folder, 'temporal');
  const found = onPath('temporal', env) ?? (isExecutable(cached) ? cached : null);
  if (found !== null) return found;

  const downloaded = await sdkDownload('temporal-cli', join(toolCache(env), 'sdk'), print);
  if (downloaded !== null) return downloaded;

  const go = onPath('go', env) ?? (isExecutable('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : null);
  if (go === null) {
    throw new StackError(
      'The Temporal server is missing, its download is out of reach, and Go is not installed.',
      'Install the Temporal CLI (docs.temporal.io/cli) or Go 1.24, or name one with DOMOVOY_TEMPORAL_CLI.',
    );
  }
  print('Building the Temporal server with Go: once, about three minutes.');
  await makeInCache(folder, (temporary) =>
    runWithProgress('building Temporal', go, ['install', `github.com/temporalio/cli/cmd/temporal@${VERSION}`], {
      env: { ...env, GOBIN: temporary, GOFLAGS: '-modcacherw' },
      print,
    }),
  );
  return cached;
}
