import { createHash } from 'node:crypto';
import { createReadStream, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runWithProgress } from '../run-with-progress';
import { explained, StackError } from '../stack-error';
import { isExecutable, makeInCache, onPath, toolCache } from '../tool-cache';

/** Of the line that docker-compose.yml names. */
export const VERSION = '26.7.3';
/** Of the archive. */
const SHA256 = '77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47';
const ARCHIVE = `keycloak-quarkus-dist-${VERSION}.tar.gz`;

/** 176 MB. */
const FETCH_WITHIN_MS = 600_000;

const REMEDY = `Install Java 17 and Maven, or unpack Keycloak ${VERSION} (keycloak.org) and name its folder with DOMOVOY_KEYCLOAK.`;

type Print = (line: string) => void;

/**
 * Finds the staff identity provider of docker compose: DOMOVOY_KEYCLOAK, the tool cache, and at last Maven, which has its
 * distribution. Only its own check needs it.
 *
 * @returns the folder of a distribution, which nothing may be written into
 * @throws StackError that says what to do
 */
export async function findKeycloak(env: NodeJS.ProcessEnv, print: Print): Promise<string> {
  if (onPath('java', env) === null) throw new StackError('Keycloak needs Java, which is not installed.', REMEDY);
  const named = env['DOMOVOY_KEYCLOAK'] ?? '';
  if (named !== '') {
    if (isExecutable(join(named, 'bin/kc.sh'))) return named;
    throw new StackError('DOMOVOY_KEYCLOAK names no folder with a bin/kc.sh.', 'Correct it, or leave it out.');
  }
  const folder = join(toolCache(env), `keycloak-${VERSION}`);
  if (!isExecutable(join(folder, 'bin/kc.sh'))) await fetchWithMaven(folder, env, print);
  return folder;
}

async function fetchWithMaven(folder: string, env: NodeJS.ProcessEnv, print: Print): Promise<void> {
  const maven = onPath('mvn', env);
  const tar = onPath('tar', env);
  if (maven === null || tar === null) {
    throw new StackError('Keycloak is missing, and there is no Maven and tar to fetch it with.', REMEDY);
  }
  print('Fetching Keycloak with Maven: once, 176 MB.');
  try {
    await makeInCache(folder, 'bin/kc.sh', async (temporary) => {
      const artifact = `-Dartifact=org.keycloak:keycloak-quarkus-dist:${VERSION}:tar.gz`;
      const options = { cwd: temporary, env, print, signal: AbortSignal.timeout(FETCH_WITHIN_MS) };
      const goal = ['-q', '-B', 'dependency:copy', artifact, `-DoutputDirectory=${temporary}`];
      await runWithProgress('fetching Keycloak', maven, goal, options);
      const archive = join(temporary, ARCHIVE);
      if (!existsSync(archive) || (await sha256(archive)) !== SHA256)
        throw new Error('what was fetched is not Keycloak');
      await runWithProgress('unpacking Keycloak', tar, ['-xzf', archive, '--strip-components=1'], options);
      rmSync(archive);
    });
  } catch (error) {
    const told = explained(error, 'fetching Keycloak');
    if (told instanceof StackError) throw told;
    const words = error instanceof Error ? error.message : String(error);
    throw new StackError(`Keycloak is missing, and ${words}.`, REMEDY);
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
