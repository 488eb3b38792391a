import { ERASURE_STATES, type ErasureState, type HoldReason, type ProlongReason } from '../contracts/erasure';
import type { ErasureView } from '../contracts/erasures';
import type { Transaction } from '../prisma/database';
import type { Erasure } from '../prisma/generated/client';
import { journalErasure } from './acceptance';
import { addWorkingDays, type ErasureClocks } from './clocks';

/** After this nothing is left that a hold could keep. */
const PAUSABLE = 'waiting';

export type Refused = 'unknown' | 'too-late';

/** Pauses an erasure: what holders were told stands, nothing more is destroyed. @returns why not */
export async function holdErasure(
  tx: Transaction,
  erasureId: string,
  hold: { readonly reason: HoldReason; readonly actor: string },
): Promise<Refused | null> {
  const row = await locked(tx, erasureId);
  if (!row) return 'unknown';
  if (row.state !== PAUSABLE) return 'too-late';
  if (row.holdReason === hold.reason) return null;
  await tx.erasure.update({ where: { id: erasureId }, data: { holdReason: hold.reason, heldAt: new Date() } });
  await journalErasure(tx, erasureId, { actor: hold.actor, outcome: 'held', reason: hold.reason });
  return null;
}

export async function releaseErasure(tx: Transaction, erasureId: string, actor: string): Promise<Refused | null> {
  const row = await locked(tx, erasureId);
  if (!row) return 'unknown';
  if (row.holdReason === null) return null;
  await tx.erasure.update({ where: { id: erasureId }, data: { holdReason: null, heldAt: null } });
  await journalErasure(tx, erasureId, { actor, outcome: 'released', reason: row.holdReason });
  return null;
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
  state: row.holdReason === null ? stateOf(row) : 'held',
  requestedAt: row.requestedAt.toISOString(),
  dueAt: row.dueAt.toISOString(),
  prolongedAt: row.prolongedAt?.toISOString() ?? null,
  prolongReason: row.prolongReason as ErasureView['prolongReason'],
  holdReason: row.holdReason as ErasureView['holdReason'],
  erasedAt: row.erasedAt?.toISOString() ?? null,
  completedAt: row.completedAt?.toISOString() ?? null,
  search: row.search as ErasureView['search'],
});
