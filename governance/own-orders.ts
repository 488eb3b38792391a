import { z } from 'zod';
import type { Transaction } from '../prisma/database';
import type { OwnOrder } from './log-comparison';

type Scope = { readonly partnerId: string; readonly scopeFrom: Date; readonly scopeTo: Date };

/**
 * Orders of ours that the log of a partner has to have (R3.6). A face that it did not take in the end, or took after the
 * scope, may have come to it or not: its log may have that order and need not.
 */
export async function ordersWithin(tx: Transaction, { partnerId, scopeFrom, scopeTo }: Scope): Promise<OwnOrder[]> {
  const within = { gte: scopeFrom, lte: scopeTo };
  const [openings, enrollments] = await Promise.all([
    tx.opening.findMany({
      where: { partnerId, attempts: { gt: 0 }, requestedAt: within },
      select: { id: true, requestedAt: true },
    }),
    tx.enrollment.findMany({
      where: {
        ...{ partnerId, state: 'active', partner: { custody: 'partner' } },
        ...{ createdAt: within, updatedAt: { lte: scopeTo } },
      },
      select: { id: true, createdAt: true },
    }),
  ]);
  return [
    ...openings.map(({ id, requestedAt }) => ({ key: `open/${id}`, atMs: requestedAt.getTime() })),
    ...enrollments.map(({ id, createdAt }) => ({ key: `enroll/${id}`, atMs: createdAt.getTime() })),
  ];
}

/** Keys asked for at once: a statement takes 32,767 values. */
const AT_ONCE = 10_000;

/** Which of these keys are of orders that we gave to that partner, at any time and however they ended. */
export async function knownOrders(
  tx: Transaction,
  partnerId: string,
  keys: readonly string[],
): Promise<ReadonlySet<string>> {
  const { integration } = await tx.partner.findUniqueOrThrow({ where: { id: partnerId } });
  const known = new Set<string>();
  const look = async (kind: string, find: (ids: string[]) => Promise<readonly string[]>): Promise<void> => {
    const ids = keys.flatMap((key) => (key.startsWith(kind) ? uuidsOf(key.slice(kind.length)) : []));
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      for (const id of await find(ids.slice(from, from + AT_ONCE))) known.add(kind + id);
    }
  };
  await look('open/', async (ids) => {
    const rows = await tx.opening.findMany({ where: { id: { in: ids }, partnerId }, select: { id: true } });
    return rows.map(({ id }) => id);
  });
  await look('enroll/', async (ids) => {
    const rows = await tx.enrollment.findMany({ where: { id: { in: ids } }, select: { id: true, partnerId: true } });
    const there = new Set(rows.map(({ id }) => id));
    // The row of somebody who was erased is gone; the journal says that there was one.
    const gone = { in: ids.filter((id) => !there.has(id)) };
    const entries = await tx.journalEntry.findMany({
      where: { kind: 'enrollment', integration, objectId: gone },
      select: { objectId: true },
    });
    const own = rows.filter((row) => row.partnerId === partnerId);
    return [...own.map(({ id }) => id), ...entries.map(({ objectId }) => objectId ?? '')];
  });
  return known;
}

/** Partners write what they like; ours are written in one way. */
const uuidsOf = (text: string): string[] =>
  z.uuid().safeParse(text).success && text === text.toLowerCase() ? [text] : [];
