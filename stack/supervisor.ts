import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isAlive, startTimeOf, type ProcessIdentity } from './process-identity';
import { StackError } from './stack-error';
import { writeDurably, type StateFolder } from './state-folder';

export type ProcessPlan = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A Node program of ours: gets an IPC channel, whose end tells it that the stack is gone. */
  readonly node: boolean;
  /** User and group to run as, where the program refuses to run as root. */
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly stopSignal?: NodeJS.Signals;
  /** Rejects or answers false while the process cannot be used yet. */
  readonly ready: () => Promise<boolean>;
  readonly readyWithinMs?: number;
};

export type Supervisor = {
  /** Starts a process and waits until it is ready; from then on it is started again whenever it ends by itself. */
  start(plan: ProcessPlan): Promise<void>;
  pidOf(name: string): number | null;
  /** Ends everything: our own programs together, then the servers, last started first. May be called more than once. */
  stop(): Promise<void>;
  /** Resolves with a sentence when a process cannot be kept alive. */
  readonly gaveUp: Promise<StackError>;
};

const STOP_WITHIN_MS = 25_000;
const RESTART_PAUSE_MS = 500;
/** More ends than this within a minute, and it is not started again. */
const RESTARTS_A_MINUTE = 6;

type Running = { plan: ProcessPlan; child: ChildProcess | null; ends: number[] };

/** Keeps the processes of the local stack alive, and leaves none behind. */
export function createSupervisor(folder: StateFolder, print: (line: string) => void): Supervisor {
  const running: Running[] = [];
  let stopping: Promise<void> | null = null;
  let giveUp: (error: StackError) => void = () => undefined;
  const gaveUp = new Promise<StackError>((resolve) => (giveUp = resolve));

  function launch(entry: Running): void {
    const { plan } = entry;
    const log = openSync(logFile(folder, plan.name), 'a');
    const child = spawn(plan.command, [...plan.args], {
      env: { ...process.env, ...plan.env },
      // A group of its own: the terminal's Ctrl-C reaches the stack, which then ends its children in order.
      detached: true,
      stdio: plan.node ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
      ...plan.user,
    });
    closeSync(log);
    entry.child = child;
    child.once('error', () => undefined);
    if (child.pid !== undefined) rememberProcess(folder, plan.name, child.pid);
    child.once('exit', () => {
      entry.child = null;
      forgetProcess(folder, plan.name);
      if (stopping === null) void restart(entry);
    });
  }

  async function restart(entry: Running): Promise<void> {
    const now = Date.now();
    entry.ends = [...entry.ends.filter((at) => now - at < 60_000), now];
    const { name } = entry.plan;
    if (entry.ends.length > RESTARTS_A_MINUTE) {
      giveUp(new StackError(`${name} ends again and again.`, `Its last words: ${lastWords(folder, name)}`));
      return;
    }
    print(`${name} ended; starting it again.`);
    await pause(RESTART_PAUSE_MS * entry.ends.length);
    if (stopping === null) launch(entry);
  }

  async function untilReady(entry: Running): Promise<void> {
    const { plan } = entry;
    const untilMs = Date.now() + (plan.readyWithinMs ?? 60_000);
    while (Date.now() < untilMs) {
      if (stopping !== null) return;
      if (await plan.ready().catch(() => false)) return;
      if (entry.ends.length > 2) break;
      await pause(100);
    }
    throw new StackError(`${plan.name} did not become ready.`, `Its last words: ${lastWords(folder, plan.name)}`);
  }

  async function end(entry: Running): Promise<void> {
    const { child, plan } = entry;
    if (!child?.pid) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(plan.stopSignal ?? 'SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await ended;
    clearTimeout(killer);
  }

  return {
    gaveUp,
    async start(plan) {
      const entry: Running = { plan, child: null, ends: [] };
      running.push(entry);
      launch(entry);
      await untilReady(entry);
    },
    pidOf: (name) => running.find(({ plan }) => plan.name === name)?.child?.pid ?? null,
    stop() {
      stopping ??= (async () => {
        // Our own programs rest on the servers and on nothing of each other that matters while ending.
        await Promise.all(running.filter(({ plan }) => plan.node).map(end));
        for (const entry of running.filter(({ plan }) => !plan.node).toReversed()) await end(entry);
      })();
      return stopping;
    },
  };
}

const logFile = (folder: StateFolder, name: string): string => join(folder.logs, `${name}.log`);
const pidFile = (folder: StateFolder, name: string): string => join(folder.run, `${name}.pid`);

function rememberProcess(folder: StateFolder, name: string, pid: number): void {
  writeDurably(pidFile(folder, name), JSON.stringify({ pid, startTime: startTimeOf(pid) }));
}

function forgetProcess(folder: StateFolder, name: string): void {
  rmSync(pidFile(folder, name), { force: true });
}

/** The end of a process's log, for the one sentence that says why it does not start. */
function lastWords(folder: StateFolder, name: string): string {
  const path = logFile(folder, name);
  const { size } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0 };
  const lines = size === 0 ? [] : readFileSync(path, 'utf8').trimEnd().split('\n');
  return `${lines.slice(-3).join(' / ').slice(-600)} (see ${path})`;
}

/**
 * Ends what an earlier stack left running because it was killed itself. Each is known by its pid and the time it
 * started, so that nobody else's process is hit.
 */
export async function endOrphans(folder: StateFolder, print: (line: string) => void): Promise<void> {
  for (const file of readdirSync(folder.run).filter((name) => name.endsWith('.pid'))) {
    const path = join(folder.run, file);
    const identity = readIdentity(path);
    if (identity !== null && isAlive(identity)) {
      print(`Ending ${file.slice(0, -4)} (process ${identity.pid.toString()}), left by an earlier start.`);
      await endProcess(identity);
    }
    rmSync(path, { force: true });
  }
}

function readIdentity(path: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return null;
  }
}

async function endProcess(identity: ProcessIdentity): Promise<void> {
  process.kill(identity.pid, 'SIGTERM');
  for (let waitedMs = 0; waitedMs < 10_000 && isAlive(identity); waitedMs += 50) await pause(50);
  if (isAlive(identity)) process.kill(identity.pid, 'SIGKILL');
  while (isAlive(identity)) await pause(20);
}
