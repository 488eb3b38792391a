import { readFileSync } from 'node:fs';

export type ProcessIdentity = { readonly pid: number; readonly startTime: string | null };

/** When a process started, so that a reused pid is not mistaken for it; `null` where /proc does not tell. */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid.toString()}/stat`, 'utf8');
    // Fields after the command's closing bracket; the start time is the 22nd of all.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** Whether that very process still runs. A zombie has ended already. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
  if (isZombie(pid)) return false;
  return startTime === null || startTimeOf(pid) === startTime;
}

function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid.toString()}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}
