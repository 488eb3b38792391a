import { defineUpdate } from '@temporalio/workflow';
import type { OpenAccessEnd } from '../../contracts/openings';

/** Answers when the opening has ended; sent together with the start of the execution (Update-with-Start). */
export const awaitOutcome = defineUpdate<OpenAccessEnd>('awaitOutcome');
