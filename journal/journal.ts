import type { Transaction } from '../prisma/database';

/** One piece of evidence. Opaque ids and listed words only: nothing personal, no secret, no partner's text. */
export type JournalRecord = {
  readonly kind:
    | 'opening'
    | 'consent'
    | 'enrollment'
    | 'template'
    | 'vehicle'
    | 'housekeeping'
    | 'equipment'
    | 'partner-event'
    | 'security-alert'
    | 'plugin-session'
    | 'plugin-token-check'
    | 'credential'
    | 'key-encryption';
  readonly integration: string | null;
  readonly objectId: string;
  /** Who caused it: a client id of ours, or the name of the process that did. */
  readonly actor: string;
  readonly outcome: string;
  readonly reason?: string | undefined;
};

/** Writes evidence in the transaction of what it records, so that neither exists without the other (design rule 9). */
export async function appendJournal(tx: Transaction, { reason, ...record }: JournalRecord): Promise<void> {
  await tx.journalEntry.createMany({ data: [{ ...record, reason: reason ?? null }] });
}
