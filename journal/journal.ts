import { sql, type Transaction } from '../prisma/database';

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
    | 'client-suspension'
    | 'staff-sign-in'
    | 'staff-session'
    | 'access-point'
    | 'identification-lock'
    | 'data-set-agreement'
    | 'credential'
    | 'key-encryption'
    | 'attestation-letter'
    | 'access-review'
    | 'staff-member'
    | 'log-export'
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

/**
 * Writes evidence in the transaction of what it records, so that neither exists without the other (design rule 9). It
 * waits for nobody: its place in the tree comes later (journal/tree.ts).
 */
export async function appendJournal(tx: Transaction, ...records: readonly JournalRecord[]): Promise<void> {
  if (records.length === 0) return;
  const column = (name: 'integration' | 'kind' | 'objectId' | 'actor' | 'outcome' | 'reason' | 'subject') =>
    records.map((record) => record[name] ?? null);
  const sealed = records.map((record) => (record.sealed ? `\\x${record.sealed.toString('hex')}` : null));
  // One statement for any number of rows: it is parsed and planned once, and hundreds at a time cost little each.
  await tx.$executeRaw`
    INSERT INTO journal_entries (integration, kind, object_id, actor, outcome, reason, subject, sealed)
    SELECT * FROM unnest(${column('integration')}::text[], ${column('kind')}::text[], ${column('objectId')}::text[],
      ${column('actor')}::text[], ${column('outcome')}::text[], ${column('reason')}::text[],
      ${column('subject')}::text[], ${sealed}::bytea[])`;
}

/**
 * The same as part of a statement, for where a transaction of several would be most of what it costs: an entry for each
 * row that its part `ended` gives, with the row's `outcome`. Whom it is about is left out unless its part `owner`, of one
 * row, says `has_key`: whoever holds a key in memory does not know that it was destroyed.
 *
 * @param about whom it is about, with what is sealed for each outcome that there may be
 */
export const journalEntryOfEnded = ({
  kind,
  integration,
  objectId,
  actor,
  reason = null,
  about = null,
}: Pick<JournalRecord, 'kind' | 'integration' | 'objectId' | 'actor'> & {
  readonly reason?: string | null | undefined;
  readonly about?: EndedAbout | null;
}) =>
  sql`INSERT INTO journal_entries (kind, integration, object_id, actor, outcome, reason, subject, sealed)
    SELECT ${kind}, ${integration}, ${objectId}, ${actor}, ended.outcome, ${reason},
      CASE WHEN owner.has_key THEN ${about?.subject ?? null} END,
      CASE WHEN owner.has_key THEN
        CASE ended.outcome WHEN 'unknown' THEN ${about?.sealedUnknown ?? null}::bytea ELSE ${about?.sealed ?? null}::bytea END
      END
    FROM ended, owner`;

export type EndedAbout = {
  readonly subject: string;
  readonly sealed: Buffer<ArrayBuffer>;
  /** For when it turns out as `unknown` instead: what is sealed opens only as what it was sealed for. */
  readonly sealedUnknown: Buffer<ArrayBuffer>;
};
