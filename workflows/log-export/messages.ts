import { defineSignal } from '@temporalio/workflow';

/** Every part has come. */
export const logExportReceived = defineSignal('logExportReceived');
