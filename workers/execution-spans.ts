import type { InjectedSinks } from '@temporalio/worker';
import { beginSpan } from '../config/tracing';
import type { SpanSinks } from '../contracts/correlation';

/** Tells of executions that are over, as part of the trace of the request that began them. */
export const executionSpans: InjectedSinks<SpanSinks> = {
  spans: {
    ended: {
      callDuringReplay: false,
      fn({ workflowType, workflowId, taskQueue }, { parent, spanId, begunMs, endedMs, failure }) {
        const attributes = { 'domovoy.workflow_id': workflowId, 'domovoy.task_queue': taskQueue };
        const named = { name: workflowType, kind: 'internal', attributes } as const;
        beginSpan(named, { parent, spanId, atMs: begunMs })?.end(failure, {}, endedMs);
      },
    },
  },
};
