import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** First byte of every sealed value: the format, so that a later one can be told apart. */
const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const KEY_BYTES = 32;

/** Thrown when a sealed value cannot be opened: wrong key, wrong place, changed, or not one of ours. Says no more. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken';
  constructor() {
    super('A sealed value could not be opened.');
  }
}

/**
 * Seals with AES-256-GCM (NIST SP 800-38D): format ‖ nonce (12) ‖ ciphertext ‖ tag (16).
 *
 * @param key 32 bytes
 * @param place where the value lives, for example `face_templates/<id>/sealed`: it is authenticated, so that a sealed
 *   value that is copied into another row does not open there
 */
export function seal(key: Buffer, plain: Buffer, place: string): Buffer<ArrayBuffer> {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(place));
  return Buffer.concat([Buffer.of(FORMAT), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what {@link seal} made with the same key and place. @throws SealBroken */
export function open(key: Buffer, sealed: Uint8Array, place: string): Buffer<ArrayBuffer> {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  if (bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== FORMAT) throw new SealBroken();
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 1 + NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw new SealBroken();
  }
}

export const newKey = (): Buffer => randomBytes(KEY_BYTES);
