import { defineSignal } from '@temporalio/workflow';

/** The partner says that something changed. A hint only: the workflow then asks the partner itself (R3.14). */
export const enrollmentChanged = defineSignal('enrollmentChanged');
