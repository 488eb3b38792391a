import { z } from 'zod';
import { PartnerError } from './failure';
import { createPartnerHttp, parseAnswer } from './http';
import type { PartnerCall } from './ports';

export interface BillingPort {
  /** Whether the service is paid for on this account, as of when. @throws PartnerError `BillingUnavailable` */
  standing(
    question: { accountId: string; service: string },
    call: PartnerCall,
  ): Promise<{ standing: 'paid' | 'unpaid'; asOf: string }>;
}

const Answer = z.object({
  accountId: z.uuid(),
  service: z.string(),
  standing: z.enum(['paid', 'unpaid']),
  asOf: z.iso.datetime(),
});

/** Billing as the journal and the figures name it, where partners have their ids. */
export const BILLING = 'billing';

/**
 * Billing over HTTPS with a bearer secret of the company's own. An answer that says to be from the future counts as one
 * of now: how long it may be relied on while billing is out is counted from it.
 *
 * @param options.timeoutMs longest wait for one answer, milliseconds
 * @param options.secret read for each question, so that a rotated one is used at once
 */
export function createBillingClient(options: {
  baseUrl: string;
  caPem: string;
  timeoutMs: number;
  secret: () => Promise<string>;
}): BillingPort & { close(): Promise<void> } {
  const { caPem, timeoutMs } = options;
  const http = createPartnerHttp({ receiver: BILLING, caPem, timeoutMs, maxConnections: 32 });
  return {
    close: () => http.close(),
    async standing({ accountId, service }, call) {
      const path = `/billing/v1/accounts/${encodeURIComponent(accountId)}/services/${encodeURIComponent(service)}`;
      const url = new URL(options.baseUrl.replace(/\/+$/, '') + path);
      const headers = { authorization: `Bearer ${await options.secret()}` };
      try {
        const answer = await http.send({ method: 'GET', url, headers }, call);
        const now = new Date().toISOString();
        // An account that billing does not know has paid for nothing.
        if (answer.status === 404) return { standing: 'unpaid', asOf: now };
        if (answer.status !== 200) throw unavailable();
        const { standing, asOf, ...echo } = parseAnswer(answer, Answer);
        if (echo.accountId !== accountId || echo.service !== service) throw unavailable();
        return { standing, asOf: Date.parse(asOf) > Date.now() ? now : asOf };
      } catch (error) {
        call.signal.throwIfAborted();
        throw error instanceof PartnerError ? unavailable() : error;
      }
    },
  };
}

const unavailable = (): PartnerError => new PartnerError('BillingUnavailable', 'Billing gave no usable answer.');
