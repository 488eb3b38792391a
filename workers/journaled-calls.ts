import { randomUUID } from 'node:crypto';
import { correlation, idToldTo } from '../config/correlation';
import type { Integration } from '../contracts/ids';
import type { ExchangeJournal } from '../journal/exchanges';
import { BILLING, type BillingPort } from '../partners/billing';
import { measuredCall, type PartnerMetrics } from '../partners/measured';

/** Has every measured call to a partner noted in the journal. It rides with the others: no call waits for its line. */
export function journaledCalls(
  metrics: PartnerMetrics,
  journal: Pick<ExchangeJournal, 'called'>,
  integration: Integration,
): PartnerMetrics {
  return {
    called(partnerId, operation, outcome, durationMs, order) {
      metrics.called(partnerId, operation, outcome, durationMs, order);
      const known = correlation();
      const correlationId = known?.id ?? randomUUID();
      journal.called({
        integration,
        partnerId,
        operation,
        outcome,
        durationMs,
        correlationId,
        toldAs: idToldTo(partnerId, correlationId),
        execution: known?.workflowId ?? `worker-${integration}`,
        order,
      });
    },
  };
}

/** Billing is a system of its own: asked as measured and journaled as a partner is. */
export const measuredBilling = (billing: BillingPort, metrics: PartnerMetrics): BillingPort => ({
  standing: (question, call) =>
    measuredCall({ partnerId: BILLING, operation: 'standing' }, metrics, () => billing.standing(question, call)),
});
