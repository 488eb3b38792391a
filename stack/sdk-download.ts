import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { makeFolder } from './make-folder';
import { ANOTHER_CACHE, isExecutable } from './tool-cache';

/** A download that brings nothing for so long is out of reach; without a network the SDK says so at once. */
const STALLED_AFTER_MS = 15_000;
const GIVE_UP_MS = 600_000;
const SAY_EVERY_MS = 5_000;

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
  signal?: AbortSignal,
): Promise<string | null> {
  makeFolder(folder, ANOTHER_CACHE);
  const there = programIn(folder, what);
  if (there !== null) return there;
  print(`Looking for a download of the ${what === 'temporal-cli' ? 'Temporal server' : 'time-skipping server'}.`);
  const { TestWorkflowEnvironment: Environment } = await import('@temporalio/testing');
  const server = { executable: { type: 'cached-download' as const, downloadDir: folder } };
  const starting =
    what === 'temporal-cli' ? Environment.createLocal({ server }) : Environment.createTimeSkipping({ server });
  const stalled = watchFor(folder, print, signal);
  try {
    const environment = await Promise.race([starting, stalled.promise]);
    // Given up on; should it come after all, the server that it started must not stay.
    if (environment === null) void starting.then(teardown, () => undefined);
    else await teardown(environment);
    return programIn(folder, what);
  } catch {
    return null;
  } finally {
    stalled.cancel();
  }
}

const teardown = (environment: TestWorkflowEnvironment): Promise<void> => environment.teardown().catch(() => undefined);

/** Resolves to `null` once nothing more arrives in the folder. */
function watchFor(
  folder: string,
  print: (line: string) => void,
  signal: AbortSignal | undefined,
): { promise: Promise<null>; cancel: () => void } {
  const startedMs = Date.now();
  let [bytes, grewMs, saidMs] = [bytesIn(folder), startedMs, startedMs];
  let ticker: NodeJS.Timeout | undefined;
  const promise = new Promise<null>((resolve) => {
    ticker = setInterval(() => {
      const now = Date.now();
      const size = bytesIn(folder);
      if (size !== bytes) [bytes, grewMs] = [size, now];
      const isOver = now - grewMs > STALLED_AFTER_MS || now - startedMs > GIVE_UP_MS || signal?.aborted === true;
      if (isOver) resolve(null);
      if (now - saidMs < SAY_EVERY_MS) return;
      saidMs = now;
      print(`  downloading: ${Math.round((now - startedMs) / 1_000).toString()} s, ${(size / 1e6).toFixed(0)} MB`);
    }, 500);
  });
  return {
    promise,
    cancel: () => {
      clearInterval(ticker);
    },
  };
}

function bytesIn(folder: string): number {
  const sizes = readdirSync(folder).map((name) => lstatSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}

function programIn(folder: string, what: string): string | null {
  const wanted = what === 'temporal-cli' ? /^temporal(?!-test-server)/ : /^temporal-test-server/;
  const names = readdirSync(folder).filter((name) => wanted.test(name) && !/\.(downloading|tmp|part)$/.test(name));
  return names.map((name) => join(folder, name)).find(isExecutable) ?? null;
}
