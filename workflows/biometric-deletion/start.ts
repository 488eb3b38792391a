import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import type { DeletionRequest } from '../../contracts/deletions';
import type { Integration } from '../../contracts/ids';
import { deletionOptions } from './options';
import type { biometricDeletionWorkflow } from './workflow';

/** Begins the deletion that a row says is due, unless its execution is there. */
export async function startDeletion(
  temporal: Client,
  request: DeletionRequest,
  integration: Integration,
): Promise<void> {
  try {
    await temporal.workflow.start<typeof biometricDeletionWorkflow>('biometricDeletionWorkflow', {
      ...deletionOptions(request, integration),
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
