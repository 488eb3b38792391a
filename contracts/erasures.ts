import { z } from 'zod';
import { ERASURE_BASES, ERASURE_STATES, HOLD_REASONS, PROLONG_REASONS } from './erasure';

export const ErasureDemand = z
  .strictObject({
    basis: z
      .enum(ERASURE_BASES)
      .default('stop-processing')
      .describe(
        'What it rests on: `stop-processing`, 10 working days; `consent-withdrawn`, 30 days (152-FZ, article 21)',
      ),
  })
  .meta({ id: 'ErasureDemand' });

export const ErasureHold = z
  .strictObject({ reason: z.enum(HOLD_REASONS).describe('Why nothing more may be destroyed for now') })
  .meta({ id: 'ErasureHold' });

export const ErasureProlongation = z
  .strictObject({ reason: z.enum(PROLONG_REASONS).describe('Why it takes longer; the resident is told') })
  .meta({ id: 'ErasureProlongation' });

export const ErasureView = z
  .object({
    erasureId: z.uuid(),
    residentId: z.uuid(),
    basis: z.enum(ERASURE_BASES),
    state: z
      .enum([...ERASURE_STATES, 'held'])
      .describe('`erased` and `closed`: every holder has confirmed, the search was clean and the act is signed'),
    requestedAt: z.iso.datetime(),
    dueAt: z.iso.datetime(),
    prolongedAt: z.iso.datetime().nullable(),
    prolongReason: z.enum(PROLONG_REASONS).nullable().describe('What the notice gives as its reason'),
    holdReason: z.enum(HOLD_REASONS).nullable(),
    erasedAt: z.iso.datetime().nullable().describe('When our own data and the key were destroyed'),
    completedAt: z.iso.datetime().nullable().describe('When it was certified'),
    search: z
      .object({
        searchedAt: z.iso.datetime(),
        places: z.number().int(),
        found: z.array(z.object({ place: z.string(), hits: z.number().int() })),
      })
      .nullable()
      .describe('The last search of every store'),
  })
  .meta({ id: 'Erasure', description: 'The erasure of one person (152-FZ, articles 14 and 21)' });
export type ErasureView = z.infer<typeof ErasureView>;

export const ProlongationNotice = z
  .object({
    erasureId: z.uuid(),
    operator: z.object({ name: z.string(), address: z.string() }),
    requestedAt: z.iso.datetime(),
    prolongedAt: z.iso.datetime(),
    previousDueAt: z.iso.datetime(),
    dueAt: z.iso.datetime(),
    reason: z.enum(PROLONG_REASONS),
    textRu: z.string().describe('The notice itself, as it is to be shown to the resident'),
  })
  .meta({ id: 'ProlongationNotice', description: 'That a demand takes longer, and why (152-FZ, article 21 part 5.1)' });
export type ProlongationNotice = z.infer<typeof ProlongationNotice>;
