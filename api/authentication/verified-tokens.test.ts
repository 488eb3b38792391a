import type { JSONWebKeySet } from 'jose';
import { createVerifiedTokens } from './verified-tokens';

const NOW_S = 1_800_000_000;
const SKEW_S = 5;
const good = (keys: JSONWebKeySet, exp = NOW_S + 300) => {
  let verified = 0;
  return {
    keys,
    verify: () => {
      verified++;
      return Promise.resolve({ sub: 'somebody', exp });
    },
    times: () => verified,
  };
};

describe('tokens that were verified', () => {
  beforeEach(() => {
    jest.useFakeTimers({ now: NOW_S * 1_000 });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('are verified once for each use', async () => {
    const tokens = createVerifiedTokens(SKEW_S);
    const { keys, verify, times } = good({ keys: [] });
    for (const use of ['app', 'app', 'partner']) {
      expect(await tokens.payloadOf(keys, use, 'a.b.c', verify)).toMatchObject({ sub: 'somebody' });
    }
    expect(times()).toBe(2);
  });

  it('are not taken for one another by a part that they share', async () => {
    const tokens = createVerifiedTokens(SKEW_S);
    const { keys, verify } = good({ keys: [] });
    await tokens.payloadOf(keys, 'app', 'a.b.c', verify);
    const forged = tokens.payloadOf(keys, 'app', 'a.b.d', () => Promise.reject(new Error('signature')));
    await expect(forged).rejects.toThrow('signature');
    // That it was refused is not remembered as anything else either.
    await expect(tokens.payloadOf(keys, 'app', 'a.b.d', () => Promise.reject(new Error('signature')))).rejects.toThrow(
      'signature',
    );
  });

  it('are not believed a moment longer than when they are verified', async () => {
    const tokens = createVerifiedTokens(SKEW_S);
    const { keys, verify, times } = good({ keys: [] }, NOW_S + 300);
    await tokens.payloadOf(keys, 'app', 'a.b.c', verify);
    jest.setSystemTime((NOW_S + 300 + SKEW_S - 1) * 1_000);
    await tokens.payloadOf(keys, 'app', 'a.b.c', verify);
    expect(times()).toBe(1);
    jest.setSystemTime((NOW_S + 300 + SKEW_S) * 1_000);
    const late = tokens.payloadOf(keys, 'app', 'a.b.c', () => Promise.reject(new Error('over')));
    await expect(late).rejects.toThrow('over');
  });

  it('are verified anew when the keys are others, so that a key taken out of use takes its tokens with it', async () => {
    const tokens = createVerifiedTokens(SKEW_S);
    await tokens.payloadOf({ keys: [] }, 'app', 'a.b.c', good({ keys: [] }).verify);
    const refused = tokens.payloadOf({ keys: [] }, 'app', 'a.b.c', () => Promise.reject(new Error('no key')));
    await expect(refused).rejects.toThrow('no key');
  });

  it('are remembered in a bounded number, the oldest forgotten first', async () => {
    const tokens = createVerifiedTokens(SKEW_S, 2);
    const { keys, verify, times } = good({ keys: [] });
    for (const token of ['one', 'two', 'three', 'two']) await tokens.payloadOf(keys, 'app', token, verify);
    expect(times()).toBe(3);
    await tokens.payloadOf(keys, 'app', 'one', verify);
    expect(times()).toBe(4);
  });
});
