import { sql } from '../prisma/database';
import type { JournalEntry } from '../prisma/generated/client';
import { leafHash, type Hash } from './merkle';

/** Columns of `journal_entries j` as a {@link JournalEntry}: many rows are read much faster so than as objects of Prisma. */
export const ENTRY_COLUMNS = sql`j.seq, j.at, j.integration, j.kind, j.object_id AS "objectId", j.actor, j.outcome,
  j.reason, j.subject, j.sealed`;

/**
 * The canonical form of an entry: what the tree's leaf covers. As RFC 8785 has it: members in the order of their names,
 * no white space; numbers are written as text, so that none is rounded. `sealed` is the ciphertext: destroying its
 * key leaves every proof as it was.
 */
export function canonicalEntry(row: JournalEntry): string {
  const { seq, at, sealed } = row;
  return JSON.stringify({
    actor: row.actor,
    at: at.toISOString(),
    integration: row.integration,
    kind: row.kind,
    objectId: row.objectId,
    outcome: row.outcome,
    reason: row.reason,
    sealed: sealed === null ? null : Buffer.from(sealed).toString('base64url'),
    seq: seq.toString(),
    subject: row.subject,
    v: 1,
  });
}

/** The canonical form of an entry that was read from JSON, where the order of members means nothing. */
export const canonicalMembers = (entry: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1))));

export const leafOf = (canonical: string): Hash => leafHash(Buffer.from(canonical, 'utf8'));
