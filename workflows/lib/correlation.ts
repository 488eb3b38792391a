import * as wf from '@temporalio/workflow';
import { CORRELATION_HEADER } from '../../contracts/correlation';

type Headers = wf.ContinueAsNewInput['headers'];

/**
 * Hands on whose request an execution serves to everything that it begins. Headers are no part of what a replay
 * compares, so that histories from before they were sent replay as they are.
 */
export const interceptors: wf.WorkflowInterceptorsFactory = () => {
  let carried: Headers[string] | undefined;
  const hand = <I extends { readonly headers: Headers }>(input: I): I => {
    carried ??= wf.defaultPayloadConverter.toPayload({ id: wf.workflowInfo().runId });
    return { ...input, headers: { ...input.headers, [CORRELATION_HEADER]: carried } };
  };
  return {
    inbound: [
      {
        execute(input, next) {
          carried = input.headers[CORRELATION_HEADER];
          return next(input);
        },
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) => next(hand(input)),
        scheduleLocalActivity: (input, next) => next(hand(input)),
        startChildWorkflowExecution: (input, next) => next(hand(input)),
        continueAsNew: (input, next) => next(hand(input)),
      },
    ],
  };
};
