import { createHash, timingSafeEqual } from 'node:crypto';

/** SHA-256 of a secret, what is compared and kept in place of it. Secrets here are long and random: no slow hash. */
export function secretHash(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest();
}

/** Whether a presented secret is one of those accepted; takes the same time whichever it is and whether it is any. */
export function isOneOf(presented: string, accepted: readonly Buffer[]): boolean {
  const hash = secretHash(presented);
  return accepted.reduce((found, each) => timingSafeEqual(each, hash) || found, false);
}
