import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { securityAlertWorkflowId } from '../../contracts/ids';
import { PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import type { AlertRequest } from '../../contracts/security-alerts';
import { alertAcknowledged } from './messages';
import type { securityAlertWorkflow } from './workflow';

/** Begins the alert's execution, or leaves the one that is there at work. */
export async function startSecurityAlert(temporal: Client, request: AlertRequest): Promise<void> {
  try {
    await temporal.workflow.start<typeof securityAlertWorkflow>('securityAlertWorkflow', {
      workflowId: securityAlertWorkflowId(request.alertId),
      taskQueue: 'core',
      args: [request],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      staticSummary: 'a security alert',
      typedSearchAttributes: [
        { key: PROCESS_ATTRIBUTE, value: 'security-alert' },
        { key: STATE_ATTRIBUTE, value: 'raised' },
      ],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

/** Tells the execution that somebody has looked. @returns whether it could be told; it also looks by itself */
export async function tellAlertAcknowledged(temporal: Client, alertId: string): Promise<boolean> {
  return temporal.workflow
    .getHandle(securityAlertWorkflowId(alertId))
    .signal(alertAcknowledged)
    .then(
      () => true,
      () => false,
    );
}
