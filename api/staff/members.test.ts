import { isSecondFactorVerified } from './members';

const wants = (acr: string[], amr: string[]) => ({ STAFF_MFA_ACR: acr, STAFF_MFA_AMR: amr });

describe('a second factor counts as verified', () => {
  it.each([
    [wants([], ['mfa']), { acr: null, amr: ['pwd', 'otp', 'mfa'] }, true],
    [wants([], ['mfa']), { acr: null, amr: ['pwd'] }, false],
    [wants([], ['pwd', 'otp']), { acr: null, amr: ['otp'] }, false],
    [wants(['gold'], []), { acr: 'gold', amr: [] }, true],
    [wants(['gold'], []), { acr: null, amr: ['mfa'] }, false],
    [wants(['gold'], ['mfa']), { acr: 'gold', amr: ['pwd'] }, false],
    [wants(['gold'], ['mfa']), { acr: 'silver', amr: ['mfa'] }, false],
    [wants([], []), { acr: 'gold', amr: ['mfa'] }, false],
  ])('with %j wanted and %j said: %s', (settings, said, verified) => {
    expect(isSecondFactorVerified(settings, said)).toBe(verified);
  });
});
