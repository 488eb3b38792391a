/** What the erasure process is started with and answers. No zod here: the workflow bundle imports this file. */

/**
 * What a demand rests on, and so how long it may take (152-FZ, article 21): `consent-withdrawn` is part 5, 30 days;
 * `stop-processing` is part 5.1, 10 working days that may be prolonged by 5.
 */
export const ERASURE_BASES = ['stop-processing', 'consent-withdrawn'] as const;
export type ErasureBasis = (typeof ERASURE_BASES)[number];

/** Who may ask for it: the person, somebody with their power of attorney, or an authority or a court. */
export const ERASURE_REQUESTERS = ['self', 'representative', 'authority'] as const;
export type ErasureRequester = (typeof ERASURE_REQUESTERS)[number];

/** How the app's backend knows who asks, and how staff do. */
export const APP_PROOFS = ['esia', 'passkey', 'password-and-code'] as const;
export const STAFF_PROOFS = [
  'identity-document',
  'notarized-signature',
  'qualified-signature',
  'official-letter',
] as const;

/** Who asked, how they proved it, and where the proof is. What is erased cannot be brought back. */
export type ErasureProof = {
  readonly requestedBy: ErasureRequester;
  readonly method: (typeof APP_PROOFS)[number] | (typeof STAFF_PROOFS)[number];
  readonly identifiedAt: string;
  /** Opaque: where whoever identified them finds it. */
  readonly reference: string;
  /** Number of the power of attorney, or of the order or decision. */
  readonly mandate?: string | undefined;
};

/** Why a person pauses it. Access stays stopped all the while. */
export const HOLD_REASONS = ['legal-hold', 'dispute', 'authority-request'] as const;
export type HoldReason = (typeof HOLD_REASONS)[number];

/** Why a demand takes longer than the law gives at first; the resident is told which (152-FZ, article 21 part 5.1). */
export const PROLONG_REASONS = ['holder-not-confirmed', 'remains-found', 'system-fault'] as const;
export type ProlongReason = (typeof PROLONG_REASONS)[number];

/**
 * `waiting` for holders; `erasing`: our own rows and the key are gone, the search is not clean yet; `erased`: certified,
 * holders are asked once more later; `reopened`: one of them still had something; `closed`: they were asked.
 */
export const ERASURE_STATES = ['waiting', 'erasing', 'erased', 'reopened', 'closed'] as const;
export type ErasureState = (typeof ERASURE_STATES)[number];

/** What the journal says of an erasure; the act tells each of them in Russian (erasure/paper.ts). */
export const ERASURE_EVENTS = [
  'proposed',
  'approved',
  'identified',
  'requested',
  'held',
  'released',
  'prolonged',
  'escalated',
  'confirmed-by-holder',
  'kept-for-another',
  'found-at-holder',
  'reopened',
  'destroyed',
  'search-found',
  'search-clean',
  'certified',
  'restored',
  'closed',
] as const;
export type ErasureEvent = (typeof ERASURE_EVENTS)[number];

/** What the key store had of the person, among the categories that were destroyed. */
export const KEY_SHARE = 'key-share';

/** Why a partner that let go of a vehicle has its plate still: another person has registered the same car. */
export const KEPT_FOR_ANOTHER = 'kept-for-another';

/** Holders that are asked once more answer within this time, or a person is called. */
export const FOLLOW_UP_TAKES_MS = 86_400_000;

/**
 * Why a person is called: the law's time, holders that do not answer when they are asked once more, or one that held
 * something although it had confirmed.
 */
export type ErasureCallReason = 'due-soon' | 'overdue' | 'follow-up-unanswered' | 'found-at-holder';

/** Argument of the workflow: nothing but the opaque id. */
export type ErasureRequest = { readonly erasureId: string };

export type ErasureStanding = {
  readonly state: ErasureState | 'held';
  /** When a person is warned, and when the law's time is over (ISO 8601, UTC). */
  readonly warnAt: string;
  readonly dueAt: string;
  /** What it waits for: listed words and opaque ids. Empty: nothing holds anything any more but we. */
  readonly pending: readonly string[];
  readonly followUpAt: string | null;
  /** When a person is called because holders that are asked once more do not answer. Executions from before had none. */
  readonly followUpLateAt?: string | null;
  /** Who is to be asked once more, or was found to hold something still. */
  readonly holders: readonly { readonly holderId: string; readonly integration: string; readonly isFound: boolean }[];
};

export type SearchResult = {
  readonly searchedAt: string;
  /** How many places were looked at. */
  readonly places: number;
  readonly found: readonly { readonly place: string; readonly hits: number }[];
};
