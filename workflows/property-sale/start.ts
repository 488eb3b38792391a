import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { propertySaleWorkflowId } from '../../contracts/ids';
import type { SaleRequest } from '../../contracts/property-sales';
import { PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { saleChanged } from './messages';
import type { propertySaleWorkflow } from './workflow';

const optionsFor = (request: SaleRequest) => ({
  workflowId: propertySaleWorkflowId(request.saleId),
  taskQueue: 'core',
  args: [request] as [SaleRequest],
  staticSummary: 'sale of a property',
  typedSearchAttributes: [
    { key: PROCESS_ATTRIBUTE, value: 'property-sale' },
    { key: STATE_ATTRIBUTE, value: 'scheduled' },
  ],
});

/** Begins the execution of a sale, or has the one that is there look again. Safe to repeat. */
export async function tellSale(temporal: Client, request: SaleRequest): Promise<void> {
  await temporal.workflow.signalWithStart<typeof propertySaleWorkflow>('propertySaleWorkflow', {
    ...optionsFor(request),
    signal: saleChanged,
    signalArgs: [],
  });
}

/** Begins the execution that a row says is due; one that is at work is left alone. */
export async function resumeSale(temporal: Client, request: SaleRequest): Promise<void> {
  try {
    await temporal.workflow.start<typeof propertySaleWorkflow>('propertySaleWorkflow', {
      ...optionsFor(request),
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
