import './check-node';
import { parseArgs } from 'node:util';
import { runStack } from './stack';
import { explained, StackError } from './stack-error';
import { tellStory } from './story/story';

/** `npm start`, and with `--story` `npm run demo`. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      story: { type: 'boolean', default: false },
      once: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  const print = (line: string): void => {
    console.log(line);
  };
  const ending = new AbortController();
  // A closed terminal is a way to stop, too.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (ending.signal.aborted) process.exit(130);
      print('Stopping.');
      ending.abort();
    });
  }
  const stack = await runStack(process.env, print, ending.signal);
  try {
    if (values.story) {
      const asExpected = await Promise.race([
        tellStory(stack, print, values.out),
        stopped(stack.gaveUp, ending.signal),
      ]);
      process.exitCode = asExpected ? 0 : 1;
    }
    if (!values.once && !ending.signal.aborted) {
      stack.printAddresses();
      await stopped(stack.gaveUp, ending.signal);
    }
  } finally {
    await stack.stop();
  }
}

/** Resolves to false when the stack is asked to end; rejects when a process cannot be kept alive. */
async function stopped(gaveUp: Promise<StackError>, signal: AbortSignal): Promise<false> {
  const asked = new Promise<null>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve(null);
    });
    if (signal.aborted) resolve(null);
  });
  const error = await Promise.race([gaveUp, asked]);
  if (error) throw error;
  return false;
}

main()
  .catch((error: unknown) => {
    const told = explained(error, 'the local stack');
    console.error(told instanceof StackError ? told.message : told);
    process.exitCode = 1;
  })
  // Nothing is left to wait for; a socket that lingers must not keep the terminal.
  .finally(() => process.exit());
