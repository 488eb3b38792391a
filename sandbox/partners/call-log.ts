import type { Endpoint } from './faults';

/** One call that came in. Names of fields, never their values: enough to see what left the company. */
export type ReceivedCall = {
  readonly at: string;
  readonly endpoint: Endpoint | 'unknown';
  readonly method: string;
  /** Path and query as they came: there is to be nothing personal in them. */
  readonly target: string;
  /** Members of the JSON body or form, sorted; `image` for a picture. */
  readonly fields: readonly string[];
  readonly headers: readonly string[];
  /** SHA-256 of every value that came, by its place: who knows what should have come can tell that nothing else did. */
  readonly digests: Readonly<Record<string, string>>;
  readonly idempotencyKey: string | null;
  /** `null`: no answer was given. */
  readonly status: number | null;
};

/** Keeps the last `limit` calls in memory. */
export function createCallLog(limit = 2_000) {
  let calls: ReceivedCall[] = [];
  return {
    add: (call: ReceivedCall) => {
      calls.push(call);
      // Seldom, because moving them all at each call would cost more than the call.
      if (calls.length >= 2 * limit) calls = calls.slice(-limit);
    },
    list: (): readonly ReceivedCall[] => calls.slice(-limit),
    clear: () => {
      calls = [];
    },
  };
}
export type CallLog = ReturnType<typeof createCallLog>;
