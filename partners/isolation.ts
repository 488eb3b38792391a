import { BrokenCircuitError, circuitBreaker, handleWhen, SamplingBreaker } from 'cockatiel';
import { FAILURES } from '../contracts/failures';
import { PartnerError } from './failure';
import type { HttpAnswer, PartnerHttp } from './http';

/** Half of at least ten calls within ten seconds failed: leave the partner alone for two seconds, then try one. */
const BREAKER = { threshold: 0.5, duration: 10_000, minimumRps: 1 };
const HALF_OPEN_AFTER_MS = 2_000;

/**
 * Puts a circuit breaker and the agreed rate between us and one partner (R4.13). A partner that fails fast or hangs
 * costs its own callers a quick refusal and nobody else anything.
 */
export function isolated(http: PartnerHttp, requestsPerSecond: number): PartnerHttp {
  const breaker = circuitBreaker(handleWhen(isPartnersFault), {
    breaker: new SamplingBreaker(BREAKER),
    halfOpenAfter: HALF_OPEN_AFTER_MS,
  });
  const take = tokenBucket(requestsPerSecond);
  return {
    ...http,
    async send(request, call) {
      if (!take()) throw new PartnerError('PartnerThrottled', 'Our agreed rate is used up.', { retryAfterMs: 200 });
      try {
        return await breaker.execute(async (): Promise<HttpAnswer> => {
          const answer = await http.send(request, call);
          if (answer.status >= 500) throw new FailedAnswer(answer);
          return answer;
        });
      } catch (error) {
        if (error instanceof FailedAnswer) return error.answer;
        if (!(error instanceof BrokenCircuitError)) throw error;
        throw new PartnerError('PartnerUnreachable', 'The partner has been failing; nothing is sent for a moment.');
      }
    },
  };
}

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

/** @returns whether a call may leave now; a second's worth may be used at once */
function tokenBucket(perSecond: number): () => boolean {
  let tokens = perSecond;
  let filledAtMs = performance.now();
  return () => {
    const nowMs = performance.now();
    tokens = Math.min(Math.max(perSecond, 1), tokens + ((nowMs - filledAtMs) / 1_000) * perSecond);
    filledAtMs = nowMs;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}
