import type { PartnerCallEntry } from '../contracts/partner-calls';
import type { Noted } from './spool';

/** How a call is written. {@link readPartnerCall} reads it. */
export const partnerCallRecord = (call: PartnerCallEntry): Noted => ({
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
