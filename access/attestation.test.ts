import { attestationStanding, attestationWarning, mayUseBiometrics } from './attestation';

const DAY = 86_400_000;
const END = 1_800_000_000_000;

describe('the letter of a partner', () => {
  it.each([
    [-31, 'valid', null, true],
    [-30, 'ending', '30-days', true],
    [-13, 'ending', '14-days', true],
    [-7, 'ending', '7-days', true],
    [-1, 'ending', '1-days', true],
    [0, 'grace', 'ended', true],
    [13, 'grace', 'ended', true],
    [14, 'suspended', 'biometrics-suspended', false],
    [400, 'suspended', 'biometrics-suspended', false],
  ])('%i days from its end is %s', (days, standing, scope, biometrics) => {
    const now = END + days * DAY;
    expect(attestationStanding(END, now)).toBe(standing);
    expect(attestationWarning(END, now)?.scope ?? null).toBe(scope);
    expect(mayUseBiometrics(END, now)).toBe(biometrics);
  });

  it('that never came, and one whose end is no time, allow no biometrics', () => {
    expect(attestationStanding(null, END)).toBe('missing');
    expect(mayUseBiometrics(null, END)).toBe(false);
    expect(mayUseBiometrics(NaN, END)).toBe(false);
    expect(attestationStanding(NaN, END)).toBe('suspended');
  });
});
