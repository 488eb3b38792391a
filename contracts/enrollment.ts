/** Why a photo cannot become a face template, in words a resident can act on (R3.14). */
export const PHOTO_REFUSALS = [
  'no-face',
  'several-faces',
  'too-dark',
  'too-bright',
  'too-small',
  'blurred',
  'not-usable',
] as const;
export type PhotoRefusal = (typeof PHOTO_REFUSALS)[number];

export const ENROLLMENT_STATES = [
  'requested',
  'processing',
  'active',
  'rejected',
  'failed',
  'cancelled',
  'deleted',
] as const;
export type EnrollmentState = (typeof ENROLLMENT_STATES)[number];

/** How an enrollment ended. `refusal` comes with `rejected` only. */
export type EnrollmentResult = {
  readonly state: Extract<EnrollmentState, 'active' | 'rejected' | 'failed' | 'cancelled'>;
  readonly refusal?: PhotoRefusal;
};

/** Argument of the enrollment workflow: opaque ids only; the photo waits, sealed, in the database. */
export type EnrollmentRequest = {
  readonly enrollmentId: string;
  readonly consentId: string;
  readonly partnerId: string;
  readonly custody: 'company' | 'partner';
};
