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
      calls = [...calls.slice(-(limit - 1)), call];
    },
    list: (): readonly ReceivedCall[] => calls,
    clear: () => {
      calls = [];
    },
  };
}
export type CallLog = ReturnType<typeof createCallLog>;
