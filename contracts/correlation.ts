/**
 * Temporal header under which executions and activities carry whose request they serve. Temporal does not encrypt
 * headers: an id of a request and nothing else.
 */
export const CORRELATION_HEADER = 'domovoy-correlation';

export type Carried = {
  /** A UUID: the request's, or the run's where no request began it. */
  readonly id: string;
  /** W3C trace context (https://www.w3.org/TR/trace-context/) while traces are on. */
  readonly traceparent?: string;
};

/** What an execution tells of itself when it is over, while traces are on: it is no side effect that a replay repeats. */
export type ExecutionSpan = {
  readonly parent: string;
  readonly spanId: string;
  readonly begunMs: number;
  readonly endedMs: number;
  /** Name of what went wrong; absent when nothing did. */
  readonly failure?: string;
};
/** The sinks (https://docs.temporal.io/develop/typescript/observability) that take it. */
export type SpanSinks = { readonly spans: { ended(span: ExecutionSpan): void } };
