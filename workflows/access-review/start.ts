import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { PROCESS_ATTRIBUTE } from '../../contracts/search-attributes';
import type { accessReviewWorkflow } from './workflow';

/** A campaign, as its row has it; without `dueAt` one that begins now. */
export type ReviewRequest = { readonly reviewId: string; readonly workflowId: string; readonly dueAt?: string };

/** Begins a campaign, or goes on with one whose execution was ended by hand; one that is at work or over is left alone. */
export async function startReview(temporal: Client, { reviewId, workflowId, dueAt }: ReviewRequest): Promise<void> {
  try {
    await temporal.workflow.start<typeof accessReviewWorkflow>('accessReviewWorkflow', {
      workflowId,
      taskQueue: 'core',
      args: [{ reviewId, ...(dueAt !== undefined && { dueAt }) }],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
      staticSummary: 'a review of rights',
      typedSearchAttributes: [{ key: PROCESS_ATTRIBUTE, value: 'access-review' }],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
