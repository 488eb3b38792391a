import { z } from 'zod';
import { journalPlace } from '../contracts/sealed-places';
import type { Transaction } from '../prisma/database';
import type { SubjectKey, SubjectVault } from '../vault/subject-keys';
import { appendJournal, type JournalRecord } from './journal';

/** What may be personal in an entry: ids that only together with others say something of a person. */
export type Details = Readonly<Record<string, string>>;
const Details = z.record(z.string(), z.string());

const PURPOSE = 'journal';

type Entry = Pick<JournalRecord, 'kind' | 'objectId' | 'outcome'>;

/**
 * What ties an entry to a person, for {@link JournalRecord}: a pseudonym and sealed details, both of the subject's own
 * key. The tree covers the pseudonym and the ciphertext, so that destroying the key erases the person from the journal
 * and leaves every proof as it was.
 */
export const aboutSubject = (
  key: SubjectKey,
  entry: Entry,
  details: Details,
): { readonly subject: string; readonly sealed: Buffer<ArrayBuffer> } => ({
  subject: key.pseudonym(PURPOSE),
  sealed: key.seal(Buffer.from(JSON.stringify(details)), journalPlace(entry)),
});

/**
 * Writes evidence about one person, in the transaction of what it records: with their pseudonym, and the details that
 * tell more of them than that something happened. Of somebody whose key is destroyed already it says neither.
 */
export async function appendAbout(
  tx: Transaction,
  subjects: SubjectVault,
  { residentId, details = {} }: { readonly residentId: string; readonly details?: Details },
  ...records: readonly JournalRecord[]
): Promise<void> {
  if (records.length === 0) return;
  const key = await subjects.find(tx, residentId);
  await appendJournal(tx, ...records.map((record) => ({ ...record, ...(key && aboutSubject(key, record, details)) })));
}

export type SubjectEntry = {
  readonly seq: bigint;
  readonly at: Date;
  readonly kind: string;
  readonly objectId: string | null;
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly details: Details | null;
};

/**
 * The extract of the journal about one person, oldest first; nothing once their key is destroyed.
 *
 * @param scope.to exclusive
 */
export async function entriesOfSubject(
  tx: Transaction,
  subjects: SubjectVault,
  residentId: string,
  scope: { readonly from?: Date; readonly to?: Date; readonly most?: number } = {},
): Promise<SubjectEntry[]> {
  const key = await subjects.find(tx, residentId);
  if (key === null) return [];
  const { from, to, most } = scope;
  const rows = await tx.journalEntry.findMany({
    where: { subject: key.pseudonym(PURPOSE), at: { ...(from && { gte: from }), ...(to && { lt: to }) } },
    orderBy: { seq: 'asc' },
    ...(most !== undefined && { take: most }),
  });
  return rows.map(({ seq, at, kind, objectId, outcome, reason, sealed }) => {
    const place = journalPlace({ kind, objectId: objectId ?? '', outcome: outcome ?? '' });
    const details = sealed === null ? null : Details.parse(JSON.parse(key.open(sealed, place).toString('utf8')));
    return { seq, at, kind, objectId, outcome, reason, details };
  });
}
