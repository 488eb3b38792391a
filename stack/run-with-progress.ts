import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

/** How often a long step says that it is still at work, milliseconds. */
const SAY_EVERY_MS = 5_000;

/**
 * Runs a program that takes long, and says every few seconds that it is at work and on what. It ends, with all that it
 * started, when the signal asks for it or when this process exits.
 *
 * @throws an Error with its last words
 */
export async function runWithProgress(
  what: string,
  command: string,
  args: readonly string[],
  options: {
    cwd?: string;
    env?: NodeJS.ProcessEnv;
    print: (line: string) => void;
    signal?: AbortSignal | undefined;
    sayEveryMs?: number;
  },
): Promise<void> {
  const startedMs = Date.now();
  const lines: string[] = [];
  const seconds = (): string => `${Math.round((Date.now() - startedMs) / 1_000).toString()} s`;
  options.signal?.throwIfAborted();
  const child = spawn(command, [...args], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Compilers start others: only as a group can they be ended together.
    detached: true,
  });
  const end = (): void => {
    try {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    } catch {
      child.kill('SIGKILL');
    }
  };
  process.once('exit', end);
  options.signal?.addEventListener('abort', end, { once: true });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      const said = stripVTControlCharacters(text).split('\n');
      lines.push(...said.map((line) => line.trim()).filter((line) => line !== ''));
      lines.splice(0, Math.max(0, lines.length - 20));
    });
  }
  const ticker = setInterval(() => {
    options.print(`  ${what}: ${seconds()}${lines.length > 0 ? `, ${(lines.at(-1) ?? '').slice(0, 80)}` : ''}`);
  }, options.sayEveryMs ?? SAY_EVERY_MS);
  try {
    const code = await new Promise<number | null>((resolve, reject) =>
      child.once('error', reject).once('close', resolve),
    );
    options.signal?.throwIfAborted();
    if (code !== 0) throw new Error(`${what} failed: ${lines.slice(-3).join(' / ').slice(-400)}`);
    options.print(`  ${what}: done in ${seconds()}`);
  } finally {
    clearInterval(ticker);
    process.off('exit', end);
    options.signal?.removeEventListener('abort', end);
  }
}
