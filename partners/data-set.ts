import { PartnerError } from './failure';

/** Every field that may ever leave towards a partner, by the word that data-set agreements use (R2.2, R3.3). */
export const DATA_SET_FIELDS = [
  'commandId',
  'deviceId',
  'notAfter',
  'photo',
  'subjectToken',
  'partnerHouseId',
  'plate',
] as const;
export type DataSetField = (typeof DATA_SET_FIELDS)[number];

/**
 * What each call passes, whichever profile speaks: these fields and no other (R3.12, R3.13, R3.14). The adapters'
 * bodies are held against this table by the contract suite.
 */
export const FIELDS_OF_CALL = {
  open: ['commandId', 'deviceId', 'notAfter'],
  'extract-face': ['photo'],
  'enroll-face': ['subjectToken', 'partnerHouseId', 'photo'],
  'face-state': ['subjectToken', 'partnerHouseId'],
  'remove-face': ['subjectToken', 'partnerHouseId'],
  'allow-plate': ['plate', 'partnerHouseId'],
  'block-plate': ['plate', 'partnerHouseId'],
  'plate-state': ['plate', 'partnerHouseId'],
  'list-equipment': ['partnerHouseId'],
} as const satisfies Record<string, readonly DataSetField[]>;
export type PartnerCallName = keyof typeof FIELDS_OF_CALL;

/** Reads which fields are agreed at this moment: a new agreement takes effect with the next call. */
export type AgreedFields = () => Promise<readonly string[]>;

/** @throws PartnerError `DataNotAgreed` when the call would send a field that the agreement does not list */
export async function agreedOnly(agreed: AgreedFields, call: PartnerCallName): Promise<void> {
  const list = await agreed();
  const missing = FIELDS_OF_CALL[call].filter((field) => !list.includes(field));
  if (missing.length === 0) return;
  throw new PartnerError('DataNotAgreed', `The data-set agreement does not list ${missing.join(', ')} for "${call}".`);
}
