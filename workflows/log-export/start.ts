import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { logExportWorkflowId } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE } from '../../contracts/search-attributes';
import type { logExportWorkflow } from './workflow';

/** A demand that was approved, as its row has it. */
export type LogExportRequest = { readonly demandId: string; readonly dueAt: string; readonly integration: string };

/** Begins to wait for a partner's logs, also anew when that was ended by hand; who waits or has waited is left alone. */
export async function startLogExport(
  temporal: Client,
  { demandId, dueAt, integration }: LogExportRequest,
): Promise<void> {
  try {
    await temporal.workflow.start<typeof logExportWorkflow>('logExportWorkflow', {
      workflowId: logExportWorkflowId(demandId),
      taskQueue: 'core',
      args: [{ demandId, dueAt }],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
      staticSummary: "a partner's logs are awaited",
      typedSearchAttributes: [
        { key: INTEGRATION_ATTRIBUTE, value: integration },
        { key: PROCESS_ATTRIBUTE, value: 'log-export' },
      ],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
