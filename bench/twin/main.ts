import { Registry } from 'prom-client';
import { join } from 'node:path';
import { NativeConnection, Runtime } from '@temporalio/worker';
import { serveHealth } from '../../config/health';
import { onShutdown, releaseParent } from '../../config/shutdown';
import { temporalAddress } from '../../config/temporal';
import { createWorker } from '../../workers/worker';
import { BARE_TASK_QUEUE } from './queue';

/** The bare twin's worker: a process of its own with the settings of ours, and without activities and encryption. */
async function main(): Promise<void> {
  Runtime.install({ shutdownSignals: [] });
  const { connectionOptions, namespace } = temporalAddress();
  const connection = await NativeConnection.connect(connectionOptions);
  const worker = await createWorker({
    connection,
    namespace,
    taskQueue: BARE_TASK_QUEUE,
    activities: {},
    workflows: { workflowsPath: join(__dirname, 'workflow.js') },
    dataConverter: {},
  });
  const health = await serveHealth({
    host: '127.0.0.1',
    port: Number(process.env['HEALTH_PORT']),
    registry: new Registry(),
    checks: {
      worker: () => (worker.getState() === 'RUNNING' ? Promise.resolve() : Promise.reject(new Error('not running'))),
    },
  });
  onShutdown(() => worker.shutdown());
  try {
    await worker.run();
  } finally {
    await health.close();
    await connection.close();
  }
  releaseParent();
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : 'The worker failed.');
  process.exitCode = 1;
  releaseParent();
});
