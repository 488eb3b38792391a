import { randomUUID } from 'node:crypto';
import type { Logger } from '@temporalio/common';
import { appendJournal } from '../journal/journal';
import type { Found } from '../monitoring/watch';
import type { Transaction } from '../prisma/database';

/** Who raises, in the journal. */
export const ACTOR = 'security-monitoring';
/** Kind of an alert that tells of a suspension only: its cause has an alert already. */
export const SUSPENSION_ALERT = 'client-suspension';
const MOST_EVIDENCE = 30;

/** One alert for each cause while it lasts, in all processes together. @returns whether it is a new one */
export async function raiseFinding(tx: Transaction, found: Found, log: Logger): Promise<boolean> {
  const { kind, scope, objectId, integration, severity, times } = found;
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${kind}/${scope}/${objectId}`}, 0))`;
  const now = new Date();
  const until = new Date(now.getTime() + found.quietMs);
  // While nobody has looked, a cause that lasts is the same alert, which goes on calling.
  const isCurrent = { OR: [{ until: { gt: now } }, { acknowledgedAt: null }] };
  const current = await tx.securityAlert.findFirst({
    where: { kind, scope, objectId, ...isCurrent },
    orderBy: { raisedAt: 'desc' },
  });
  const alertId = current?.id ?? randomUUID();
  if (current) {
    const evidence = [...new Set([...current.evidence, ...found.evidence])].slice(-MOST_EVIDENCE);
    await tx.securityAlert.update({
      where: { id: alertId },
      data: { times: { increment: times }, evidence, ...(current.acknowledgedAt === null && { until }) },
    });
  } else {
    const evidence = found.evidence.slice(-MOST_EVIDENCE);
    const row = { id: alertId, integration, kind, scope, objectId, until, severity, evidence, times };
    await tx.securityAlert.create({ data: row });
    const entry = { integration, objectId: alertId, actor: ACTOR, outcome: kind, reason: severity };
    await appendJournal(tx, { kind: 'security-alert', ...entry });
    log.warn('a security alert was raised', { event: 'security-alert', code: kind });
  }
  const isSuspended = found.suspend !== undefined && (await suspend(tx, alertId, found.suspend));
  // Of the earlier alert everybody has been told, and somebody may have looked: this is another thing to be told.
  if (current && isSuspended) await raiseSuspension(tx, found, log);
  return !current;
}

/**
 * By policy, for a time, and partners only. What a person has lifted is not taken up again for the same alert.
 *
 * @returns whether it was suspended now
 */
async function suspend(
  tx: Transaction,
  alertId: string,
  { clientId, forMs }: NonNullable<Found['suspend']>,
): Promise<boolean> {
  const client = await tx.oAuthClient.findUnique({ where: { id: clientId } });
  if (client?.audience !== 'partner') return false;
  const suspendedAt = new Date();
  const until = new Date(suspendedAt.getTime() + forMs);
  const row = { id: randomUUID(), clientId, alertId, suspendedAt, until };
  const { count } = await tx.clientSuspension.createMany({ data: [row], skipDuplicates: true });
  if (count === 0) return false;
  await tx.oAuthClient.update({ where: { id: clientId }, data: { suspendedUntil: until } });
  const { integration } = client;
  const entry = { integration, objectId: row.id, actor: ACTOR, outcome: 'suspended', reason: clientId };
  await appendJournal(tx, { kind: 'client-suspension', ...entry });
  return true;
}

/** An alert of its own, with messages and calls of its own. */
async function raiseSuspension(
  tx: Transaction,
  { suspend: policy, integration, severity, quietMs, evidence }: Found,
  log: Logger,
): Promise<void> {
  if (!policy) return;
  const alertId = randomUUID();
  const about = { kind: SUSPENSION_ALERT, scope: 'client', objectId: policy.clientId, integration, severity };
  const until = new Date(Date.now() + quietMs);
  await tx.securityAlert.create({ data: { id: alertId, ...about, until, evidence: evidence.slice(-MOST_EVIDENCE) } });
  const entry = { integration, objectId: alertId, actor: ACTOR, outcome: SUSPENSION_ALERT, reason: severity };
  await appendJournal(tx, { kind: 'security-alert', ...entry });
  log.warn('a caller of which an alert told earlier was suspended', {
    event: 'security-alert',
    code: SUSPENSION_ALERT,
  });
}
