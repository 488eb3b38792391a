import type { FailureType } from './failures';

/** Why biometrics are deleted. The process is one; only what it rests on differs. */
export const DELETION_REASONS = ['withdrawal', 'expiry', 'sale', 'erasure'] as const;
export type DeletionReason = (typeof DELETION_REASONS)[number];

export const DELETION_STATES = ['deleting', 'deleted'] as const;
export type DeletionState = (typeof DELETION_STATES)[number];

/** Argument of the deletion workflow: opaque ids only. */
export type DeletionRequest = {
  /** Of a consent that ended: the consent's own id. */
  readonly deletionId: string;
  readonly residentId: string;
  readonly partnerId: string;
  readonly reason: DeletionReason;
  readonly houseIds: readonly string[] | 'all';
  /** When it became due (ISO 8601, UTC): people are called counting from then. */
  readonly requestedAt: string;
};

/** Why a deletion is not over: what an escalation gives as its reason. */
export type DeletionObstacle =
  | FailureType
  /** The partner took the order and has not confirmed it. */
  | 'DeletionPending'
  /** An enrollment that was cancelled has not undone what it did. */
  | 'EnrollmentInProgress'
  /** A hold on the resident is in force: nothing is destroyed until it ends. */
  | 'OnHold'
  /** Our own worker could not ask. */
  | 'NotAsked';
