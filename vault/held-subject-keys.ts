import { query, sql, type Database } from '../prisma/database';
import type { SubjectKey, SubjectKeyRow, SubjectVault } from './subject-keys';

/** Subjects' keys that this process has in memory for a moment, for what may not wait for a look at the database. */
export type HeldSubjectKeys = {
  /** @returns `null` when the subject has no key, or none any more */
  of(residentId: string): Promise<SubjectKey | null>;
  /** Forgets a key: its row is gone. */
  drop(residentId: string): void;
};

/** Who comes in goes to the lift next. Not longer: another process cannot tell this one that a key was destroyed. */
const KEPT_MS = 30_000;
const AT_MOST = 2_000;

/**
 * Both databases are asked at once. Whoever uses such a key for what is kept has to make sure in the same statement that
 * its row is still there: the key of somebody who was erased meanwhile may be held here for half a minute, and nothing may
 * be written under it.
 */
export function holdSubjectKeys(
  database: Database,
  vault: Pick<SubjectVault, 'findBy'>,
  { keptMs = KEPT_MS, atMost = AT_MOST, now = Date.now } = {},
): HeldSubjectKeys {
  type Held = { readonly key: Promise<SubjectKey | null>; readonly untilMs: number };
  const held = new Map<string, Held>();

  async function rowOf(residentId: string): Promise<SubjectKeyRow | null> {
    const [row] = await query<{ wrapped: Buffer<ArrayBuffer>; keyId: string; splitAt: Date | null }>(
      database,
      sql`SELECT wrapped, key_id AS "keyId", split_at AS "splitAt" FROM subject_keys
        WHERE resident_id = ${residentId}::uuid`,
    );
    return row ?? null;
  }

  function hold(residentId: string): Promise<SubjectKey | null> {
    const key = vault.findBy(residentId, rowOf(residentId));
    const entry = { key, untilMs: now() + keptMs };
    held.set(residentId, entry);
    key.catch(() => {
      if (held.get(residentId) === entry) held.delete(residentId);
    });
    return key;
  }

  /** All are kept equally long, so that those at the front are the oldest. */
  function makeRoom(): void {
    for (const [residentId, { untilMs }] of held) {
      if (untilMs > now() && held.size < atMost) return;
      held.delete(residentId);
    }
  }

  return {
    of(residentId) {
      makeRoom();
      return held.get(residentId)?.key ?? hold(residentId);
    },
    drop(residentId) {
      held.delete(residentId);
    },
  };
}
