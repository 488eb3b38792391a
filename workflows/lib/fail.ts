import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { FAILURES, isFailureType, type FailureType } from '../../contracts/failures';

/** A failure of the table, ready to be thrown in a workflow or an update handler. */
export function fail(type: FailureType, message: string): ApplicationFailure {
  return ApplicationFailure.create({ type, message, nonRetryable: !FAILURES[type].retryable });
}

/** The name from the failure table behind an activity's failure; `null` for a time-out, a cancellation or a bug. */
export function failureType(error: unknown): FailureType | null {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof ApplicationFailure && isFailureType(cause.type) ? cause.type : null;
}
