import fc from 'fast-check';
import { newKey, open, seal, SealBroken } from './envelope';

describe('a sealed value', () => {
  it('opens with its key at its place, whatever the content', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4_096 }), fc.string(), (bytes, place) => {
        const key = newKey();
        expect(open(key, seal(key, Buffer.from(bytes), place), place).equals(Buffer.from(bytes))).toBe(true);
      }),
    );
  });

  it('does not open under another key', () => {
    expect(() => open(newKey(), seal(newKey(), Buffer.from('x'), 'a'), 'a')).toThrow(SealBroken);
  });

  it('does not open at another place, so that a copied row is of no use', () => {
    const key = newKey();
    expect(() => open(key, seal(key, Buffer.from('x'), 'face_templates/1'), 'face_templates/2')).toThrow(SealBroken);
  });

  it('does not open after any one byte was changed or cut off', () => {
    const key = newKey();
    const sealed = seal(key, Buffer.from('a face vector'), 'a');
    for (let index = 0; index < sealed.length; index++) {
      const changed = Buffer.from(sealed);
      changed[index] = changed.readUInt8(index) ^ 1;
      expect(() => open(key, changed, 'a')).toThrow(SealBroken);
      expect(() => open(key, sealed.subarray(0, index), 'a')).toThrow(SealBroken);
    }
  });

  it('never uses a nonce twice', () => {
    const key = newKey();
    const nonces = Array.from({ length: 1_000 }, () => seal(key, Buffer.alloc(0), 'a').toString('hex', 1, 13));
    expect(new Set(nonces).size).toBe(nonces.length);
  });
});
