import { AsyncLocalStorage } from 'node:async_hooks';
import type { Carried } from '../contracts/correlation';

/** What is being worked for: from the app's request through the execution to the call at a partner (R2.5). */
export type Correlation = Carried & {
  /** The execution at work; absent in the API. */
  readonly workflowId?: string;
};

const current = new AsyncLocalStorage<Correlation>();

export const correlation = (): Correlation | undefined => current.getStore();
export const correlated = <T>(with_: Correlation, work: () => T): T => current.run(with_, work);
