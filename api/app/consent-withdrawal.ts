import type { Client } from '@temporalio/client';
import type { Logger } from '../../config/logger';
import type { Integration } from '../../contracts/ids';
import type { JournalRecord } from '../../journal/journal';
import { appendAbout } from '../../journal/subjects';
import type { Database, Transaction } from '../../prisma/database';
import { deletionRequestOf, lockBiometrics, stopBiometrics } from '../../vault/biometrics';
import type { SubjectVault } from '../../vault/subject-keys';
import { startDeletion } from '../../workflows/biometric-deletion/start';
import { tellConsentEnded } from '../../workflows/consent/ended';
import { HttpProblem, notFound } from '../problem';

type Dependencies = {
  readonly database: Database;
  readonly temporal: Client;
  readonly subjects: SubjectVault;
  readonly log: Logger;
};

/**
 * Withdraws (R3.7, R3.8): when this transaction has committed no face of the resident opens at this partner any more,
 * and the deletion is due. Only then are the processes told; if they cannot be, or this process dies first, a repeat of
 * the request or the scheduled tidying begins the deletion that the row says is due.
 *
 * Who withdraws withdraws from the partner: every consent in force of the same resident to it ends, or another one
 * would keep the door opening by the face.
 *
 * @throws HttpProblem 404 when there is no such consent, 409 when it was never granted or has expired
 */
export async function withdrawConsent(deps: Dependencies, consentId: string, actor: string): Promise<void> {
  await deps.database.$transaction((tx) => withdraw(tx, deps.subjects, consentId, actor));
  await tellProcesses(deps, consentId);
}

async function withdraw(tx: Transaction, subjects: SubjectVault, consentId: string, actor: string): Promise<void> {
  const named = await tx.consent.findUnique({ where: { id: consentId } });
  if (!named) throw notFound('consentId');
  await lockBiometrics(tx, named);
  const consent = await tx.consent.findUniqueOrThrow({ where: { id: consentId } });
  if (consent.status === 'withdrawn') return;
  if (consent.status !== 'granted') throw stateConflict(consent.status);
  const { residentId, partnerId, integration } = consent;
  await stopBiometrics(tx, {
    deletionId: consentId,
    residentId,
    partnerId,
    integration,
    reason: 'withdrawal',
    houseIds: 'all',
  });
  const inForce = await tx.consent.findMany({ where: { residentId, partnerId, status: 'granted' } });
  await tx.consent.updateMany({
    where: { id: { in: inForce.map(({ id }) => id) } },
    data: { status: 'withdrawn', revision: { increment: 1 }, endedAt: new Date(), deletionId: consentId },
  });
  const entry = { integration, actor };
  await appendAbout(
    tx,
    subjects,
    { residentId, details: { partnerId } },
    ...inForce.map(({ id }): JournalRecord => ({ ...entry, kind: 'consent', objectId: id, outcome: 'withdrawn' })),
    { ...entry, kind: 'biometric-deletion', objectId: consentId, outcome: 'requested', reason: 'withdrawal' },
  );
}

/** What is lost here is found again: the withdrawal stands, whatever becomes of the message. */
async function tellProcesses({ database, temporal, log }: Dependencies, consentId: string): Promise<void> {
  const consent = await database.consent.findUniqueOrThrow({ where: { id: consentId }, include: { deletion: true } });
  const { deletion, integration } = consent;
  if (deletion?.state !== 'deleting') return;
  const ended = await database.consent.findMany({ where: { deletionId: deletion.id } });
  // First, so that the executions of the consents find it at work: each would otherwise begin it as its own child.
  const [begun] = await Promise.allSettled([
    startDeletion(temporal, deletionRequestOf(deletion), integration as Integration),
  ]);
  const told = [begun, ...(await Promise.allSettled(ended.map(({ id }) => tellConsentEnded(temporal, id))))];
  const failed = told.filter(({ status }) => status === 'rejected').length;
  if (failed > 0) log.warn({ event: 'deletion-not-told', count: failed }, 'a due deletion waits to be resumed');
}

const stateConflict = (status: string): HttpProblem =>
  new HttpProblem({
    status: 409,
    type: 'consent-state-conflict',
    title: 'The consent is not in a state that allows this',
    detail: status === 'expired' ? 'It has expired; its biometrics are deleted all the same.' : 'It was never granted.',
  });
