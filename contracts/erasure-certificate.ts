import { z } from 'zod';

/** Type of the signed document, as its header names it. */
export const CERTIFICATE_TYPE = 'domovoy-erasure-certificate+json';
export const CERTIFICATE_SCHEMA = 'RKN-179-2022/3';
/** Acts of earlier forms lack what has a default below; they stay valid as they were signed. */
const CERTIFICATE_SCHEMAS = ['RKN-179-2022/1', 'RKN-179-2022/2', CERTIFICATE_SCHEMA] as const;

/**
 * What an act may say of somebody else: it `confirmed`; was never asked, because all of it was `held-by-operator`; or keeps
 * a plate `kept-for-another` person who has registered the same car.
 */
export const HOLDER_STANDINGS = ['confirmed', 'held-by-operator', 'kept-for-another'] as const;
const HolderStanding = z.enum(HOLDER_STANDINGS);
export type HolderStanding = z.infer<typeof HolderStanding>;

const Moment = z.iso.datetime();
const Party = z.strictObject({ name: z.string(), address: z.string().nullable() });

/**
 * The act of destruction of personal data and the extract from the event journal, as Roskomnadzor's order 179 of
 * 28 October 2022 wants them where processing is automated. The person is named by "other information that identifies
 * them": the number of their request and a pseudonym. A name would be personal data that the act itself would keep.
 */
export const ErasureCertificate = z.strictObject({
  schema_version: z.enum(CERTIFICATE_SCHEMAS),
  certificate_id: z.uuid(),
  version: z.number().int().min(1),
  issued_at: Moment,
  keep_until: Moment.describe('Order 179: three years'),
  operator: Party,
  processors: z.array(Party.extend({ id: z.string() })).describe('Who processed on the order of the operator'),
  subject: z.strictObject({
    request_id: z.uuid().describe('Number of the demand, which the person has'),
    pseudonym: z.string().nullable().describe('Made with the key that was destroyed: nobody can make it again'),
  }),
  performed_by: z.strictObject({
    system: z.string(),
    name: z.string().nullable().default(null).describe('The person who answers for the destruction'),
    position: z.string(),
    signature: z.string(),
  }),
  reason: z.strictObject({ basis: z.enum(['stop-processing', 'consent-withdrawn']), law: z.string() }),
  requested_at: Moment,
  destroyed_at: Moment,
  destroyed: z
    .array(
      z.strictObject({
        category: z.string(),
        system: z.string(),
        medium: z.string(),
        method: z.string(),
        destroyed_at: Moment,
      }),
    )
    .describe('Empty when the person was erased before, and nothing was left of them'),
  backups: z
    .strictObject({
      key_destroyed_at: Moment.describe('From then on the system itself opens nothing of the person'),
      share_destroyed_at: Moment.nullable()
        .default(null)
        .describe('By when the key store had no half of the key; acts of the second form know of no halves'),
      retention_days: z.number().int().min(1),
      hold_until: Moment.describe('When the last backup of the database from before the destruction is destroyed'),
      key_store_retention_days: z.number().int().min(0).nullable().default(null),
      key_store_hold_until: Moment.nullable()
        .default(null)
        .describe('When the last backup of the key store with the other half is destroyed; null: none is made'),
      whole_key_until: Moment.nullable()
        .default(null)
        .describe('Until when backups of the database were made that hold the whole key; null: none ever was'),
      opens_nothing_from: Moment.nullable()
        .default(null)
        .describe('From then on nothing of the person opens with any backup'),
      statement: z.string(),
    })
    .nullable()
    .default(null)
    .describe('What older backups hold, and until when; acts of the first form do not say'),
  holders: z.array(
    z.strictObject({
      party: z.string(),
      category: z.enum(['face', 'plate']),
      confirmed_at: Moment.nullable(),
      standing: HolderStanding.default('confirmed'),
      confirmation: z.string(),
      ordered_again: z.number().int(),
    }),
  ),
  search: z.strictObject({
    searched_at: Moment,
    places: z.number().int().min(1),
    found: z.literal(0),
    kept: z.array(z.strictObject({ place: z.string(), why: z.string() })),
  }),
  journal_extract: z
    .array(
      z.strictObject({
        entry: z.string(),
        at: Moment,
        event: z.string(),
        subject: z.uuid(),
        category: z.string().nullable(),
        system: z.string(),
        reason: z.string(),
        detail: z
          .string()
          .nullable()
          .default(null)
          .describe('What the entry says besides: a listed word or an opaque id'),
      }),
    )
    .min(1),
});
export type ErasureCertificate = z.infer<typeof ErasureCertificate>;
