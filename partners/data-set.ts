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

/** Reads which fields are agreed at this moment: a new agreement takes effect with the next call. */
export type AgreedFields = () => Promise<readonly string[]>;

/** @throws PartnerError `DataNotAgreed` when a call would send a field that the agreement does not list */
export async function assertAgreed(agreed: AgreedFields, fields: readonly DataSetField[]): Promise<void> {
  const list = await agreed();
  if (fields.every((field) => list.includes(field))) return;
  throw new PartnerError('DataNotAgreed', 'The data-set agreement with the partner does not cover this call.');
}
