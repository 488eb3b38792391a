import { z } from 'zod';
import { sql, type Transaction } from '../prisma/database';
import type { OwnOrder } from './log-comparison';

type Scope = { readonly partnerId: string; readonly scopeFrom: Date; readonly scopeTo: Date };

/**
 * Orders of ours that the log of a partner has to have (R3.6). A face that it did not take in the end, or took after the
 * scope, may have come to it or not: its log may have that order and need not.
 */
export async function ordersWithin(tx: Transaction, { partnerId, scopeFrom, scopeTo }: Scope): Promise<OwnOrder[]> {
  const within = { gte: scopeFrom, lte: scopeTo };
  const [openings, enrollments, others] = await Promise.all([
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
    // What the partner answered otherwise, or not at all, may be in its log and need not.
    tx.$queryRaw<{ key: string; at: Date }[]>(sql`
      SELECT split_part(reason, ' ', 5) AS key, min(at) AS at FROM journal_entries
      WHERE kind = 'partner-call' AND outcome = 'ok' AND at BETWEEN ${scopeFrom} AND ${scopeTo}
        AND split_part(reason, ' ', 1) = ${partnerId} AND split_part(reason, ' ', 5) <> ''
      GROUP BY 1`),
  ]);
  return [
    ...others.map(({ key, at }) => ({ key, atMs: at.getTime() })),
    ...openings.map(({ id, requestedAt }) => ({ key: `open/${id}`, atMs: requestedAt.getTime() })),
    ...enrollments.map(({ id, createdAt }) => ({ key: `enroll/${id}`, atMs: createdAt.getTime() })),
  ];
}

/** Keys asked for at once: a statement takes 32,767 values. */
const AT_ONCE = 10_000;

/** A line about a call is written when the call is over, and may be about one that was tried for long. */
const AROUND_MS = 24 * 3_600_000;

/** Which of these keys are of orders that we gave to that partner, however they ended. */
export async function knownOrders(
  tx: Transaction,
  { partnerId, scopeFrom, scopeTo }: Scope,
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
  const enrollments = async (ids: string[]): Promise<string[]> => {
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
  };
  await look('enroll/', enrollments);
  await look('enroll-undo/', enrollments);
  const ordered = await tx.$queryRaw<{ key: string }[]>(sql`
    SELECT DISTINCT split_part(reason, ' ', 5) AS key FROM journal_entries
    WHERE kind = 'partner-call'
      AND at BETWEEN ${new Date(scopeFrom.getTime() - AROUND_MS)} AND ${new Date(scopeTo.getTime() + AROUND_MS)}
      AND split_part(reason, ' ', 1) = ${partnerId} AND split_part(reason, ' ', 5) <> ''`);
  for (const { key } of ordered) known.add(key);
  return known;
}

/** Partners write what they like; ours are written in one way. */
const uuidsOf = (text: string): string[] =>
  z.uuid().safeParse(text).success && text === text.toLowerCase() ? [text] : [];
