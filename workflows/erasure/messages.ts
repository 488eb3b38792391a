import { defineSignal } from '@temporalio/workflow';

/** Something about the erasure has changed: paused, released, or a holder was found. A hint only: the row says what. */
export const erasureChanged = defineSignal('erasureChanged');
