import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { isAlive, startTimeOf } from './process-identity';
import { StackError } from './stack-error';
import { readIfThere, writeDurably, type StateFolder } from './state-folder';

/** What a later start must know to end a process that this one leaves behind when it is killed. */
const Left = z.object({
  name: z.string(),
  pid: z.number().int().positive(),
  startTime: z.string().nullable(),
  stopSignal: z.enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP']),
  node: z.boolean(),
});
type Left = z.infer<typeof Left>;
export type StopSignal = Left['stopSignal'];

/** Longer than our own programs take to let open work end. */
const STOP_WITHIN_MS = 15_000;

const pidFile = (folder: StateFolder, name: string): string => join(folder.run, `${name}.pid`);

export function rememberProcess(
  folder: StateFolder,
  { name, stopSignal = 'SIGTERM', node }: { name: string; stopSignal?: StopSignal; node: boolean },
  pid: number,
): void {
  const left: Left = { name, pid, startTime: startTimeOf(pid), stopSignal, node };
  writeDurably(pidFile(folder, name), JSON.stringify(left));
}

export function forgetProcess(folder: StateFolder, name: string): void {
  rmSync(pidFile(folder, name), { force: true });
}

/**
 * Ends what an earlier stack left running because it was killed itself: our own programs first, then the servers they
 * use. Each is known by its pid and the time it started, so that nobody else's process is hit.
 */
export async function endOrphans(folder: StateFolder, print: (line: string) => void): Promise<void> {
  const files = readdirSync(folder.run).filter((name) => name.endsWith('.pid'));
  const left = files.map((file) => readLeft(join(folder.run, file))).filter((found) => found !== null);
  const orphans = left.filter(isAlive);
  for (const ours of [true, false]) {
    const group = orphans.filter(({ node }) => node === ours);
    await Promise.all(
      group.map(async (orphan) => {
        print(`Ending ${orphan.name} (process ${orphan.pid.toString()}), left by an earlier start.`);
        await endOrphan(orphan);
      }),
    );
  }
  for (const file of files) rmSync(join(folder.run, file), { force: true });
}

/** @returns `null` for a record that a crash left half written, or that is none */
function readLeft(path: string): Left | null {
  try {
    return Left.parse(JSON.parse(readIfThere(path) ?? 'null'));
  } catch {
    return null;
  }
}

async function endOrphan(orphan: Left): Promise<void> {
  for (const signal of [orphan.stopSignal, 'SIGKILL'] as const) {
    try {
      process.kill(orphan.pid, signal);
    } catch (error) {
      if ((error as { code?: string }).code === 'ESRCH') return;
      throw new StackError(
        `${orphan.name} (process ${orphan.pid.toString()}) was left by an earlier start as another user.`,
        'End it as that user, and start again.',
      );
    }
    for (let waitedMs = 0; waitedMs < STOP_WITHIN_MS && isAlive(orphan); waitedMs += 50) await pause(50);
    if (!isAlive(orphan)) return;
  }
}
