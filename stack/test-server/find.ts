import { chmodSync, copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFile } from '../../config/project-root';
import { runWithProgress } from '../run-with-progress';
import { sdkDownload } from '../sdk-download';
import { explained, StackError } from '../stack-error';
import { archiveClasses, CLASS_ARCHIVE } from './class-archive';
import { isExecutable, makeInCache, onPath, toolCache } from '../tool-cache';

const VERSION = '1.38.0';

/**
 * Finds its jars beside itself, wherever the cache lies and however it is called. It lives for seconds: what the quick
 * compiler makes is good enough, and the other one would cost more than the tests do.
 */
const SERVER = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', 'lib/*', 'io.temporal.testserver.TestServer'];
const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")" && exec java -XX:SharedArchiveFile=${CLASS_ARCHIVE} ${SERVER.join(' ').replace('*', "'*'")} "$@"
`;

const REMEDY = 'Install a Java runtime (11 or newer) and Maven, or name a server with TEMPORAL_TEST_SERVER.';

/**
 * Finds the time-skipping server that tests of workflows use: TEMPORAL_TEST_SERVER, the tool cache, the SDK's own
 * download, and at last Maven with Java.
 *
 * @returns the path of a program for the SDK's `existing-path`
 */
export async function findTestServer(env: NodeJS.ProcessEnv, print: (line: string) => void): Promise<string> {
  const named = env['TEMPORAL_TEST_SERVER'] ?? '';
  if (named !== '') {
    if (isExecutable(named)) return named;
    throw new StackError('TEMPORAL_TEST_SERVER names no program.', 'Correct it, or leave it out.');
  }
  const folder = join(toolCache(env), `temporal-test-server-${VERSION}`);
  const cached = join(folder, 'temporal-test-server');
  const java = onPath('java', env);
  // The cache's script rests on Java; without it the SDK would wait for a server that never answers.
  if (isExecutable(cached) && java !== null) {
    writeScript(folder);
    await archiveClasses(folder, java, SERVER);
    return cached;
  }

  const downloaded = await sdkDownload('test-server', join(toolCache(env), 'sdk'), print);
  if (downloaded !== null) return downloaded;

  const maven = onPath('mvn', env);
  if (maven === null || java === null) {
    throw new StackError(
      'The time-skipping server is missing, its download is out of reach, and Java with Maven is not installed.',
      REMEDY,
    );
  }
  try {
    await makeInCache(folder, 'temporal-test-server', (temporary) => fetchJars(maven, temporary, env, print));
  } catch (error) {
    const told = explained(error, 'fetching the time-skipping server');
    if (told instanceof StackError) throw told;
    const words = error instanceof Error ? error.message : String(error);
    throw new StackError(`The time-skipping server is missing, and ${words}.`, REMEDY);
  }
  await archiveClasses(folder, java, SERVER);
  return cached;
}

async function fetchJars(
  maven: string,
  folder: string,
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
): Promise<void> {
  copyFileSync(projectFile('stack/test-server/pom.xml'), join(folder, 'pom.xml'));
  const goal = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${join(folder, 'lib')}`];
  await runWithProgress('fetching the time-skipping server', maven, goal, { cwd: folder, env, print });
  writeScript(folder);
}

/** In one step: another run may be reading it. A cache of before may have one that starts Java otherwise. */
function writeScript(folder: string): void {
  const path = join(folder, 'temporal-test-server');
  if (existsSync(path) && readFileSync(path, 'utf8') === SCRIPT) return;
  const temporary = `${path}.${process.pid.toString()}`;
  writeFileSync(temporary, SCRIPT);
  chmodSync(temporary, 0o755);
  renameSync(temporary, path);
}
