import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import type { Ports } from './ports';
import type { StateFolder } from './state-folder';
import type { ProcessPlan } from './supervisor';

export const NAMESPACE = 'domovoy';

/** Without these every task of the development server waits on a grid of 50 ms (one history shard polls 20 times a second). */
export const QUICK_SETTINGS = [
  'history.transferProcessorMaxPollRPS=1000',
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
  // An execution is deleted when the queues have noted that it was closed, which they do every ten seconds.
  'history.transferProcessorUpdateAckInterval="500ms"',
  'history.visibilityProcessorUpdateAckInterval="500ms"',
];

const SEARCH_ATTRIBUTES = [
  'DomovoyIntegration=Keyword',
  'DomovoyProcess=Keyword',
  'DomovoyState=Keyword',
  'DomovoyDueAt=Datetime',
];

/** `kept`: in the state folder, and there after a restart. `in-memory`: gone with the server, and twice as quick. */
export type Histories = 'kept' | 'in-memory';

/** A real Temporal server with its UI. */
export function temporalPlan(cli: string, folder: StateFolder, ports: Ports, histories: Histories): ProcessPlan {
  const address = `127.0.0.1:${ports.temporal.toString()}`;
  const store = histories === 'kept' ? ['--db-filename', join(folder.temporal, 'temporal.db')] : [];
  return {
    name: 'temporal',
    command: cli,
    args: [
      'server',
      'start-dev',
      ...['--ip', '127.0.0.1', '--port', ports.temporal.toString()],
      ...['--ui-ip', '127.0.0.1', '--ui-port', ports.temporalUiPlain.toString()],
      ...[...store, '--namespace', NAMESPACE, '--log-level', 'warn'],
      ...QUICK_SETTINGS.flatMap((value) => ['--dynamic-config-value', value]),
      ...SEARCH_ATTRIBUTES.flatMap((attribute) => ['--search-attribute', attribute]),
    ],
    node: false,
    ready: () => namespaceAnswers(address),
    readyWithinMs: 90_000,
  };
}

async function namespaceAnswers(address: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: 2_000 });
  try {
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace: NAMESPACE });
    return namespaceInfo?.name === NAMESPACE;
  } finally {
    await connection.close();
  }
}
