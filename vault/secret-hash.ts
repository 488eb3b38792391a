import { createHash, timingSafeEqual } from 'node:crypto';

/** Machine secrets have at least 256 random bits: a fast hash keeps them, a slow one would only slow us down. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** Whether a secret is one of those that are valid now; always compares with every one, in constant time. */
export function matchesSecret(secret: string, hashes: readonly string[]): boolean {
  const given = Buffer.from(hashSecret(secret));
  return hashes
    .map((hash) => Buffer.from(hash))
    .map((known) => known.length === given.length && timingSafeEqual(known, given))
    .includes(true);
}
