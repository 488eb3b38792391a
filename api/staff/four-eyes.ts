import type { Transaction } from '../../prisma/database';
import { HttpProblem, notFound } from '../problem';

/** What takes two members of staff; the object is what takes effect once the second one agrees. */
export type TwoPeopleMatter = {
  readonly kind: 'data-set-agreement' | 'attestation-letter' | 'log-export' | 'journal-export' | 'erasure';
  readonly objectId: string;
};

/** What a path names it by. */
const NAMED_BY: Readonly<Record<TwoPeopleMatter['kind'], string>> = {
  'data-set-agreement': 'agreementId',
  'attestation-letter': 'letterId',
  'log-export': 'demandId',
  'journal-export': 'exportId',
  erasure: 'erasureId',
};

/** Written with what is asked for, in its transaction. Harmless to repeat. */
export async function requestApproval(tx: Transaction, { kind, objectId }: TwoPeopleMatter, by: string): Promise<void> {
  await tx.approval.createMany({ data: [{ kind, objectId, requestedBy: by }], skipDuplicates: true });
}

/**
 * The second pair of eyes. Belongs into the transaction of the effect: whoever comes second finds it approved. The table
 * refuses one person in both places too.
 *
 * @returns `already` when this member approved it before, and its effect with it
 * @throws HttpProblem 403 when the same member asked for it, 409 when another approved it before
 */
export async function approve(
  tx: Transaction,
  { kind, objectId }: TwoPeopleMatter,
  by: string,
): Promise<'now' | 'already'> {
  await tx.$queryRaw`SELECT 1 FROM approvals WHERE kind = ${kind} AND object_id = ${objectId}::uuid FOR UPDATE`;
  const where = { kind_objectId: { kind, objectId } };
  const found = await tx.approval.findUnique({ where });
  if (!found) throw notFound(NAMED_BY[kind]);
  if (found.requestedBy === by) {
    throw new HttpProblem({ status: 403, type: 'own-proposal', title: 'Somebody else has to approve it' });
  }
  if (found.approvedBy === by) return 'already';
  if (found.approvedBy !== null) throw approvalConflict();
  await tx.approval.update({ where, data: { approvedBy: by, approvedAt: new Date() } });
  return 'now';
}

export const approvalConflict = (): HttpProblem =>
  new HttpProblem({ status: 409, type: 'approval-conflict', title: 'It was approved or replaced meanwhile' });
