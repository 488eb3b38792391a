import { defineUpdate } from '@temporalio/workflow';
import type { OpenAccessResult } from '../../contracts/openings';

/** Answers when the opening has ended; sent together with the start of the execution (Update-with-Start). */
export const awaitOutcome = defineUpdate<OpenAccessResult>('awaitOutcome');
