import type { JournalRecord } from './journal';

/** One call of ours to another system and what came of it (R0.11). No content: only that it was made, by what and for whom. */
export type PartnerCallEntry = {
  readonly integration: string;
  /** The partner, or `billing`. */
  readonly partnerId: string;
  readonly operation: string;
  /** `ok`, the name of a failure, or `cancelled`. */
  readonly outcome: string;
  readonly durationMs: number;
  /** UUID of the request that it serves. */
  readonly correlationId: string;
  /** The id under which the other system was told of that request. */
  readonly toldAs: string;
  /** The execution that calls. */
  readonly execution: string;
  /** The key that an order went under, of which no row of ours tells: the partner's log has it, too (R3.6). */
  readonly order?: string | undefined;
};

/** How such a call is written. {@link readPartnerCall} reads it. */
export const partnerCallRecord = (call: PartnerCallEntry): JournalRecord => ({
  kind: 'partner-call',
  integration: call.integration,
  objectId: call.correlationId,
  actor: call.execution,
  outcome: call.outcome,
  reason: [
    ...[call.partnerId, call.operation, Math.round(call.durationMs).toString(), call.toldAs],
    ...(call.order === undefined ? [] : [call.order]),
  ].join(' '),
});

/** @returns `null` for an entry that is no call to a partner */
export function readPartnerCall(entry: { readonly kind: string; readonly reason: string | null }): {
  readonly partnerId: string;
  readonly operation: string;
  readonly durationMs: number;
  /** Absent from entries of before. */
  readonly toldAs?: string;
  readonly order?: string;
} | null {
  const [partnerId, operation, durationMs, toldAs, order] = (entry.reason ?? '').split(' ');
  if (entry.kind !== 'partner-call' || partnerId === undefined || operation === undefined) return null;
  return {
    ...{ partnerId, operation, durationMs: Number(durationMs) },
    ...(toldAs !== undefined && { toldAs }),
    ...(order !== undefined && { order }),
  };
}
