import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { commandOf } from './process-identity';

/**
 * Who listens on a port of this machine, as `program (process 123)`; `null` where the system does not tell, which is
 * common for other users' processes.
 */
export function listenerOf(port: number): string | null {
  const pid = fromProc(port) ?? fromLsof(port);
  if (pid === null) return null;
  const program = basename(commandOf(pid)?.[0]?.split(' ')[0] ?? '?');
  return `${program} (process ${pid.toString()})`;
}

/** Linux: the listening socket's inode, and the process that has it open. */
function fromProc(port: number): number | null {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port)));
  if (inodes.size === 0) return null;
  const holds = (pid: string): boolean => openFiles(pid).some((file) => inodes.has(file));
  const pid = listed('/proc').find((name) => /^\d+$/.test(name) && holds(name));
  return pid === undefined ? null : Number(pid);
}

const LISTENING = '0A';

function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  try {
    const rows = readFileSync(table, 'utf8').trim().split('\n').slice(1);
    const fields = rows.map((row) => row.trim().split(/\s+/));
    // Columns: 1 local address, 3 state, 9 inode.
    const found = fields.filter((row) => row[1]?.endsWith(suffix) && row[3] === LISTENING);
    return found.map((row) => `socket:[${row[9] ?? ''}]`);
  } catch {
    return [];
  }
}

function openFiles(pid: string): string[] {
  return listed(`/proc/${pid}/fd`).map((name) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return '';
    }
  });
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function fromLsof(port: number): number | null {
  try {
    const listing = execFileSync('lsof', ['-nP', '-Fp', `-iTCP:${port.toString()}`, '-sTCP:LISTEN'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 3_000,
    });
    const [, pid] = /^p(\d+)$/m.exec(listing) ?? [];
    return pid === undefined ? null : Number(pid);
  } catch {
    return null;
  }
}
