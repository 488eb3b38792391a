import { Listr } from 'listr2';

const SHOW_CURSOR = '\u001b[?25h';

/**
 * Shows one step while it runs, and how long it took: alive on a terminal, plain lines in a pipe or a CI log. What
 * goes wrong is thrown on, and told once, by whoever catches it.
 */
export async function runStep(title: string, work: () => Promise<void>): Promise<void> {
  const showCursor = (): void => {
    if (process.stdout.isTTY) process.stdout.write(SHOW_CURSOR);
  };
  // A second Ctrl-C ends the program in the middle of a step.
  process.once('exit', showCursor);
  const failures: unknown[] = [];
  const task = async (): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failures.push(error);
      throw new Error('see below');
    }
  };
  try {
    await new Listr([{ title, task }], {
      exitOnError: false,
      fallbackRenderer: 'simple',
      rendererOptions: { showErrorMessage: false, timer: timed },
      fallbackRendererOptions: { timer: timed },
      // Signals are the stack's: it ends its processes in order.
      registerSignalListeners: false,
    }).run();
  } finally {
    process.off('exit', showCursor);
  }
  if (failures.length > 0) throw failures[0];
}

const timed = {
  condition: true,
  field: (durationMs: number): string => `${(durationMs / 1_000).toFixed(1)} s`,
  format: () => (text: string | undefined) => text ?? '',
};
