import {
  BrokenCircuitError,
  bulkhead,
  BulkheadRejectedError,
  circuitBreaker,
  CircuitState,
  handleWhen,
  SamplingBreaker,
} from 'cockatiel';
import { FAILURES } from '../contracts/failures';
import { PartnerError } from './failure';
import type { HttpAnswer, PartnerHttp } from './http';

/** Half of at least ten calls within ten seconds failed: leave the partner alone for two seconds, then try one. */
const BREAKER = { threshold: 0.5, duration: 10_000, minimumRps: 1 };
const HALF_OPEN_AFTER_MS = 2_000;
/** When to try again after our own bulkhead was full, milliseconds. */
const BULKHEAD_RETRY_MS = 200;

export type Limits = {
  /** Agreed rate of our calls. */
  readonly requestsPerSecond: number;
  /** Calls under way at once, those that wait for a socket included. */
  readonly concurrency: number;
};

/**
 * Puts a circuit breaker, a bulkhead and the agreed rate between us and one partner (R4.13). A partner that fails fast
 * or hangs costs its own callers a quick refusal and nobody else anything. The rate is this process's own.
 */
export function isolated(http: PartnerHttp, { requestsPerSecond, concurrency }: Limits): PartnerHttp {
  const breaker = circuitBreaker(handleWhen(isPartnersFault), {
    breaker: new SamplingBreaker(BREAKER),
    halfOpenAfter: HALF_OPEN_AFTER_MS,
  });
  const compartment = bulkhead(concurrency, 0);
  const take = tokenBucket(requestsPerSecond);
  return {
    ...http,
    async send(request, call) {
      // While one call tries the partner out, cockatiel would let the others wait for it, however little time they have.
      if (breaker.state === CircuitState.HalfOpen) throw leftAlone();
      const waitMs = take();
      if (waitMs > 0)
        throw new PartnerError('PartnerThrottled', 'Our agreed rate is used up.', { retryAfterMs: waitMs });
      try {
        return await compartment.execute(() =>
          breaker.execute(async (): Promise<HttpAnswer> => {
            const answer = await http.send(request, call);
            if (answer.status >= 500) throw new FailedAnswer(answer);
            return answer;
          }),
        );
      } catch (error) {
        if (error instanceof FailedAnswer) return error.answer;
        if (error instanceof BrokenCircuitError) throw leftAlone();
        if (error instanceof BulkheadRejectedError) throw full();
        throw error;
      }
    },
  };
}

const leftAlone = (): PartnerError =>
  new PartnerError('PartnerUnreachable', 'The partner has been failing; nothing is sent for a moment.');

const full = (): PartnerError =>
  new PartnerError('PartnerThrottled', 'As many calls to the partner as are allowed are under way.', {
    retryAfterMs: BULKHEAD_RETRY_MS,
  });

/** Carries a 5xx through the breaker, so that it counts as a failure there and as an answer to the adapter. */
class FailedAnswer extends Error {
  readonly answer: HttpAnswer;
  constructor(answer: HttpAnswer) {
    super('The partner answered that it failed.');
    this.answer = answer;
  }
}

/** Our own cancellations and refusals with a reason say nothing about the partner's health. */
const isPartnersFault = (error: Error): boolean =>
  error instanceof FailedAnswer ||
  (error instanceof PartnerError && FAILURES[error.type].retryable && error.type !== 'PartnerThrottled');

/** @returns how long a call has to wait, milliseconds; 0: it may leave now. A second's worth may be used at once */
function tokenBucket(perSecond: number): () => number {
  const most = Math.max(perSecond, 1);
  let tokens = most;
  let filledAtMs = performance.now();
  return () => {
    const nowMs = performance.now();
    tokens = Math.min(most, tokens + ((nowMs - filledAtMs) / 1_000) * perSecond);
    filledAtMs = nowMs;
    if (tokens < 1) return Math.ceil(((1 - tokens) / perSecond) * 1_000);
    tokens -= 1;
    return 0;
  };
}
