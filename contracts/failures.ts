/**
 * Every failure `type` that may cross an activity, workflow or HTTP boundary: whether trying again may help, whether
 * the effect may have happened although the call failed, and the status that an HTTP caller sees. No zod here: the
 * workflow bundle imports this file.
 */
export const FAILURES = {
  /** The request names something that does not exist or that the caller may not know of; the two look the same. */
  NotFound: { retryable: false, mayHaveHappened: false, httpStatus: 404 },
  ConsentMissing: { retryable: false, mayHaveHappened: false, httpStatus: 403 },
  /** The partner has no letter of attestation in force (R3.5), so nothing biometric begins with it. */
  PartnerNotAttested: { retryable: false, mayHaveHappened: false, httpStatus: 403 },
  ConsentStateConflict: { retryable: false, mayHaveHappened: false, httpStatus: 409 },
  EnrollmentConflict: { retryable: false, mayHaveHappened: false, httpStatus: 409 },
  /** The photo cannot serve as a face template; the reason is one a resident can act on. */
  PhotoUnusable: { retryable: false, mayHaveHappened: false, httpStatus: 422 },
  /** The not-after time of a command has passed. */
  DeadlinePassed: { retryable: false, mayHaveHappened: false, httpStatus: 504 },
  /** The partner understood and refused (4xx). */
  PartnerRejected: { retryable: false, mayHaveHappened: false, httpStatus: 502 },
  /** The partner asked us to slow down (429) or our own limit towards it is reached. */
  PartnerThrottled: { retryable: true, mayHaveHappened: false, httpStatus: 503 },
  /** No connection was made: nothing can have arrived. */
  PartnerUnreachable: { retryable: true, mayHaveHappened: false, httpStatus: 503 },
  /** The request was sent and no proper answer came (5xx, time-out, reset): it may have happened. */
  PartnerUnavailable: { retryable: true, mayHaveHappened: true, httpStatus: 503 },
  /** An answer came that is not of the agreed shape, size, type or signature: it may have happened. */
  PartnerMisanswered: { retryable: false, mayHaveHappened: true, httpStatus: 502 },
  /** The partner refused our credentials, also after we renewed them. */
  PartnerUnauthorized: { retryable: true, mayHaveHappened: false, httpStatus: 503 },
  /** The call would send a field that the data-set agreement does not list (R3.3). */
  DataNotAgreed: { retryable: false, mayHaveHappened: false, httpStatus: 502 },
  BillingUnavailable: { retryable: true, mayHaveHappened: false, httpStatus: 503 },
  /** The journal is no longer what was signed (journal/sealing.ts). */
  JournalBroken: { retryable: false, mayHaveHappened: false, httpStatus: 500 },
} as const satisfies Record<string, { retryable: boolean; mayHaveHappened: boolean; httpStatus: number }>;

export type FailureType = keyof typeof FAILURES;

/** Whether `type` is a name of {@link FAILURES}. */
export const isFailureType = (type: string | null | undefined): type is FailureType =>
  type != null && Object.hasOwn(FAILURES, type);
