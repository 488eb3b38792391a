import { spawn } from 'node:child_process';

/** How often a long step says that it is still at work, milliseconds. */
const SAY_EVERY_MS = 10_000;

/**
 * Runs a program that takes long, and says every ten seconds that it is at work and on what.
 *
 * @throws an Error with its last words
 */
export async function runWithProgress(
  what: string,
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; print: (line: string) => void },
): Promise<void> {
  const startedMs = Date.now();
  const lines: string[] = [];
  const seconds = (): string => `${Math.round((Date.now() - startedMs) / 1_000).toString()} s`;
  const child = spawn(command, [...args], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      lines.push(...text.split('\n').filter((line) => line.trim() !== ''));
      lines.splice(0, Math.max(0, lines.length - 20));
    });
  }
  const ticker = setInterval(() => {
    options.print(`  ${what}: ${seconds()}${lines.length > 0 ? `, ${(lines.at(-1) ?? '').slice(0, 80)}` : ''}`);
  }, SAY_EVERY_MS);
  try {
    const code = await new Promise<number | null>((resolve, reject) =>
      child.once('error', reject).once('close', resolve),
    );
    if (code !== 0) throw new Error(`${what} failed: ${lines.slice(-3).join(' / ').slice(-400)}`);
    options.print(`  ${what}: done in ${seconds()}`);
  } finally {
    clearInterval(ticker);
  }
}
