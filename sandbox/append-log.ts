import { mkdir, open, truncate } from 'node:fs/promises';
import path from 'node:path';
import { StartFailure } from './start-failure';

/** A file of JSON lines that only grows. */
export type AppendLog = {
  /** What stood in the file when it was opened, oldest first. */
  readonly entries: readonly unknown[];
  /** Resolves once the entry is on the disk. Entries appended together share one fsync. */
  append(entry: unknown): Promise<void>;
  /** Resolves once everything appended so far is on the disk. */
  settled(): Promise<void>;
  close(): Promise<void>;
};

/**
 * Opens a log. One line is one transaction: after a crash it is there whole or not at all, so a last line without its
 * end is dropped. Any other line that cannot be read stops the start; guessing would invent or lose effects.
 */
export async function openAppendLog(file: string): Promise<AppendLog> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'a+', 0o600);
  const content = await handle.readFile();
  const end = content.lastIndexOf(0x0a) + 1;
  if (end < content.length) await truncate(file, end);
  const entries = content
    .subarray(0, end)
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => parsedLine(line, `${file}:${String(index + 1)}`));

  type Waiting = { line: string; done: () => void; failed: (error: unknown) => void };
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;

  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await handle.appendFile(batch.map(({ line }) => line).join(''));
        await handle.datasync();
        batch.forEach(({ done }) => done());
      } catch (error) {
        batch.forEach(({ failed }) => failed(error));
      }
    }
    writing = undefined;
  }

  return {
    entries,
    append: (entry) =>
      new Promise<void>((done, failed) => {
        waiting.push({ line: `${JSON.stringify(entry)}\n`, done, failed });
        writing ??= write();
      }),
    settled: async () => {
      await writing;
    },
    close: async () => {
      await writing;
      await handle.close();
    },
  };
}

function parsedLine(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new StartFailure(`${place} cannot be read; move the file away to start empty`);
  }
}
