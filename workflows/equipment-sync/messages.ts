import { defineSignal } from '@temporalio/workflow';

/** Something changed at the partner, or a person asks: compare again, also when a comparison is under way. */
export const equipmentChanged = defineSignal('equipmentChanged');
