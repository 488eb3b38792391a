import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFile } from '../../config/project-root';
import { runWithProgress } from '../run-with-progress';
import { sdkDownload } from '../sdk-download';
import { StackError } from '../stack-error';
import { isExecutable, makeInCache, onPath, toolCache } from '../tool-cache';

const VERSION = '1.38.0';

/** Finds its jars beside itself, wherever the cache lies. */
const SCRIPT = `#!/bin/sh
exec java -cp "$(dirname "$0")/lib/*" io.temporal.testserver.TestServer "$@"
`;

/**
 * Finds the time-skipping server that tests of workflows use: TEMPORAL_TEST_SERVER, the tool cache, the SDK's own
 * download, and at last Maven with Java.
 *
 * @returns the path of a program for the SDK's `existing-path`
 */
export async function findTestServer(env: NodeJS.ProcessEnv, print: (line: string) => void): Promise<string> {
  const named = env['TEMPORAL_TEST_SERVER'];
  if (named !== undefined) return named;
  const folder = join(toolCache(env), `temporal-test-server-${VERSION}`);
  const cached = join(folder, 'temporal-test-server');
  if (isExecutable(cached)) return cached;

  const downloaded = await sdkDownload('test-server', join(toolCache(env), 'sdk'), print);
  if (downloaded !== null) return downloaded;

  const maven = onPath('mvn', env);
  if (maven === null || onPath('java', env) === null) {
    throw new StackError(
      'The time-skipping server is missing, its download is out of reach, and Java with Maven is not installed.',
      'Install a Java runtime (11 or newer) and Maven, or name a server with TEMPORAL_TEST_SERVER.',
    );
  }
  await makeInCache(folder, async (temporary) => {
    copyFileSync(projectFile('stack/test-server/pom.xml'), join(temporary, 'pom.xml'));
    const goal = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${join(temporary, 'lib')}`];
    await runWithProgress('fetching the time-skipping server', maven, goal, { cwd: temporary, env, print });
    writeFileSync(join(temporary, 'temporal-test-server'), SCRIPT);
    chmodSync(join(temporary, 'temporal-test-server'), 0o755);
  });
  return cached;
}
