import type { HoldReason } from '../contracts/erasure';
import { appendAbout } from '../journal/subjects';
import type { Transaction } from '../prisma/database';
import type { Erasure, ResidentHold } from '../prisma/generated/client';
import type { SubjectVault } from '../vault/subject-keys';
import { lockResident } from './acceptance';
import { followHolds, locked, PAUSABLE, type Refused } from './hold';

/**
 * Puts a hold on a resident, whether or not anything of them is being erased: from this transaction's commit on nothing of
 * them is destroyed, and an erasure that is accepted later waits from its first moment (docs/adr/0076). Safe to repeat.
 *
 * @returns the hold, or why there is none
 */
export async function placeHold(
  tx: Transaction,
  subjects: SubjectVault,
  hold: {
    readonly holdId: string;
    readonly residentId: string;
    readonly reason: HoldReason;
    readonly reference: string;
    readonly until: string;
    readonly actor: string;
  },
): Promise<ResidentHold | Refused> {
  const { holdId: id, residentId, reason, reference, until, actor } = hold;
  if (!(await lockResident(tx, residentId))) return 'unknown';
  const known = await tx.residentHold.findUnique({ where: { id } });
  if (known) return known;
  const erasure = await erasureOf(tx, residentId);
  if (erasure !== null && erasure.state !== PAUSABLE) return 'too-late';
  const row = await tx.residentHold.create({
    data: { id, residentId, reason, reference, until, placedBy: actor },
  });
  await record(tx, subjects, row, { actor, outcome: 'placed' });
  if (erasure !== null) await followHolds(tx, erasure, actor);
  return row;
}

/** Ends a hold; an erasure that waited for it, and for no other, goes on. @returns the hold, or `null` for none */
export async function releaseHold(
  tx: Transaction,
  subjects: SubjectVault,
  { holdId: id, actor }: { readonly holdId: string; readonly actor: string },
): Promise<{ readonly hold: ResidentHold; readonly erasure: Erasure | null } | null> {
  const found = await tx.residentHold.findUnique({ where: { id } });
  if (!found) return null;
  await lockResident(tx, found.residentId);
  const { count } = await tx.residentHold.updateMany({
    where: { id, releasedAt: null },
    data: { releasedAt: new Date() },
  });
  const hold = await tx.residentHold.findUniqueOrThrow({ where: { id } });
  if (count > 0) await record(tx, subjects, hold, { actor, outcome: 'released' });
  const erasure = await erasureOf(tx, hold.residentId);
  return { hold, erasure: erasure && (await followHolds(tx, erasure, actor)) };
}

async function erasureOf(tx: Transaction, residentId: string): Promise<Erasure | null> {
  const found = await tx.erasure.findUnique({ where: { residentId }, select: { id: true } });
  return found && locked(tx, found.id);
}

function record(
  tx: Transaction,
  subjects: SubjectVault,
  { id: objectId, residentId, reason }: ResidentHold,
  entry: { readonly actor: string; readonly outcome: string },
): Promise<void> {
  const about = { kind: 'resident-hold', integration: null, objectId, reason } as const;
  return appendAbout(tx, subjects, { residentId }, { ...about, ...entry });
}
