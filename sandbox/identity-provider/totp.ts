import { createHmac } from 'node:crypto';

const STEP_S = 30;
const DIGITS = 6;

/** The time step that an instant falls into (RFC 6238, section 4.2: T0 = 0, X = 30 s). */
export const timeStep = (atMs: number): number => Math.floor(atMs / 1_000 / STEP_S);

/** The code of one time step: HOTP of its number (RFC 4226, section 5.3), HMAC-SHA-1, six digits. */
export function totpCode(secret: Buffer, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const offset = mac.readUInt8(mac.length - 1) & 0x0f;
  const number = (mac.readUInt32BE(offset) & 0x7fffffff) % 10 ** DIGITS;
  return number.toString().padStart(DIGITS, '0');
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** @param text RFC 4648 base32 in capital letters, without padding */
export function fromBase32(text: string): Buffer {
  const bits = Array.from(text, (letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const bytes = bits.match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
}
