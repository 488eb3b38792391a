import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { forgetProcess, rememberProcess, type StopSignal } from './left-processes';
import { StackError } from './stack-error';
import type { StateFolder } from './state-folder';

export { endOrphans } from './left-processes';

export type ProcessPlan = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A Node program of ours: gets an IPC channel, whose end tells it that the stack is gone. */
  readonly node: boolean;
  /** User and group to run as, where the program refuses to run as root. */
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly stopSignal?: StopSignal;
  /** How long it may take to end before it is killed, milliseconds. */
  readonly stopWithinMs?: number;
  /** Rejects or answers false while the process cannot be used yet. */
  readonly ready: () => Promise<boolean>;
  readonly readyWithinMs?: number;
};

export type Supervisor = {
  /**
   * Starts a process and waits until it is ready; from then on it is started again whenever it ends by itself.
   *
   * @throws StackError when it does not become ready, or when everything is being stopped
   */
  start(plan: ProcessPlan): Promise<void>;
  pidOf(name: string): number | null;
  /** Process ids by name, of those that run. */
  pids(): ReadonlyMap<string, number>;
  /** Ends everything: our own programs together, then the servers, last started first. May be called more than once. */
  stop(): Promise<void>;
  /** Kills at once what still runs. It also happens by itself when this process exits, however it comes to that. */
  kill(): void;
  /** Resolves with a sentence when a process cannot be kept alive. */
  readonly gaveUp: Promise<StackError>;
};

const STOP_WITHIN_MS = 25_000;
const READY_WITHIN_MS = 60_000;
/** One question whether it is ready; a server that hangs must not hang us. */
const ANSWER_WITHIN_MS = 5_000;
const RESTART_PAUSE_MS = 500;
/** More ends than this within a minute, and it is not started again. */
const RESTARTS_A_MINUTE = 6;
/** A log that is longer at a start is set aside; the one before it goes. */
const LOG_BYTES = 10_000_000;

type Running = { plan: ProcessPlan; child: ChildProcess | null; ends: number[]; neverStarted: string | null };

/** Keeps the processes of the local stack alive, and leaves none behind. */
export function createSupervisor(folder: StateFolder, print: (line: string) => void): Supervisor {
  const running: Running[] = [];
  let stopping: Promise<void> | null = null;
  let giveUp: (error: StackError) => void = () => undefined;
  const gaveUp = new Promise<StackError>((resolve) => (giveUp = resolve));

  const kill = (): void => {
    for (const { child } of running) if (child) signalGroup(child, 'SIGKILL');
  };
  process.once('exit', kill);

  function launch(entry: Running): void {
    const { plan } = entry;
    const log = openLog(folder, plan.name);
    const child = spawn(plan.command, [...plan.args], {
      env: { ...process.env, ...plan.env },
      // A group of its own: the terminal's Ctrl-C reaches the stack, which then ends its children in order.
      detached: true,
      stdio: plan.node ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
      ...plan.user,
    });
    closeSync(log);
    // Also for a channel that breaks; without a pid it means that there is no process, and no 'exit' will come.
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) entry.neverStarted = error.code ?? error.message;
    });
    if (child.pid === undefined) return;
    entry.child = child;
    rememberProcess(folder, plan, child.pid);
    child.once('exit', (code, signal) => {
      entry.child = null;
      forgetProcess(folder, plan.name);
      if (stopping === null) void restart(entry, signal ?? `code ${String(code)}`);
    });
  }

  async function restart(entry: Running, how: string): Promise<void> {
    const now = Date.now();
    entry.ends = [...entry.ends.filter((at) => now - at < 60_000), now];
    const { name } = entry.plan;
    if (entry.ends.length > RESTARTS_A_MINUTE) {
      giveUp(new StackError(`${name} ends again and again.`, `Its last words: ${lastWords(folder, name)}`));
      return;
    }
    print(`${name} ended (${how}); starting it again.`);
    await pause(RESTART_PAUSE_MS * entry.ends.length);
    if (stopping !== null) return;
    try {
      launch(entry);
    } catch (error) {
      giveUp(new StackError(`${name} cannot be started again.`, describe(error)));
    }
  }

  async function untilReady(entry: Running): Promise<void> {
    const { plan } = entry;
    const untilMs = Date.now() + (plan.readyWithinMs ?? READY_WITHIN_MS);
    while (Date.now() < untilMs) {
      if (entry.child && (await answersInTime(plan.ready))) break;
      if (stopping !== null) throw stopped();
      if (entry.neverStarted !== null) {
        throw new StackError(`${plan.name} cannot be started.`, `${plan.command}: ${entry.neverStarted}`);
      }
      if (entry.ends.length > 2) throw notReady(plan.name);
      await pause(100);
    }
    if (stopping !== null) throw stopped();
    if (Date.now() >= untilMs) throw notReady(plan.name);
  }

  const notReady = (name: string): StackError =>
    new StackError(`${name} did not become ready.`, `Its last words: ${lastWords(folder, name)}`);

  async function end({ child, plan }: Running): Promise<void> {
    if (!child) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(plan.stopSignal ?? 'SIGTERM');
    const killer = setTimeout(() => {
      print(`${plan.name} does not end; killing it.`);
      signalGroup(child, 'SIGKILL');
    }, plan.stopWithinMs ?? STOP_WITHIN_MS);
    await ended;
    clearTimeout(killer);
  }

  return {
    gaveUp,
    kill,
    async start(plan) {
      // What is started now would be seen by no one who stops.
      if (stopping !== null) throw stopped();
      const entry: Running = { plan, child: null, ends: [], neverStarted: null };
      running.push(entry);
      launch(entry);
      await untilReady(entry);
    },
    pidOf: (name) => running.find(({ plan }) => plan.name === name)?.child?.pid ?? null,
    pids: () =>
      new Map(
        running.flatMap(({ plan, child }) => (child?.pid === undefined ? [] : [[plan.name, child.pid] as const])),
      ),
    stop() {
      stopping ??= (async () => {
        // Our own programs rest on the servers and on nothing of each other that matters while ending.
        await Promise.all(running.filter(({ plan }) => plan.node).map(end));
        for (const entry of running.filter(({ plan }) => !plan.node).toReversed()) await end(entry);
        process.off('exit', kill);
      })();
      return stopping;
    },
  };
}

const stopped = (): StackError => new StackError('Stopped while starting.', 'Start again.');

async function answersInTime(ready: () => Promise<boolean>): Promise<boolean> {
  const tooLate = new AbortController();
  const timeout = pause(ANSWER_WITHIN_MS, false, { signal: tooLate.signal }).catch(() => false);
  try {
    return await Promise.race([ready(), timeout]);
  } catch {
    return false;
  } finally {
    tooLate.abort();
  }
}

/** To the process and to whatever it started in its group. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined && process.platform !== 'win32') process.kill(-child.pid, signal);
    else child.kill(signal);
  } catch {
    child.kill(signal);
  }
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const logFile = (folder: StateFolder, name: string): string => join(folder.logs, `${name}.log`);

function openLog(folder: StateFolder, name: string): number {
  const path = logFile(folder, name);
  const { size } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0 };
  if (size > LOG_BYTES) renameSync(path, `${path}.1`);
  return openSync(path, 'a', 0o600);
}

/** The end of a process's log, for the one sentence that says why it does not start. */
function lastWords(folder: StateFolder, name: string): string {
  const path = logFile(folder, name);
  const { size } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0 };
  const lines = size === 0 ? [] : readFileSync(path, 'utf8').trimEnd().split('\n');
  return `${lines.slice(-3).join(' / ').slice(-600)} (see ${path})`;
}
