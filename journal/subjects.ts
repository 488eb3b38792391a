import { z } from 'zod';
import { journalPlace } from '../contracts/sealed-places';
import type { Transaction } from '../prisma/database';
import type { SubjectVault } from '../vault/subject-keys';
import type { JournalRecord } from './journal';

/** What may be personal in an entry: ids that only together with others say something of a person. */
export type Details = Readonly<Record<string, string>>;
const Details = z.record(z.string(), z.string());

const PURPOSE = 'journal';

/**
 * What ties an entry to a person, for {@link JournalRecord}: a pseudonym and sealed details, both of the subject's own
 * key. The tree covers the pseudonym and the ciphertext, so that destroying the key erases the person from the journal
 * and leaves every proof as it was. Nothing for somebody whose key is destroyed already.
 */
export async function aboutSubject(
  tx: Transaction,
  subjects: SubjectVault,
  residentId: string,
  entry: Pick<JournalRecord, 'kind' | 'objectId' | 'outcome'>,
  details: Details,
): Promise<Pick<JournalRecord, 'subject' | 'sealed'>> {
  const subject = await subjects.pseudonym(tx, residentId, PURPOSE);
  if (subject === null) return {};
  const sealed = await subjects.seal(tx, residentId, Buffer.from(JSON.stringify(details)), journalPlace(entry));
  return { subject, sealed };
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

/** The extract of the journal about one person, oldest first; nothing once their key is destroyed. */
export async function entriesOfSubject(
  tx: Transaction,
  subjects: SubjectVault,
  residentId: string,
): Promise<SubjectEntry[]> {
  const subject = await subjects.pseudonym(tx, residentId, PURPOSE);
  if (subject === null) return [];
  const rows = await tx.journalEntry.findMany({ where: { subject }, orderBy: { seq: 'asc' } });
  const extract: SubjectEntry[] = [];
  for (const { seq, at, kind, objectId, outcome, reason, sealed } of rows) {
    const place = journalPlace({ kind, objectId: objectId ?? '', outcome: outcome ?? '' });
    const plain = sealed === null ? null : await subjects.open(tx, residentId, sealed, place);
    const details = plain === null ? null : Details.parse(JSON.parse(plain.toString('utf8')));
    extract.push({ seq, at, kind, objectId, outcome, reason, details });
  }
  return extract;
}
