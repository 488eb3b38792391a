import * as wf from '@temporalio/workflow';
import { awaitOutcome } from './messages';

/**
 * What an opening is measured against: the least that an execution answered by Update-with-Start can be. The same
 * shape as `openAccessWorkflow`, one workflow task, and nothing in it.
 */
export async function noopWorkflow(): Promise<void> {
  wf.setHandler(awaitOutcome, () => 'done');
  await wf.condition(wf.allHandlersFinished);
}
