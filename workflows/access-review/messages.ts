import { defineSignal } from '@temporalio/workflow';

/** Somebody decided about rights: there may be none left. */
export const rightsDecided = defineSignal('rightsDecided');
