import { defineSignal } from '@temporalio/workflow';

/** Somebody has looked at the alert; the row says who. */
export const alertAcknowledged = defineSignal('alertAcknowledged');
