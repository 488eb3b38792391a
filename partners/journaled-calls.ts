import { randomUUID } from 'node:crypto';
import { correlation, idToldTo } from '../config/correlation';
import type { NoteCall, PartnerCallEntry } from '../contracts/partner-calls';
import { BILLING, type BillingPort } from './billing';
import { measuredCall, type PartnerMetrics } from './measured';

/** Where calls are written (journal/exchanges.ts). It rides with the others: no call waits for its line. */
type CallJournal = { readonly called: (call: PartnerCallEntry) => void };

/**
 * Notes calls in the name of the request that they serve.
 *
 * @param caller the integration of the process that calls, if it is of one, and its name, for calls of no execution
 */
export const callNotes =
  (journal: CallJournal, caller: { readonly integration: string | null; readonly process: string }): NoteCall =>
  (partnerId, operation, outcome, durationMs, order) => {
    const known = correlation();
    const correlationId = known?.id ?? randomUUID();
    journal.called({
      integration: caller.integration,
      partnerId,
      operation,
      outcome,
      durationMs,
      correlationId,
      toldAs: idToldTo(partnerId, correlationId),
      execution: known?.workflowId ?? caller.process,
      order,
    });
  };

/** Has every measured call to a partner noted. */
export const journaledCalls = (metrics: PartnerMetrics, note: NoteCall): PartnerMetrics => ({
  called(...call) {
    metrics.called(...call);
    note(...call);
  },
});

/** Billing is a system of its own: asked as measured and journaled as a partner is. */
export const measuredBilling = (billing: BillingPort, metrics: PartnerMetrics): BillingPort => ({
  standing: (question, call) =>
    measuredCall({ partnerId: BILLING, operation: 'standing' }, metrics, () => billing.standing(question, call)),
});
