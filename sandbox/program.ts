import { StartFailure } from './start-failure';

/** A started program: `close` lets open requests end, within a bound, and gives its ports and files back. */
export type RunningProgram = { readonly started: object; close(): Promise<void> };

/**
 * Runs a sandbox program: prints one line of JSON when it listens, tells a parent that started it with an IPC channel,
 * and ends on SIGTERM, SIGINT, or when that parent is gone, so that a killed stack leaves no orphan. What keeps it from
 * starting is one sentence on standard error and exit code 1.
 */
export async function runProgram(
  name: string,
  start: (configPath: string, fail: (error: unknown) => never) => Promise<RunningProgram>,
): Promise<void> {
  const fail = (error: unknown): never => {
    const sentence = error instanceof StartFailure ? error.message : `unexpected: ${describe(error)}`;
    console.error(`${name}: ${sentence}`);
    process.exit(1);
  };
  const configPath = process.argv[2];
  if (configPath === undefined) return fail(new StartFailure('the path of the configuration file is missing'));
  let ended = false;
  let program: RunningProgram | undefined;
  const end = () => {
    if (ended) return;
    ended = true;
    setTimeout(() => process.exit(0), 3_000).unref();
    void Promise.resolve(program?.close()).then(() => process.exit(0), fail);
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  if (process.send !== undefined) process.once('disconnect', end);
  try {
    program = await start(configPath, fail);
  } catch (error) {
    return fail(error);
  }
  console.log(JSON.stringify({ program: name, ready: true, ...program.started }));
  process.send?.({ ready: true });
}

/** Name and place only: an error's text may quote what it choked on. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'a thrown value';
  const place = error.stack?.split('\n').find((line) => line.trimStart().startsWith('at '));
  return `${error.name}${place === undefined ? '' : ` ${place.trim()}`}`;
}
