import { z } from 'zod';

/** Type of the signed document, as its header names it. */
export const CONSENT_RECEIPT_TYPE = 'domovoy-consent-receipt+json';
export const CONSENT_RECEIPT_SCHEMA = 'ISO/IEC TS 27560:2023';

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const Party = z.strictObject({
  party_id: z.string(),
  party_role: z.enum(['pii-controller', 'recipient']),
  party_name: z.string(),
  party_address: z.string().nullable(),
});

const Purpose = z.strictObject({
  purpose: z.string(),
  lawful_basis: z.literal('consent'),
  pii_information: z.array(
    z.strictObject({
      pii_type: z.string(),
      sensitive_pii_category: z.literal('biometric'),
      pii_optional: z.boolean(),
      storage_location: z.string(),
      retention_period: z.string(),
    }),
  ),
  pii_controllers: z.array(z.string()),
  recipient_third_parties: z.array(z.string()),
  collection_method: z.string(),
  processing_method: z.string(),
  jurisdiction: z.string(),
  withdrawal_method: z.string(),
  privacy_rights: z.array(z.string()),
});

/**
 * What the resident keeps of a consent (R3.8): the structure of a consent receipt of ISO/IEC TS 27560:2023 (header,
 * processing, parties, events). The principal is an opaque id; no name, contact or address of a resident is in it.
 */
export const ConsentReceipt = z.strictObject({
  schema_version: z.literal(CONSENT_RECEIPT_SCHEMA),
  receipt_id: z.uuid(),
  record_id: z.uuid().describe('The consent'),
  pii_principal_id: z.uuid(),
  pii_processing: z.strictObject({
    privacy_notice: z.strictObject({
      form_id: z.string(),
      version: z.number().int(),
      sha256: Sha256.describe('Of the whole form: texts, purposes and validity'),
      languages: z.array(z.strictObject({ language: z.enum(['ru', 'en']), text_sha256: Sha256 })),
    }),
    purposes: z.array(Purpose).min(1),
  }),
  party_identification: z.array(Party).min(2),
  consent: z.strictObject({
    consent_type: z.literal('explicit'),
    state: z.enum(['granted', 'withdrawn', 'expired']),
    granted_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
  }),
  events: z
    .array(
      z.strictObject({
        event_type: z.enum(['granted', 'withdrawn', 'expired']),
        event_time: z.iso.datetime(),
        entity_id: z.string().describe('The party on whose word it happened'),
      }),
    )
    .min(1),
});
export type ConsentReceipt = z.infer<typeof ConsentReceipt>;

/** A document as it is downloaded (vault/document-signature.ts): flattened JWS, RFC 7515, section 7.2.2. */
export const SignedDocumentView = z
  .object({ payload: z.string(), protected: z.string(), signature: z.string() })
  .meta({ id: 'SignedDocument', description: 'Payload, header with the public key, signature; each base64url' });
