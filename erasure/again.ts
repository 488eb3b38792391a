import { randomUUID } from 'node:crypto';
import type { Database } from '../prisma/database';
import type { SubjectVault } from '../vault/subject-keys';
import { acceptErasure } from './acceptance';
import type { ErasureClocks } from './clocks';
import { residentHash, type ErasureLedger } from './ledger';

const ACTOR = 'erasure-ledger';

/**
 * An old backup was restored, and people whom the ledger says are erased are back: their erasure is accepted again. Of
 * what the backup has of the earlier erasure, an act that is issued stays.
 *
 * @returns ids of the erasures that are to be begun
 */
export async function acceptErasuresAgain(
  database: Database,
  { subjects, ledger, clocks }: { subjects: SubjectVault; ledger: ErasureLedger; clocks: ErasureClocks },
): Promise<string[]> {
  const hashes = ledger.hashes();
  if (hashes.size === 0) return [];
  // Whoever has no key any more is erased as far as it goes; whoever has an erasure under way is being erased.
  const withKey = await database.subjectKey.findMany({ select: { residentId: true } });
  const back = withKey.filter(({ residentId }) => hashes.has(residentHash(residentId)));
  const begun: string[] = [];
  for (const { residentId } of back) {
    const demand = { residentId, basis: 'stop-processing' as const, actor: ACTOR, clocks };
    const row = await database.$transaction((tx) =>
      acceptErasure(tx, subjects, { ...demand, erasureId: randomUUID() }),
    );
    if (row) begun.push(row.id);
  }
  return begun;
}
