import { createAccounts } from './accounts';

const PASSWORD = 'a long enough password';
const withTotp = {
  subject: '00000000-0000-4000-8000-000000000001',
  username: 'anna',
  password: PASSWORD,
  totpSecret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
  groups: ['one'],
};
const without = { subject: '00000000-0000-4000-8000-000000000002', username: 'boris', password: PASSWORD, groups: [] };

describe('accounts of the staff identity provider', () => {
  const wrong = (code: string): string => (code === '000000' ? '000001' : '000000');

  it('take a code once', () => {
    const accounts = createAccounts([withTotp]);
    const code = accounts.usableCode('anna') ?? '';
    expect(accounts.checkCode('anna', code)).toBe(withTotp);
    expect(accounts.checkCode('anna', code)).toBeUndefined();
    expect(accounts.usableCode('anna')).not.toBe(code);
  });

  it('refuse what is right for a while after too much that was wrong', () => {
    const accounts = createAccounts([without]);
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(accounts.checkPassword('boris', 'something else')).toBeUndefined();
    }
    expect(accounts.checkPassword('boris', PASSWORD)).toBeUndefined();
  });

  it('keep counting wrong codes when the password is given again in between', () => {
    const accounts = createAccounts([withTotp]);
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(accounts.checkPassword('anna', PASSWORD)).toBe(withTotp);
      expect(accounts.checkCode('anna', wrong(accounts.usableCode('anna') ?? ''))).toBeUndefined();
    }
    expect(accounts.checkPassword('anna', PASSWORD)).toBeUndefined();
    expect(accounts.checkCode('anna', accounts.usableCode('anna') ?? '')).toBeUndefined();
  });

  it('are nobody while disabled', () => {
    const accounts = createAccounts([without]);
    accounts.setDisabled('boris', true);
    expect(accounts.checkPassword('boris', PASSWORD)).toBeUndefined();
    expect(accounts.active(without.subject)).toBeUndefined();
    accounts.setDisabled('boris', false);
    expect(accounts.checkPassword('boris', PASSWORD)).toBe(without);
  });

  it('without an authenticator app have no code at all', () => {
    const accounts = createAccounts([without]);
    expect(accounts.hasTotp('boris')).toBe(false);
    expect(accounts.usableCode('boris')).toBeUndefined();
    expect(accounts.checkCode('boris', '000000')).toBeUndefined();
  });
});
