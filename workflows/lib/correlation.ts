import * as wf from '@temporalio/workflow';
import { CORRELATION_HEADER, type Carried, type SpanSinks } from '../../contracts/correlation';

type Headers = wf.ContinueAsNewInput['headers'];
type Payload = Headers[string];

const { spans } = wf.proxySinks<SpanSinks>();

/**
 * Hands on whose request an execution serves to everything that it begins. Headers are no part of what a replay
 * compares, so that histories from before they were sent replay as they are.
 *
 * An execution that was begun within a trace is a span of it, named by its run: nothing random is taken, no command is
 * made, and what is told at its end goes through a sink, which a replay does not repeat (docs/adr/0050).
 */
export const interceptors: wf.WorkflowInterceptorsFactory = () => {
  let carried: Payload | undefined;
  const hand = <I extends { readonly headers: Headers }>(input: I): I => {
    carried ??= wf.defaultPayloadConverter.toPayload({ id: wf.workflowInfo().runId });
    return { ...input, headers: { ...input.headers, [CORRELATION_HEADER]: carried } };
  };
  return {
    inbound: [
      {
        execute(input, next) {
          carried = input.headers[CORRELATION_HEADER];
          const span = carried && spanOf(carried);
          if (!span) return next(input);
          carried = span.carried;
          return next(input).then(
            (result) => {
              span.end();
              return result;
            },
            (error: unknown) => {
              span.end(error);
              throw error;
            },
          );
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

/** @returns `undefined` for an execution that is part of no trace */
function spanOf(payload: Payload): { readonly carried: Payload; end(error?: unknown): void } | undefined {
  const from = wf.defaultPayloadConverter.fromPayload<Carried>(payload);
  const { traceparent: parent } = from;
  if (parent === undefined) return undefined;
  const spanId = spanIdOf(wf.workflowInfo().runId);
  const begunMs = wf.workflowInfo().runStartTime.getTime();
  const within = parent.replace(/-[\da-f]{16}-/, `-${spanId}-`);
  return {
    carried: wf.defaultPayloadConverter.toPayload({ ...from, traceparent: within }),
    end(error) {
      const failure = failureOf(error);
      spans.ended({ parent, spanId, begunMs, endedMs: Date.now(), ...(failure !== undefined && { failure }) });
    },
  };
}

/** The random end of the run's id. */
const spanIdOf = (runId: string): string => runId.replaceAll('-', '').slice(-16);

function failureOf(error: unknown): string | undefined {
  if (error === undefined || error instanceof wf.ContinueAsNew) return undefined;
  if (error instanceof wf.ApplicationFailure) return error.type ?? 'ApplicationFailure';
  return error instanceof Error ? error.name : 'Error';
}
