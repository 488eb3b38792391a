import { createHash } from 'node:crypto';

/**
 * SHA-256, hexadecimal: what tokens that we made for a short time are found by, and how secrets of clients were kept
 * before (vault/slow-hash.ts).
 */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');
