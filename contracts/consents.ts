import { z } from 'zod';
import { DELETION_STATES } from './deletions';

export const CONSENT_STATUSES = ['offered', 'granted', 'withdrawn', 'expired'] as const;
export type ConsentStatus = (typeof CONSENT_STATUSES)[number];

/** State of one consent as its workflow carries it: opaque ids and times only. */
export type Consent = {
  readonly consentId: string;
  readonly status: ConsentStatus;
  readonly expiresAt: string;
  readonly revision: number;
  /** Days before the end of the term that the resident was last reminded at. */
  readonly reminded?: number;
};

/** A resident is told that the term which ends at `expiresAt` does so in that many days. */
export type ConsentReminder = { readonly daysBefore: number; readonly expiresAt: string };

/** Argument of the consent workflow: what was offered, by opaque ids. */
export type ConsentOffer = {
  readonly consentId: string;
  readonly residentId: string;
  readonly partnerId: string;
  readonly formId: string;
  readonly formSha256: string;
  readonly validForDays: number;
  /** Until then the resident may grant it (ISO 8601, UTC). */
  readonly offeredUntil: string;
};

export const ConsentRequest = z
  .strictObject({
    partnerId: z.string().min(1).max(64).describe('The partner that biometrics are meant for'),
    formId: z.string().min(1).max(64).describe('The form that the resident was shown'),
    formSha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('SHA-256 of the form that the resident was shown, so that both sides mean the same text'),
  })
  .meta({ id: 'ConsentRequest' });

export const ConsentRenewal = z
  .strictObject({
    formSha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('SHA-256 of the current form, which the resident was shown again'),
  })
  .meta({ id: 'ConsentRenewal' });

export const ConsentView = z
  .object({
    consentId: z.uuid(),
    residentId: z.uuid(),
    partnerId: z.string(),
    formId: z.string(),
    status: z.enum(CONSENT_STATUSES),
    grantedAt: z.iso.datetime().nullable(),
    expiresAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable().describe('When it was withdrawn or had expired'),
    deletion: z
      .object({
        state: z.enum(DELETION_STATES).describe('`deleted` only when every holder has confirmed'),
        requestedAt: z.iso.datetime(),
        deletedAt: z.iso.datetime().nullable(),
      })
      .nullable()
      .describe('The deletion of biometrics that the end of the consent made due'),
  })
  .meta({ id: 'Consent', description: 'Consent of one resident to biometrics with one partner (R3.8)' });
export type ConsentView = z.infer<typeof ConsentView>;

export const RemindersView = z
  .object({
    items: z.array(
      z.object({
        kind: z.literal('consent-expires'),
        consentId: z.uuid(),
        partnerId: z.string(),
        daysBefore: z.number().int(),
        expiresAt: z.iso.datetime(),
      }),
    ),
  })
  .meta({ id: 'Reminders', description: 'What the app is to remind a resident of' });

export const ConsentFormView = z
  .object({
    formId: z.string(),
    version: z.number().int(),
    textRu: z.string(),
    textEn: z.string(),
    sha256: z.string(),
    purposes: z.array(z.string()),
    validForDays: z.number().int(),
  })
  .meta({ id: 'ConsentForm' });
