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
