import { sql, type Sql, type Transaction } from '../prisma/database';
import type { EntryAuthenticator, EntryContent } from './authenticity';

/** One piece of evidence. Opaque ids and listed words only: nothing personal, no secret, no partner's text. */
export type JournalRecord = {
  readonly kind:
    | 'opening'
    | 'consent'
    | 'enrollment'
    | 'template'
    | 'vehicle'
    | 'property-sale'
    | 'property-right'
    | 'biometric-deletion'
    | 'erasure'
    | 'resident-hold'
    | 'escalation'
    | 'reminder'
    | 'housekeeping'
    | 'equipment'
    | 'partner-event'
    | 'security-alert'
    | 'plugin-session'
    | 'plugin-token-check'
    | 'alarm'
    | 'exchange'
    | 'partner-call'
    | 'refusal'
    | 'journal-spool'
    | 'client-suspension'
    | 'staff-sign-in'
    | 'staff-session'
    | 'access-point'
    | 'visiting-hours'
    | 'identification-lock'
    | 'data-set-agreement'
    | 'credential'
    | 'key-encryption'
    | 'attestation-letter'
    | 'access-review'
    | 'staff-member'
    | 'log-export'
    | 'log-reading'
    | 'journal-export'
    | 'journal-retention'
    | 'security-audit';
  readonly integration: string | null;
  readonly objectId: string;
  /** Who caused it: a client id of ours, `staff/` and a member's id, or the name of the process that did. */
  readonly actor: string;
  readonly outcome: string;
  readonly reason?: string | undefined;
  /** Whom it is about and what is personal in it, as journal/subjects.ts makes them. */
  readonly subject?: string | undefined;
  readonly sealed?: Buffer<ArrayBuffer> | undefined;
};

let authenticator: EntryAuthenticator | undefined;

/** Has every entry of this process carry the code that tells it from others' (docs/adr/0087); once, as it starts. */
export function authenticateEntriesWith(made: EntryAuthenticator): void {
  authenticator = made;
}

const macOf = ({
  integration,
  kind,
  objectId,
  actor,
  outcome,
  reason,
  subject,
  sealed,
}: JournalRecord): string | null => {
  const said = { integration, kind, objectId, actor, outcome, reason: reason ?? null };
  const content: EntryContent = { ...said, subject: subject ?? null, sealed: sealed ?? null };
  return authenticator?.macOf(content) ?? null;
};

/**
 * Writes evidence in the transaction of what it records, so that neither exists without the other (design rule 9). It
 * waits for nobody: its place in the tree comes later (journal/tree.ts).
 */
export async function appendJournal(tx: Transaction, ...records: readonly JournalRecord[]): Promise<void> {
  if (records.length === 0) return;
  await tx.$executeRaw`INSERT INTO journal_entries (${COLUMNS}) SELECT * FROM ${rowsOf(records)}`;
}

/**
 * Writes the entries that one process has numbered from `from` up to `to`, unless they are written: how far it is moves
 * in the same statement.
 *
 * @returns whether they were written now; `false`: somebody wrote at least the first of them already
 */
export async function appendOnce(
  tx: Transaction,
  { spool, from, to }: { readonly spool: string; readonly from: number; readonly to: number },
  records: readonly JournalRecord[],
): Promise<boolean> {
  const written = await tx.$executeRaw`
    WITH moved AS (
      INSERT INTO journal_spools AS spool (id, written, login) VALUES (${spool}::uuid, ${to}::bigint, current_user)
      ON CONFLICT (id) DO UPDATE SET written = EXCLUDED.written WHERE spool.written = ${from}::bigint
      RETURNING id
    )
    INSERT INTO journal_entries (${COLUMNS}) SELECT noted.* FROM ${rowsOf(records)} AS noted WHERE EXISTS (SELECT FROM moved)`;
  return written > 0;
}

/** @returns the number of the next entry that is to be written */
export async function writtenOf(tx: Transaction, spool: string): Promise<number> {
  const [row] = await tx.$queryRaw<{ written: bigint }[]>`
    SELECT written FROM journal_spools WHERE id = ${spool}::uuid`;
  return Number(row?.written ?? 0n);
}

/** Of a process that has ended, with nothing left that somebody could write again. */
export async function forgetSpool(tx: Transaction, spool: string): Promise<void> {
  await tx.$executeRaw`DELETE FROM journal_spools WHERE id = ${spool}::uuid`;
}

const COLUMNS = sql`integration, kind, object_id, actor, outcome, reason, subject, sealed, mac`;

/** One value for any number of rows: the statement is parsed and planned once, and hundreds at a time cost little each. */
function rowsOf(records: readonly JournalRecord[]): Sql {
  const column = (name: 'integration' | 'kind' | 'objectId' | 'actor' | 'outcome' | 'reason' | 'subject') =>
    records.map((record) => record[name] ?? null);
  const sealed = records.map((record) => (record.sealed ? `\\x${record.sealed.toString('hex')}` : null));
  const macs = records.map(macOf);
  return sql`unnest(${column('integration')}::text[], ${column('kind')}::text[], ${column('objectId')}::text[],
    ${column('actor')}::text[], ${column('outcome')}::text[], ${column('reason')}::text[],
    ${column('subject')}::text[], ${sealed}::bytea[], ${macs}::text[])`;
}

/**
 * The same as part of a statement, for where a transaction of several would be most of what it costs: an entry for each
 * row that its part `ended` gives, with the row's `outcome`. Whom it is about is left out unless its part `owner`, of one
 * row, says `has_key`: whoever holds a key in memory does not know that it was destroyed.
 *
 * @param entry.outcome what it ends as, if not as `unknown`
 * @param about whom it is about, with what is sealed for each outcome that there may be
 */
export function journalEntryOfEnded({
  about = null,
  ...entry
}: Pick<JournalRecord, 'kind' | 'integration' | 'objectId' | 'actor' | 'outcome' | 'reason'> & {
  readonly about?: EndedAbout | null;
}) {
  const { kind, integration, objectId, actor, reason = null } = entry;
  const unknown = { ...entry, outcome: 'unknown' };
  // The database decides which of them it is: each has a code of its own.
  const [named, namedUnknown] = [
    macOf({ ...entry, ...(about && { subject: about.subject, sealed: about.sealed }) }),
    macOf({ ...unknown, ...(about && { subject: about.subject, sealed: about.sealedUnknown ?? undefined }) }),
  ];
  const [nobodys, nobodysUnknown] = about ? [macOf(entry), macOf(unknown)] : [named, namedUnknown];
  return sql`INSERT INTO journal_entries (kind, integration, object_id, actor, outcome, reason, subject, sealed, mac)
    SELECT ${kind}, ${integration}, ${objectId}, ${actor}, ended.outcome, ${reason},
      CASE WHEN owner.has_key THEN ${about?.subject ?? null} END,
      CASE WHEN owner.has_key THEN
        CASE ended.outcome WHEN 'unknown' THEN ${about?.sealedUnknown ?? null}::bytea ELSE ${about?.sealed ?? null}::bytea END
      END,
      CASE WHEN owner.has_key
        THEN CASE ended.outcome WHEN 'unknown' THEN ${namedUnknown}::text ELSE ${named}::text END
        ELSE CASE ended.outcome WHEN 'unknown' THEN ${nobodysUnknown}::text ELSE ${nobodys}::text END
      END
    FROM ended, owner`;
}

export type EndedAbout = {
  readonly subject: string;
  readonly sealed: Buffer<ArrayBuffer>;
  /** For when it turns out as `unknown` instead: what is sealed opens only as what it was sealed for. `null`: it cannot. */
  readonly sealedUnknown: Buffer<ArrayBuffer> | null;
};
