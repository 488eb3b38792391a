import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isExecutable } from './tool-cache';

/** A machine that reaches the download answers in seconds; one that does not should not wait for long. */
const GIVE_UP_MS = 60_000;

/**
 * The SDK's own download of a server, as its test kit does it. It starts the server for a moment, which is the public
 * way to it.
 *
 * @returns the program, or `null` when the download is out of reach
 */
export async function sdkDownload(
  what: 'temporal-cli' | 'test-server',
  folder: string,
  print: (line: string) => void,
): Promise<string | null> {
  mkdirSync(folder, { recursive: true });
  const there = programIn(folder, what);
  if (there !== null) return there;
  print(`Looking for a download of the ${what === 'temporal-cli' ? 'Temporal server' : 'time-skipping server'}.`);
  const { TestWorkflowEnvironment } = await import('@temporalio/testing');
  const server = { executable: { type: 'cached-download' as const, downloadDir: folder } };
  const starting =
    what === 'temporal-cli'
      ? TestWorkflowEnvironment.createLocal({ server })
      : TestWorkflowEnvironment.createTimeSkipping({ server });
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<null>((resolve) => (timer = setTimeout(resolve, GIVE_UP_MS, null)));
  try {
    const environment = await Promise.race([starting, timeout]);
    await environment?.teardown();
    return programIn(folder, what);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    starting.catch(() => undefined);
  }
}

function programIn(folder: string, what: string): string | null {
  const wanted = what === 'temporal-cli' ? /^temporal(?!-test-server)/ : /^temporal-test-server/;
  const names = readdirSync(folder).filter((name) => wanted.test(name));
  return names.map((name) => join(folder, name)).find(isExecutable) ?? null;
}
