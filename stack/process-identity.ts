import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export type ProcessIdentity = { readonly pid: number; readonly startTime: string | null };

/** When a process started, so that a reused pid is not mistaken for it; `null` where the system does not tell. */
export function startTimeOf(pid: number): string | null {
  // The 22nd field of all; the third, the state, is the first after the command's closing bracket.
  if (process.platform === 'linux') return statOf(pid)?.[19] ?? null;
  return ps(pid, 'lstart=');
}

/** Whether that very process still runs. A zombie has ended already. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  // Not a process: 0 and negative numbers would ask about groups.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as { code?: string }).code !== 'EPERM') return false;
  }
  if (statOf(pid)?.[0] === 'Z') return false;
  return startTime === null || startTimeOf(pid) === startTime;
}

/** The arguments a process was started with, its program first; `null` where the system does not tell. */
export function commandOf(pid: number): string[] | null {
  if (process.platform !== 'linux') return ps(pid, 'args=')?.split(/\s+/) ?? null;
  try {
    const line = readFileSync(`/proc/${pid.toString()}/cmdline`, 'utf8');
    return line === '' ? null : line.replace(/\0$/, '').split('\0');
  } catch {
    return null;
  }
}

/** The fields of /proc/<pid>/stat from the state on; the command before it may hold any character. */
function statOf(pid: number): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid.toString()}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

function ps(pid: number, field: string): string | null {
  try {
    const answer = execFileSync('ps', ['-o', field, '-p', pid.toString()], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 3_000,
    });
    return answer.trim() || null;
  } catch {
    return null;
  }
}
