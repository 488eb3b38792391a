import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { noteComparedWithLedger } from '../../erasure/restore-check';
import { apiPlan, workerPlan } from '../../stack/processes';
import type { TaskQueue } from '../../contracts/ids';
import { freePorts } from '../support/free-ports';
import type { Harness } from '../support/harness';
import { until } from '../support/until';

/** A program of the build in a process of its own, which is there again whenever it was killed. */
export type RealProcess = { readonly ready: () => Promise<void>; readonly stop: () => Promise<void> };

type Starting = {
  readonly env?: Readonly<Record<string, string>>;
  /** File that Node loads before the program. */
  readonly preload?: string;
};

/** Starts the product's programs as the local stack does, on a harness's database, Temporal server and sandbox. */
export function realProcesses(h: Harness) {
  const logs = join(h.stateFolder, 'logs');
  const parts = {
    ...h,
    logs,
    journalHeads: join(h.stateFolder, 'journal-heads'),
    journalSpools: join(h.stateFolder, 'journal-spools'),
    erasures: join(h.stateFolder, 'erasures'),
  };
  for (const folder of [logs, parts.journalHeads, parts.erasures]) mkdirSync(folder, { recursive: true });
  const shared = (part: 'api' | 'smart_home' | 'communal' | 'core', healthPort: number): Record<string, string> => ({
    DATABASE_URL: h.db.urlFor(`domovoy_${part}`),
    KEY_STORE_URL: h.keyStoreUrlFor(`domovoy_keys_${part}`),
    TEMPORAL_ADDRESS: h.temporal.address,
    TEMPORAL_NAMESPACE: h.temporal.namespace ?? 'default',
    HEALTH_PORT: healthPort.toString(),
  });
  return {
    async worker(queue: TaskQueue, { env = {}, preload }: Starting = {}): Promise<RealProcess> {
      const [healthPort = 0] = await freePorts(1);
      const plan = workerPlan(parts, queue);
      const part = queue === 'smart-home' ? 'smart_home' : queue;
      return keepRunning(join(logs, `${plan.name}.log`), healthPort, {
        args: preloading(preload, plan.args),
        env: { ...plan.env, ...shared(part, healthPort), ...env },
      });
    },
    async api({ env: more = {}, preload }: Starting = {}): Promise<RealProcess & { readonly apiUrl: string }> {
      const [port = 0, healthPort = 0] = await freePorts(2);
      const apiUrl = `https://localhost:${port.toString()}`;
      // It opens nothing before the worker `core` has looked, which need not run here.
      await noteComparedWithLedger(h.owner);
      const { args, env } = apiPlan(parts);
      const running = keepRunning(join(logs, `api-${port.toString()}.log`), healthPort, {
        args: preloading(preload, args),
        env: {
          ...env,
          ...shared('api', healthPort),
          API_PORT: port.toString(),
          // What is signed for it names where it was sent.
          API_PUBLIC_URL: apiUrl,
          ...more,
        },
      });
      return { ...running, apiUrl };
    },
  };
}

const preloading = (file: string | undefined, args: readonly string[]): string[] =>
  file === undefined ? [...args] : ['--require', file, ...args];

function keepRunning(
  logFile: string,
  healthPort: number,
  { args, env }: { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> },
): RealProcess {
  let child: ChildProcess;
  let isStopping = false;
  function launch(): void {
    const log = openSync(logFile, 'a');
    // The channel's end, should this process die, ends that one.
    child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
    child.once('exit', () => {
      if (!isStopping) launch();
    });
  }
  launch();
  return {
    ready: () =>
      until(`${logFile} is of a process that is ready`, () =>
        fetch(`http://127.0.0.1:${healthPort.toString()}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
      ),
    async stop() {
      isStopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}
