import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runStack } from '../stack/stack';

/** The local stack in a folder of its own that goes with it; its Temporal keeps nothing, as the targets say. */
export async function inPassingStack<T>(
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
  ending: AbortSignal,
  work: (stack: Awaited<ReturnType<typeof runStack>>) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-bench-'));
  // The database server may run as another user: it must be able to pass through.
  chmodSync(folder, 0o711);
  const own = { DOMOVOY_PORT_OFFSET: '600', ...env, DOMOVOY_STATE_DIR: folder };
  try {
    const stack = await runStack(own, print, ending, 'in-memory');
    try {
      return await Promise.race([work(stack), failure(stack.gaveUp, ending)]);
    } finally {
      await stack.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function failure(gaveUp: Promise<Error>, ending: AbortSignal): Promise<never> {
  const asked = new Promise<Error>((resolve) => {
    ending.addEventListener('abort', () => {
      resolve(new Error('Stopped.'));
    });
  });
  throw await Promise.race([gaveUp, asked]);
}
