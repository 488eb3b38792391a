import { query, sql, type Database, type Transaction } from '../prisma/database';

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
  const data = records.map(({ reason = null, subject = null, sealed = null, ...rest }) => {
    return { ...rest, reason, subject, sealed };
  });
  await tx.journalEntry.createMany({ data });
}

/** The same for many records about nobody that stand by themselves: as one statement, whose text does not grow with them. */
export async function appendManyToJournal(
  database: Database,
  records: readonly Omit<JournalRecord, 'subject' | 'sealed'>[],
): Promise<void> {
  const column = (of: (record: (typeof records)[number]) => string | null) => sql`${records.map(of)}::text[]`;
  await query(
    database,
    sql`INSERT INTO journal_entries (kind, integration, object_id, actor, outcome, reason)
      SELECT * FROM unnest(${column(({ kind }) => kind)}, ${column(({ integration }) => integration)},
        ${column(({ objectId }) => objectId)}, ${column(({ actor }) => actor)}, ${column(({ outcome }) => outcome)},
        ${column(({ reason }) => reason ?? null)})`,
  );
}

/**
 * The same as part of a statement, for where a transaction of several would be most of what it costs: an entry for each
 * row that its part `ended` gives, with the row's `outcome`.
 */
export const journalEntryOfEnded = ({
  kind,
  integration,
  objectId,
  actor,
  reason = null,
}: Pick<JournalRecord, 'kind' | 'integration' | 'objectId' | 'actor'> & {
  readonly reason?: string | null | undefined;
}) =>
  sql`INSERT INTO journal_entries (kind, integration, object_id, actor, outcome, reason)
    SELECT ${kind}, ${integration}, ${objectId}, ${actor}, ended.outcome, ${reason} FROM ended`;
