import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { consentWorkflowId } from '../../contracts/ids';
import { consentWithdrawn } from './messages';

/** Ends the execution of a consent whose row says that it has ended. One that is over has nothing to be told. */
export async function tellConsentEnded(temporal: Client, consentId: string): Promise<void> {
  await temporal.workflow
    .getHandle(consentWorkflowId(consentId))
    .signal(consentWithdrawn)
    .catch((error: unknown) => {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    });
}
