import { ERASURE_STATES, type ErasureState, type HoldReason, type ProlongReason } from '../contracts/erasure';
import type { ErasureView } from '../contracts/erasures';
import type { Transaction } from '../prisma/database';
import type { Erasure } from '../prisma/generated/client';
import { journalErasure } from './evidence';
import { addWorkingDays, type ErasureClocks } from './clocks';

/** After this nothing is left that a hold could keep. */
export const PAUSABLE = 'waiting';

export type Refused = 'unknown' | 'too-late' | 'resident-held';

/** Pauses an erasure: what has been destroyed is, nothing more will be; access stays stopped. @returns why not */
export async function holdErasure(
  tx: Transaction,
  erasureId: string,
  hold: { readonly reason: HoldReason; readonly actor: string },
): Promise<Refused | null> {
  const row = await locked(tx, erasureId);
  if (!row) return 'unknown';
  if (row.state !== PAUSABLE) return 'too-late';
  if (row.holdReason === hold.reason && row.heldUntil === null) return null;
  const data = { holdReason: hold.reason, heldAt: new Date(), heldUntil: null };
  await tx.erasure.update({ where: { id: erasureId }, data });
  await journalErasure(tx, erasureId, { actor: hold.actor, outcome: 'held', reason: hold.reason });
  return null;
}

export async function releaseErasure(tx: Transaction, erasureId: string, actor: string): Promise<Refused | null> {
  const row = await locked(tx, erasureId);
  if (!row) return 'unknown';
  if (row.holdReason === null) return null;
  if ((await holdInForce(tx, row.residentId)) !== null) return 'resident-held';
  await release(tx, row, actor);
  return null;
}

async function release(tx: Transaction, { id, holdReason }: Erasure, actor: string): Promise<Erasure> {
  const released = await tx.erasure.update({
    where: { id },
    data: { holdReason: null, heldAt: null, heldUntil: null },
  });
  await journalErasure(tx, id, { actor, outcome: 'released', reason: holdReason ?? '' });
  return released;
}

/** The hold on a resident that ends last. */
export const holdInForce = (tx: Transaction, residentId: string) =>
  tx.residentHold.findFirst({
    where: { residentId, releasedAt: null, until: { gt: new Date() } },
    orderBy: { until: 'desc' },
  });

/** Whether nothing of a resident may be destroyed now, by a hold on them or a pause of their erasure. */
export async function isHeld(tx: Transaction, residentId: string): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ held: boolean }[]>`SELECT is_resident_held(${residentId}::uuid) AS held`;
  return row?.held ?? true;
}

/**
 * Has an erasure that waits follow the holds on its resident: paused as long as one is in force, then released. One that
 * was paused by itself stays so until somebody releases it.
 */
export async function followHolds(tx: Transaction, row: Erasure, actor: string): Promise<Erasure> {
  const isPausedByItself = row.holdReason !== null && row.heldUntil === null;
  if (row.state !== PAUSABLE || isPausedByItself) return row;
  const hold = await holdInForce(tx, row.residentId);
  if (hold === null) return row.holdReason === null ? row : release(tx, row, actor);
  const { reason, until } = hold;
  if (row.holdReason === reason && row.heldUntil?.getTime() === until.getTime()) return row;
  const heldAt = row.heldAt ?? new Date();
  const held = await tx.erasure.update({
    where: { id: row.id },
    data: { holdReason: reason, heldAt, heldUntil: until },
  });
  if (row.holdReason !== reason) await journalErasure(tx, row.id, { actor, outcome: 'held', reason });
  return held;
}

/** 152-FZ, article 21 part 5.1: once, by 5 working days, with a notice that says why (erasure/notice.ts). */
export async function prolongErasure(
  tx: Transaction,
  erasureId: string,
  { reason, actor, clocks }: { readonly reason: ProlongReason; readonly actor: string; readonly clocks: ErasureClocks },
): Promise<Refused | null> {
  const row = await locked(tx, erasureId);
  if (!row) return 'unknown';
  if (row.prolongedAt !== null) return null;
  if (row.basis !== 'stop-processing' || row.completedAt !== null) return 'too-late';
  const dueAt = addWorkingDays(row.dueAt, clocks.prolongByWorkingDays);
  await tx.erasure.update({
    where: { id: erasureId },
    data: { prolongedAt: new Date(), prolongedFrom: row.dueAt, prolongReason: reason, dueAt },
  });
  await journalErasure(tx, erasureId, { actor, outcome: 'prolonged', reason });
  return null;
}

export async function locked(tx: Transaction, erasureId: string): Promise<Erasure | null> {
  await tx.$queryRaw`SELECT 1 FROM erasures WHERE id = ${erasureId}::uuid FOR UPDATE`;
  return tx.erasure.findUnique({ where: { id: erasureId } });
}

export const stateOf = ({ state }: { readonly state: string }): ErasureState =>
  ERASURE_STATES.find((known) => known === state) ?? 'waiting';

/** An erasure as the app and staff see it. */
export const viewOfErasure = (row: Erasure): ErasureView => ({
  erasureId: row.id,
  residentId: row.residentId,
  basis: row.basis as ErasureView['basis'],
  requestedBy: row.requestedBy as ErasureView['requestedBy'],
  state: row.holdReason === null ? stateOf(row) : 'held',
  requestedAt: row.requestedAt.toISOString(),
  dueAt: row.dueAt.toISOString(),
  prolongedAt: row.prolongedAt?.toISOString() ?? null,
  prolongReason: row.prolongReason as ErasureView['prolongReason'],
  holdReason: row.holdReason as ErasureView['holdReason'],
  heldUntil: row.heldUntil?.toISOString() ?? null,
  erasedAt: row.erasedAt?.toISOString() ?? null,
  completedAt: row.completedAt?.toISOString() ?? null,
  search: row.search as ErasureView['search'],
});
