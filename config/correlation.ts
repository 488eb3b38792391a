import { AsyncLocalStorage } from 'node:async_hooks';
import { createHmac } from 'node:crypto';
import type { Carried } from '../contracts/correlation';

/** What is being worked for: from the app's request through the execution to the call at a partner (R2.5). */
export type Correlation = Carried & {
  /** The execution at work; absent in the API. */
  readonly workflowId?: string;
};

const current = new AsyncLocalStorage<Correlation>();

export const correlation = (): Correlation | undefined => current.getStore();
export const correlated = <T>(with_: Correlation, work: () => T): T => current.run(with_, work);

/**
 * What another system is told of the request that a call serves: the same for all calls of one request, and of one sale or
 * erasure, but another for each receiver. Two that lay their logs side by side do not learn that it was one person. We
 * get from our id to theirs by this, and back by the journal (journal/partner-calls.ts).
 *
 * @param id ours, which no receiver is told: it is the key of the HMAC (RFC 2104)
 * @returns a UUID of version 8 (RFC 9562, section 5.8)
 */
export function idToldTo(receiver: string, id: string): string {
  const bytes = createHmac('sha256', id).update(`x-request-id/${receiver}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
