import { fromBase32, timeStep, totpCode } from './totp';

describe('codes of authenticator apps', () => {
  /** RFC 6238, appendix B, SHA-1: the last six of its eight digits. */
  it.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('are those of RFC 6238 at %s seconds', (seconds, code) => {
    expect(totpCode(Buffer.from('12345678901234567890'), timeStep(seconds * 1_000))).toBe(code);
  });

  it('come from secrets as apps take them', () => {
    expect(fromBase32('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ').toString()).toBe('12345678901234567890');
  });
});
