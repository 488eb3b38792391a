import { ApplicationFailure } from '@temporalio/common';
import { FAILURES, type FailureType } from '../contracts/failures';

/** The one error that a partner adapter throws. Its message is ours: never the partner's text, an id or a payload. */
export class PartnerError extends Error {
  override readonly name = 'PartnerError';
  readonly type: FailureType;
  /** From Retry-After, milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(type: FailureType, message: string, options: { retryAfterMs?: number } = {}) {
    super(message);
    this.type = type;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Translates at the activity boundary: failures are written into histories and carry names from the table only. */
export function toApplicationFailure(error: unknown): unknown {
  if (!(error instanceof PartnerError)) return error;
  return ApplicationFailure.create({
    type: error.type,
    message: error.message,
    nonRetryable: !FAILURES[error.type].retryable,
    ...(error.retryAfterMs !== undefined && { nextRetryDelay: error.retryAfterMs }),
  });
}
