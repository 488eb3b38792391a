import { z } from 'zod';
import {
  APP_PROOFS,
  ERASURE_BASES,
  ERASURE_REQUESTERS,
  ERASURE_STATES,
  HOLD_REASONS,
  PROLONG_REASONS,
  STAFF_PROOFS,
} from './erasure';

const Basis = z
  .enum(ERASURE_BASES)
  .default('stop-processing')
  .describe('What it rests on: `stop-processing`, 10 working days; `consent-withdrawn`, 30 days (152-FZ, article 21)');

/** Names no person: it is kept as proof, and is in answers. */
const DocumentNumber = z
  .string()
  .regex(/^[\p{L}\p{N}./_-]{1,64}$/u, 'is a number in a register of documents')
  .describe('Number in the register of documents, never of a document that proves identity');
const Instant = z.iso
  .datetime({ abort: true })
  .refine((at) => Date.parse(at) >= Date.UTC(2000, 0), 'lies before anything could have happened');

export const ErasureDemand = z
  .strictObject({
    basis: Basis,
    requestedBy: z.enum(['self', 'representative']).describe('Who asks: the resident, or who acts for them'),
    identification: z
      .strictObject({
        method: z.enum(APP_PROOFS).describe('How whoever asks was identified for this very demand'),
        at: Instant.describe('When; it has to be recent'),
        reference: z.uuid().describe('Opaque id of the proof in the records of who identified them'),
      })
      .describe('What cannot be undone takes proof of who asks'),
    powerOfAttorney: DocumentNumber.optional(),
  })
  .refine(({ requestedBy, powerOfAttorney }) => (requestedBy === 'self') === (powerOfAttorney === undefined), {
    path: ['powerOfAttorney'],
    message: 'goes with a representative, and is wanted of one',
  })
  .meta({ id: 'ErasureDemand' });
export type ErasureDemand = z.infer<typeof ErasureDemand>;

export const StaffErasureDemand = z
  .strictObject({
    basis: Basis,
    requestedBy: z.enum(ERASURE_REQUESTERS),
    identification: z.strictObject({
      method: z.enum(STAFF_PROOFS).describe('How whoever asks proved who they are'),
      at: Instant.describe('When the demand with that proof came in'),
      reference: DocumentNumber,
    }),
    mandate: DocumentNumber.optional().describe(
      'Number of the power of attorney of a representative, or of the order or decision of an authority or a court',
    ),
  })
  .refine(({ requestedBy, mandate }) => (requestedBy === 'self') === (mandate === undefined), {
    path: ['mandate'],
    message: 'goes with whoever asks for somebody else, and is wanted of them',
  })
  .meta({ id: 'StaffErasureDemand' });
export type StaffErasureDemand = z.infer<typeof StaffErasureDemand>;

/** What one member of staff entered and another has to confirm. */
export const ErasureDemandView = z
  .object({
    erasureId: z.uuid().describe('Of the erasure that begins with the approval'),
    residentId: z.uuid(),
    basis: z.enum(ERASURE_BASES),
    requestedBy: z.enum(ERASURE_REQUESTERS),
    method: z.enum(STAFF_PROOFS),
    reference: z.string(),
    mandate: z.string().nullable(),
    proposedBy: z.string(),
    proposedAt: z.iso.datetime(),
  })
  .meta({ id: 'ErasureDemandView', description: 'A demand for erasure that waits for a second member of staff' });
export type ErasureDemandView = z.infer<typeof ErasureDemandView>;

export const ErasureHold = z
  .strictObject({ reason: z.enum(HOLD_REASONS).describe('Why nothing more may be destroyed for now') })
  .meta({ id: 'ErasureHold' });

export const ErasureProlongation = z
  .strictObject({ reason: z.enum(PROLONG_REASONS).describe('Why it takes longer; the resident is told') })
  .meta({ id: 'ErasureProlongation' });
const LONGEST_HOLD_MS = 3 * 366 * 86_400_000;

export const ResidentHold = z
  .strictObject({
    reason: z.enum(HOLD_REASONS).describe('Why nothing of the resident may be destroyed'),
    reference: DocumentNumber,
    until: Instant.describe('When it ends by itself, three years from now at most'),
  })
  .refine(({ until }) => Date.parse(until) > Date.now(), { path: ['until'], message: 'is over already' })
  .refine(({ until }) => Date.parse(until) <= Date.now() + LONGEST_HOLD_MS, {
    path: ['until'],
    message: 'is more than three years from now',
  })
  .meta({ id: 'ResidentHold' });
export type ResidentHold = z.infer<typeof ResidentHold>;

export const ResidentHoldView = z
  .object({
    holdId: z.uuid(),
    residentId: z.uuid(),
    reason: z.enum(HOLD_REASONS),
    reference: z.string(),
    until: z.iso.datetime(),
    placedBy: z.string(),
    placedAt: z.iso.datetime(),
    releasedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'ResidentHoldView', description: 'As long as it is in force nothing of the resident is destroyed' });
export type ResidentHoldView = z.infer<typeof ResidentHoldView>;

export const ErasureView = z
  .object({
    erasureId: z.uuid(),
    residentId: z.uuid(),
    basis: z.enum(ERASURE_BASES),
    requestedBy: z
      .enum(ERASURE_REQUESTERS)
      .nullable()
      .describe('`null`: it was begun again after a restore, or before this was asked'),
    state: z
      .enum([...ERASURE_STATES, 'held'])
      .describe('`erased` and `closed`: every holder has confirmed, the search was clean and the act is signed'),
    requestedAt: z.iso.datetime(),
    dueAt: z.iso.datetime(),
    prolongedAt: z.iso.datetime().nullable(),
    prolongReason: z.enum(PROLONG_REASONS).nullable().describe('What the notice gives as its reason'),
    holdReason: z.enum(HOLD_REASONS).nullable(),
    heldUntil: z.iso.datetime().nullable().describe('When the pause ends by itself; `null`: only by a release'),
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
