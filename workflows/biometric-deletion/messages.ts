import { defineSignal } from '@temporalio/workflow';

/** The partner says that something was deleted. A hint only: the workflow then asks the partner itself. */
export const deletionChanged = defineSignal('deletionChanged');
