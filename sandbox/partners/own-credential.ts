import { randomUUID } from 'node:crypto';
import type { CompanyClient } from './company-client';

/**
 * A partner that was given a new credential for its calls to the company tries it at once, by a call that changes
 * nothing: it says that its equipment may have changed, and the company compares. What comes of it concerns nobody here.
 */
export function tryAtCompany(company: CompanyClient): void {
  const eventId = randomUUID();
  const body = { eventId, at: new Date().toISOString() };
  const call = {
    method: 'POST',
    path: '/partner/v1/webhooks/equipment-changes',
    body,
    idempotencyKey: eventId,
  } as const;
  company.call(call).catch(() => undefined);
}
