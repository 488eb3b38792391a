import type { Context } from '@temporalio/activity';
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import type { ActivityInterceptors } from '@temporalio/worker';
import { z } from 'zod';
import { correlated } from '../config/correlation';
import { traced } from '../config/tracing';
import { CORRELATION_HEADER } from '../contracts/correlation';

const Carried = z.object({ id: z.uuid(), traceparent: z.string().optional() });

/** Runs each activity in the name of the request that it serves, so that calls and log lines say which it is. */
export const correlatedActivities = (context: Context): ActivityInterceptors => {
  const { workflowExecution, activityType, attempt, taskQueue } = context.info;
  let carried: z.infer<typeof Carried> | undefined;
  return {
    inbound: {
      execute(input, next) {
        carried = carriedBy(input.headers);
        const { id = workflowExecution?.runId, traceparent } = carried ?? {};
        if (id === undefined) return next(input);
        const known = {
          id,
          ...(traceparent !== undefined && { traceparent }),
          ...(workflowExecution && { workflowId: workflowExecution.workflowId }),
        };
        const attributes = {
          'domovoy.attempt': attempt,
          'domovoy.correlation_id': id,
          'domovoy.task_queue': taskQueue,
          'domovoy.workflow_id': workflowExecution?.workflowId,
        };
        return correlated(known, () => traced({ name: activityType, kind: 'internal', attributes }, () => next(input)));
      },
    },
    outbound: {
      getLogAttributes: (attributes, next) =>
        next({ ...attributes, ...(carried !== undefined && { correlationId: carried.id }) }),
    },
  };
};

function carriedBy(headers: Headers): z.infer<typeof Carried> | undefined {
  const payload = headers[CORRELATION_HEADER];
  if (!payload) return undefined;
  const parsed = Carried.safeParse(defaultPayloadConverter.fromPayload(payload));
  return parsed.success ? parsed.data : undefined;
}
