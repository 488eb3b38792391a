import { DefaultFailureConverter } from '@temporalio/common';

/**
 * Loaded by path, by the client and inside the workflow sandbox. Failure messages and stacks are encrypted like
 * payloads; with the default converter they would stay readable in histories.
 */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
