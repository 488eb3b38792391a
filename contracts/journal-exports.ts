import { z } from 'zod';

/** Why somebody may want to know what the journal says of one person. */
export const JOURNAL_EXPORT_REASONS = ['incident', 'request-of-the-person', 'request-of-an-authority'] as const;

const LONGEST_SCOPE_MS = 366 * 86_400_000;
const Instant = z.iso
  .datetime({ abort: true })
  .refine((at) => Date.parse(at) >= Date.UTC(2000, 0), 'lies before anything could have happened');

export const JournalExportProposal = z
  .strictObject({
    residentId: z.uuid(),
    reason: z.enum(JOURNAL_EXPORT_REASONS),
    from: Instant,
    to: Instant.describe('Entries before this time'),
  })
  .refine(({ from, to }) => Date.parse(from) < Date.parse(to), { path: ['to'], message: 'does not come after from' })
  .refine(({ from, to }) => Date.parse(to) - Date.parse(from) <= LONGEST_SCOPE_MS, {
    path: ['to'],
    message: 'is more than a year after from',
  })
  .meta({ id: 'JournalExportProposal' });

/** Not whom it is about: an answer is kept for repeats. */
export const JournalExportView = z
  .object({
    exportId: z.uuid(),
    reason: z.enum(JOURNAL_EXPORT_REASONS),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    requestedBy: z.string(),
    approvedBy: z.string().nullable(),
    readableUntil: z.iso.datetime().nullable(),
  })
  .meta({ id: 'JournalExportView' });
export type JournalExportView = z.infer<typeof JournalExportView>;

export const OpenedJournal = z
  .object({
    exportId: z.uuid(),
    details: z.literal('opened'),
    entries: z.array(
      z.object({
        entry: z.string().describe('Number of the entry, for `domovoy journal prove`'),
        at: z.iso.datetime(),
        kind: z.string(),
        objectId: z.string().nullable(),
        outcome: z.string().nullable(),
        reason: z.string().nullable(),
        details: z.record(z.string(), z.string()).nullable(),
      }),
    ),
  })
  .meta({ id: 'OpenedJournal' });
export type OpenedJournal = z.infer<typeof OpenedJournal>;

/** Media type, without `application/`, of what was opened as a signed document (vault/document-signature.ts). */
export const JOURNAL_EXPORT_TYPE = 'domovoy-journal-export+json';
