import { log } from '@temporalio/activity';
import type { Severity } from '../contracts/security-alerts';
import type { AlarmDay, CredentialRef } from '../contracts/credentials';
import { nameBasedId } from '../journal/alerts';
import { appendJournal } from '../journal/journal';
import type { Database, Transaction } from '../prisma/database';

/** What a credential goes by in the journal, in alerts and in the keys of calls. */
export const credentialId = ({ partnerId, direction, name }: CredentialRef): string =>
  `${partnerId}/${direction}/${name}`;

/** Writes down what became of a credential, in the transaction of it. */
export const noteCredential = (
  tx: Transaction,
  credential: CredentialRef,
  outcome: string,
  reason?: string,
): Promise<void> =>
  appendJournal(tx, {
    kind: 'credential',
    integration: credential.integration,
    objectId: credentialId(credential),
    actor: 'credential-rotation',
    outcome,
    reason,
  });

/** Tells somebody that a credential ends and has no successor in use: once for each day, however often it is asked. */
export async function raiseExpiryAlarm(
  database: Database,
  credential: CredentialRef,
  day: AlarmDay,
  at: { now: string; end: string },
): Promise<void> {
  const { integration, partnerId } = credential;
  const objectId = credentialId(credential);
  const scope = `${day.toString()}-days`;
  const raised = await database.$transaction(async (tx) => {
    const severity: Severity = day <= 1 ? 'high' : 'medium';
    const alert = { integration, kind: 'credential-expiry', severity, scope, objectId, until: new Date(at.end) };
    const id = nameBasedId(`credential-expiry/${objectId}/${at.end}/${scope}`);
    const { count } = await tx.securityAlert.createMany({
      data: [{ id, ...alert, raisedAt: new Date(at.now) }],
      skipDuplicates: true,
    });
    if (count > 0) await noteCredential(tx, credential, 'expiry-alarm', scope);
    return count > 0;
  });
  if (raised) {
    log.error('a credential ends and has no successor', { event: 'credential-expiry', partnerId, code: scope });
  }
}
