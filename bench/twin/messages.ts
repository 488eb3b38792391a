import { defineUpdate } from '@temporalio/workflow';

export const awaitOutcome = defineUpdate<string>('awaitOutcome');
