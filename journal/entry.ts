import { sql } from '../prisma/database';
import type { JournalEntry } from '../prisma/generated/client';
import { leafHash, type Hash } from './merkle';

/**
 * An entry of `journal_entries j` as JSON, for {@link entryOfJson}. Thousands of entries are read as one value: what the
 * way through Prisma costs, it costs for each cell.
 */
export const ENTRY_AS_JSON = sql`json_build_object('seq', j.seq::text,
  'atMs', (extract(epoch FROM j.at) * 1000)::bigint, 'integration', j.integration, 'kind', j.kind,
  'objectId', j.object_id, 'actor', j.actor, 'outcome', j.outcome, 'reason', j.reason, 'subject', j.subject,
  'sealed', encode(j.sealed, 'hex'), 'mac', j.mac)`;

export type EntryJson = Omit<JournalEntry, 'seq' | 'at' | 'sealed'> & {
  readonly seq: string;
  readonly atMs: number;
  readonly sealed: string | null;
};

export const entryOfJson = ({ seq, atMs, sealed, ...rest }: EntryJson): JournalEntry => ({
  ...rest,
  seq: BigInt(seq),
  at: new Date(atMs),
  sealed: sealed === null ? null : Buffer.from(sealed, 'hex'),
});

/**
 * The canonical form of an entry: what the tree's leaf covers. As RFC 8785 has it: members in the order of their names,
 * no white space; numbers are written as text, so that none is rounded. `sealed` is the ciphertext: destroying its
 * key leaves every proof as it was. Version 1 is of entries from before they had a code (docs/adr/0087).
 */
export function canonicalEntry(row: JournalEntry): string {
  const { seq, at, sealed, mac } = row;
  return JSON.stringify({
    actor: row.actor,
    at: at.toISOString(),
    integration: row.integration,
    kind: row.kind,
    ...(mac !== null && { mac }),
    objectId: row.objectId,
    outcome: row.outcome,
    reason: row.reason,
    sealed: sealed === null ? null : Buffer.from(sealed).toString('base64url'),
    seq: seq.toString(),
    subject: row.subject,
    v: mac === null ? 1 : 2,
  });
}

/** The canonical form of an entry that was read from JSON, where the order of members means nothing. */
export const canonicalMembers = (entry: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1))));

export const leafOf = (canonical: string): Hash => leafHash(Buffer.from(canonical, 'utf8'));
