/** First pause between two questions to the partner whether the face is enrolled, milliseconds. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

/** How long a partner may take to enroll a face before the enrollment is given up and undone, milliseconds. */
export const CUSTODIAN_MAY_TAKE_MS = 24 * 3_600_000;

/** @returns milliseconds to wait for a webhook before asking for the `question`-th time, counted from 0 */
export const pauseBeforeAskingMs = (question: number): number =>
  Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(question, 20));
