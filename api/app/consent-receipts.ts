import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  CONSENT_RECEIPT_SCHEMA,
  CONSENT_RECEIPT_TYPE,
  ConsentReceipt,
  SignedDocumentView,
} from '../../contracts/consent-receipt';
import type { Database } from '../../prisma/database';
import { signDocument, type DocumentSigner } from '../../vault/document-signature';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, notFound } from '../problem';

/** The company, as papers name it: 152-FZ, article 9 part 4 wants the operator's name and address in a consent. */
export type Operator = { readonly name: string; readonly address: string };

type Dependencies = { readonly database: Database; readonly signer: DocumentSigner; readonly operator: Operator };

/** The signed receipt of a consent, for the resident to keep (R3.8). Can be checked offline: `domovoy verify`. */
export function consentReceiptOperations({ database, signer, operator }: Dependencies): Operation[] {
  return [
    defineOperation({
      id: 'getConsentReceipt',
      method: 'get',
      path: '/consents/{consentId}/receipt',
      summary: 'The signed receipt of a consent, as it stands now',
      description:
        'ISO/IEC TS 27560:2023. The same state of a consent always gives the same document. Compare the thumbprint of ' +
        'its key with `/.well-known/domovoy-document-keys`.',
      scope: 'app',
      params: z.object({ consentId: z.uuid() }),
      responses: { 200: { description: 'The receipt', schema: SignedDocumentView } },
      async handle({ params }) {
        const receipt = ConsentReceipt.parse(await receiptOf(params.consentId));
        return {
          status: 200,
          body: signDocument(signer, CONSENT_RECEIPT_TYPE, receipt),
          headers: { 'cache-control': 'private, no-store' },
        };
      },
    }),
  ];

  async function receiptOf(consentId: string): Promise<ConsentReceipt> {
    const consent = await database.consent.findUnique({
      where: { id: consentId },
      include: { form: true, partner: { select: { id: true, displayName: true, custody: true } } },
    });
    if (!consent) throw notFound('consentId');
    const { form, partner, grantedAt } = consent;
    const state = STATES.safeParse(consent.status);
    if (grantedAt === null || !state.success) throw notGranted();
    const events = await eventsOf(consentId, grantedAt);
    return {
      schema_version: CONSENT_RECEIPT_SCHEMA,
      receipt_id: resourceIdFor(consentId, 'receipt', `${state.data}/${events.length.toString()}`),
      record_id: consentId,
      pii_principal_id: consent.residentId,
      pii_processing: {
        privacy_notice: {
          form_id: form.id,
          version: form.version,
          sha256: consent.formSha256,
          languages: [
            { language: 'ru', text_sha256: sha256(form.textRu) },
            { language: 'en', text_sha256: sha256(form.textEn) },
          ],
        },
        purposes: form.purposes.map((purpose) => processing(purpose, partner)),
      },
      party_identification: [
        {
          party_id: OPERATOR_ID,
          party_role: 'pii-controller',
          party_name: operator.name,
          party_address: operator.address,
        },
        { party_id: partner.id, party_role: 'recipient', party_name: partner.displayName, party_address: null },
      ],
      consent: {
        consent_type: 'explicit',
        state: state.data,
        granted_at: grantedAt.toISOString(),
        expires_at: consent.expiresAt.toISOString(),
      },
      events,
    };
  }

  /** From the journal, which knows every state and its time; the grant is known from the consent itself. */
  async function eventsOf(consentId: string, grantedAt: Date): Promise<ConsentReceipt['events']> {
    const entries = await database.journalEntry.findMany({
      where: { kind: 'consent', objectId: consentId, outcome: { in: ['withdrawn', 'expired'] } },
      orderBy: { seq: 'asc' },
    });
    const later = entries.map(({ outcome, at }) => ({
      event_type: STATES.parse(outcome),
      event_time: at.toISOString(),
      entity_id: outcome === 'expired' ? OPERATOR_ID : PRINCIPAL,
    }));
    return [{ event_type: 'granted', event_time: grantedAt.toISOString(), entity_id: PRINCIPAL }, ...later];
  }
}

const OPERATOR_ID = 'operator';
const PRINCIPAL = 'pii-principal';
const STATES = z.enum(['granted', 'withdrawn', 'expired']);
/** The photo's way is at most a day forward and two weeks with a partner that takes its time; it ends with deletion. */
const PHOTO_RETENTION = 'until the enrollment ends, then deleted';
const TEMPLATE_RETENTION = 'until the consent is withdrawn or expires, then deleted (152-FZ, article 21)';

/** Who holds what follows from the partner's custody (R0.9, R1.2, R3.14). */
function processing(
  purpose: string,
  partner: { id: string; custody: string },
): ConsentReceipt['pii_processing']['purposes'][number] {
  const holder = partner.custody === 'company' ? OPERATOR_ID : partner.id;
  const biometric = { sensitive_pii_category: 'biometric', pii_optional: false } as const;
  return {
    purpose,
    lawful_basis: 'consent',
    pii_information: [
      { pii_type: 'face-image', ...biometric, storage_location: OPERATOR_ID, retention_period: PHOTO_RETENTION },
      { pii_type: 'face-template', ...biometric, storage_location: holder, retention_period: TEMPLATE_RETENTION },
    ],
    pii_controllers: [OPERATOR_ID],
    recipient_third_parties: [partner.id],
    collection_method: 'a photo that the resident uploads in the app',
    processing_method: 'automated: a template is computed from the photo and compared with faces at the door',
    jurisdiction: 'RU',
    withdrawal_method: 'in the app, at any time, without giving a reason: the consent, Withdraw',
    privacy_rights: ['access', 'rectification', 'withdrawal', 'erasure', 'complaint to Roskomnadzor'],
  };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const notGranted = (): HttpProblem =>
  new HttpProblem({
    status: 409,
    type: 'consent-state-conflict',
    title: 'The consent was never granted: there is nothing to give a receipt for',
  });
