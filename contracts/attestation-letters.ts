import { z } from 'zod';

/** What a letter has to say, all of it (R3.5). */
export const ATTESTED = ['infrastructure-and-services-audited', 'vulnerability-analysis', 'federal-law-152'] as const;

const PersonText = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .regex(/^[\p{L}\p{M} .,'’«»"()\-/\d]+$/u, 'holds a character that names do not have');

export const Signatory = z.strictObject({ name: PersonText, position: PersonText });
export type Signatory = z.infer<typeof Signatory>;

/** What the one who read the letter found in it. */
export const AttestationAcceptance = z
  .strictObject({
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('Of the file that was read'),
    signedBy: Signatory.describe("The partner's head, as the letter names them"),
    signedOn: z.iso.date(),
    validUntil: z.iso.date().describe('The last day'),
    attests: z
      .array(z.enum(ATTESTED))
      .length(ATTESTED.length)
      .refine((all) => new Set(all).size === ATTESTED.length, 'leaves something out that the letter has to say'),
  })
  .meta({ id: 'AttestationAcceptance' });
export type AttestationAcceptance = z.infer<typeof AttestationAcceptance>;

export const AttestationLetterView = z
  .object({
    letterId: z.uuid(),
    partnerId: z.string(),
    status: z.enum(['uploaded', 'in-force', 'superseded', 'withdrawn']),
    sha256: z.string(),
    bytes: z.int(),
    uploadedBy: z.uuid().nullable(),
    acceptedBy: z.uuid().nullable(),
    uploadedAt: z.iso.datetime(),
    signedOn: z.iso.datetime().nullable(),
    validUntil: z.iso.datetime().nullable(),
    inForceFrom: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'AttestationLetter', description: "A letter of the partner's head (R3.5); takes two people" });
export type AttestationLetterView = z.infer<typeof AttestationLetterView>;

export const AttestationView = z
  .object({
    standing: z
      .enum(['valid', 'ending', 'grace', 'suspended', 'missing'])
      .describe('With `suspended` and `missing` no face is enrolled and none opens'),
    validUntil: z.iso.datetime().nullable(),
    biometricsUntil: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Attestation', description: 'Where a partner stands with its letter (R3.5)' });
export type AttestationView = z.infer<typeof AttestationView>;
