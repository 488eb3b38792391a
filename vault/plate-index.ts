import { createHmac } from 'node:crypto';

/**
 * Finds equal plates without reading one: HMAC-SHA-256 under a key of its own. A bare hash would not hide anything,
 * because all plates there are can be tried in minutes.
 */
export type PlateIndex = {
  /** @param canonical the plate as access/plates.ts writes it */
  of(canonical: string): Buffer<ArrayBuffer>;
  /** What makes two requests that hold a plate the same, in a form that a plate cannot be guessed from. */
  fingerprint(requestSha256: string): string;
};

/** @param key 32 bytes; another one finds nothing of what this one wrote */
export function createPlateIndex(key: Buffer): PlateIndex {
  const hmac = (purpose: string, text: string) => createHmac('sha256', key).update(`${purpose}/${text}`);
  return {
    of: (canonical) => Buffer.from(hmac('plate', canonical).digest()),
    fingerprint: (requestSha256) => hmac('request', requestSha256).digest('hex'),
  };
}
