import type { DeletionReason, DeletionRequest } from '../contracts/deletions';
import type { Transaction } from '../prisma/database';

export type BiometricSubject = { readonly residentId: string; readonly partnerId: string };

/**
 * Lets one transaction at a time change whether biometrics of this resident may be used at this partner: consents begin
 * and end under it and templates come into use under it, so that none misses another that is being written. Take it
 * before the rows, or two may wait for each other.
 */
export async function lockBiometrics(tx: Transaction, { residentId, partnerId }: BiometricSubject): Promise<void> {
  const key = `biometrics/${partnerId}/${residentId}`;
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${key}, 0))`;
}

/**
 * Stops the use of biometrics from this transaction's commit on, and makes their deletion due in the same commit: a
 * process that dies right afterwards leaves a row that says what is left to do.
 *
 * @param houseIds where; `all` wherever they are
 */
export async function stopBiometrics(
  tx: Transaction,
  stop: BiometricSubject & {
    readonly deletionId: string;
    readonly integration: string;
    readonly reason: DeletionReason;
    readonly houseIds: readonly string[] | 'all';
  },
): Promise<void> {
  const { deletionId: id, residentId, partnerId, integration, reason, houseIds } = stop;
  await lockBiometrics(tx, stop);
  const where = { residentId, partnerId, ...(houseIds !== 'all' && { houseId: { in: [...houseIds] } }) };
  await tx.faceTemplate.updateMany({ where: { ...where, active: true }, data: { active: false } });
  const row = { id, residentId, partnerId, integration, reason, houseIds: houseIds === 'all' ? [] : [...houseIds] };
  await tx.biometricDeletion.createMany({ data: [row], skipDuplicates: true });
}

/** Whether something of this resident at this house is still to be deleted: until then nothing of it may be used. */
export async function isDeletionDue(
  tx: Transaction,
  { residentId, partnerId, houseId }: BiometricSubject & { readonly houseId: string },
): Promise<boolean> {
  const due = await tx.biometricDeletion.findFirst({
    where: {
      residentId,
      partnerId,
      state: 'deleting',
      OR: [{ houseIds: { isEmpty: true } }, { houseIds: { has: houseId } }],
    },
    select: { id: true },
  });
  return due !== null;
}

/** A deletion's row as the argument of its process. */
export function deletionRequestOf(row: {
  id: string;
  residentId: string;
  partnerId: string;
  reason: string;
  houseIds: string[];
  requestedAt: Date;
}): DeletionRequest {
  const { id: deletionId, residentId, partnerId, reason, houseIds, requestedAt } = row;
  return {
    deletionId,
    residentId,
    partnerId,
    reason: reason as DeletionReason,
    houseIds: houseIds.length === 0 ? 'all' : houseIds,
    requestedAt: requestedAt.toISOString(),
  };
}
