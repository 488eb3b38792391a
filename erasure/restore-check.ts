import type { Transaction } from '../prisma/database';

/**
 * Whether this very database was compared with the ledger of erasures since it was restored or its server was started
 * (docs/adr/0078).
 */
export async function isComparedWithLedger(tx: Transaction): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ compared: boolean }[]>`SELECT is_compared_with_ledger() AS compared`;
  return row?.compared === true;
}

/** Since when it is; `null`: it is not. */
export async function comparedSince(tx: Transaction): Promise<Date | null> {
  const [row] = await tx.$queryRaw<{ since: Date }[]>`
    SELECT checked_at AS since FROM restore_checks WHERE is_compared_with_ledger()`;
  return row?.since ?? null;
}

/** Everybody who was back is denied again: says so of this database, in a transaction of its own. */
export async function noteComparedWithLedger(tx: Transaction): Promise<void> {
  await tx.$executeRaw`SELECT note_compared_with_ledger()`;
}
