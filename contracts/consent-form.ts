import { createHash } from 'node:crypto';

/** What both sides mean by "that form": the hash covers both texts and everything that the resident agrees to. */
export function consentFormSha256(form: {
  id: string;
  version: number;
  textRu: string;
  textEn: string;
  purposes: readonly string[];
  validForDays: number;
}): string {
  const { id, version, textRu, textEn, purposes, validForDays } = form;
  return createHash('sha256')
    .update(JSON.stringify([id, version, textRu, textEn, purposes, validForDays]))
    .digest('hex');
}
