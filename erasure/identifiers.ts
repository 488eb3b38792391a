import type { Transaction } from '../prisma/database';
import type { Erasure } from '../prisma/generated/client';
import { Identifiers } from './search';

/** What is searched for, as it was gathered; `null` when nothing was. */
export function identifiersOf({ identifiers }: Erasure): Identifiers | null {
  const known = Identifiers.safeParse(identifiers);
  return known.success ? known.data : null;
}

/** After it was certified: the id itself, and the tokens of holders that were found to use them still. */
export async function rememberedIdentifiers(
  tx: Transaction,
  { id: erasureId, residentId }: Erasure,
): Promise<Identifiers> {
  const holders = await tx.erasureHolder.findMany({ where: { erasureId, token: { not: null } } });
  return { residentId, tokens: holders.flatMap(({ token }) => token ?? []), plates: [] };
}

/** Before anything goes: with the last partner's confirmation a plate is gone, and with it what it is found by. */
export async function rememberIdentifiers(tx: Transaction, row: Erasure): Promise<void> {
  if (row.state !== 'waiting') return;
  await tx.erasure.update({ where: { id: row.id }, data: { identifiers: await gatherIdentifiers(tx, row) } });
}

/** What was gathered before is kept: a repeat finds the rows gone. */
export async function gatherIdentifiers(tx: Transaction, row: Erasure): Promise<Identifiers> {
  const before = identifiersOf(row) ?? (await rememberedIdentifiers(tx, row));
  const { residentId } = row;
  const [subjects, vehicles] = await Promise.all([
    tx.partnerSubject.findMany({ where: { residentId } }),
    tx.vehicle.findMany({ where: { residentId, plateIndex: { not: null } } }),
  ]);
  const plates = vehicles.map(({ plateIndex }) => Buffer.from(plateIndex ?? []).toString('hex'));
  return {
    residentId,
    tokens: [...new Set([...before.tokens, ...subjects.map(({ token }) => token)])],
    plates: [...new Set([...before.plates, ...plates])],
  };
}
