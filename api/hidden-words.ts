import { createHmac } from 'node:crypto';

/** @returns what stands for these words where they must not be read: the same for the same ones under the same key */
export const hiddenWords = (key: Buffer, ...words: readonly string[]): string =>
  createHmac('sha256', key).update(JSON.stringify(words)).digest('base64url').slice(0, 32);
