import type { Client } from '@temporalio/client';
import { erasureWorkflowId } from '../../contracts/ids';
import { PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { erasureChanged } from './messages';
import type { erasureWorkflow } from './workflow';

/**
 * Begins the erasure's execution, or has the one that is there look again. Also one that had ended is begun anew: what
 * it does follows from the row, and for a row that is closed it does nothing.
 */
export async function startErasure(temporal: Client, erasureId: string): Promise<void> {
  await temporal.workflow.signalWithStart<typeof erasureWorkflow>('erasureWorkflow', {
    workflowId: erasureWorkflowId(erasureId),
    taskQueue: 'core',
    args: [{ erasureId }],
    signal: erasureChanged,
    signalArgs: [],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: 'erasure of a person',
    typedSearchAttributes: [
      { key: PROCESS_ATTRIBUTE, value: 'erasure' },
      { key: STATE_ATTRIBUTE, value: 'waiting' },
    ],
  });
}
