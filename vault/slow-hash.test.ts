import { randomBytes } from 'node:crypto';
import { hashSecret } from './secret-hash';
import { createSecretChecks, isFast, SecretChecksBusy, slowHash } from './slow-hash';

const newSecret = (): string => randomBytes(32).toString('base64url');

describe('a secret that others show us', () => {
  const [secret, other] = [newSecret(), newSecret()];
  let stored: string;
  beforeAll(async () => {
    stored = await slowHash(secret);
  });

  it('is kept by a slow hash with a salt of its own, from which it cannot be read', async () => {
    expect(stored).toMatch(/^scrypt\$14\$8\$1\$/);
    expect(await slowHash(secret)).not.toBe(stored);
    expect(stored).not.toContain(secret);
    expect([isFast(stored), isFast(hashSecret(secret))]).toEqual([false, true]);
  });

  it('is found among those that are good, and no other is', async () => {
    const checks = createSecretChecks();
    const good = [await slowHash(other), stored];
    expect(await checks.matching('kluch', secret, good)).toBe(stored);
    expect(await checks.matching('kluch', other, good)).toBe(good[0]);
    for (const wrong of [newSecret(), '', `${secret} `, stored, hashSecret(secret)]) {
      expect(await checks.matching('kluch', wrong, good)).toBeNull();
    }
    expect(await checks.matching('kluch', secret, [])).toBeNull();
    expect(await checks.matching('kluch', secret, null)).toBeNull();
  });

  it('is found by the hash that was kept before, too', async () => {
    const checks = createSecretChecks();
    const good = [hashSecret(secret), await slowHash(other)];
    expect(await checks.matching('kluch', secret, good)).toBe(hashSecret(secret));
    expect(await checks.matching('kluch', hashSecret(secret), good)).toBeNull();
  });

  it.each([
    'scrypt$30$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    'scrypt$14$8$99$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    'scrypt$14$8$1$$',
    'plain',
  ])('is not looked for with what takes more than we give: %s', async (strange) => {
    expect(await createSecretChecks().matching('kluch', secret, [strange])).toBeNull();
  });

  it('is paid for once in ten minutes, and over at once when it is good no more', async () => {
    let nowMs = 0;
    const checks = createSecretChecks({ now: () => nowMs, atOnce: 0, waiting: 0 });
    // With no place at all, what is not remembered is refused.
    await expect(checks.matching('kluch', secret, [stored])).rejects.toThrow(SecretChecksBusy);

    const open = createSecretChecks({ now: () => nowMs, waitingForOne: 1 });
    expect(await open.matching('kluch', secret, [stored])).toBe(stored);
    const guess = open.matching('kluch', newSecret(), [stored]);
    // The one place is taken by a guess: only what is remembered gets through.
    expect(await open.matching('kluch', secret, [stored])).toBe(stored);
    expect(await guess).toBeNull();

    expect(await open.matching('kluch', secret, [await slowHash(other)])).toBeNull();
    nowMs = 10 * 60_000;
    const last = open.matching('kluch', newSecret(), [stored]);
    await expect(open.matching('kluch', secret, [stored])).rejects.toThrow(SecretChecksBusy);
    await last;
  });

  it('is stretched once when a client asks many things at once', async () => {
    const checks = createSecretChecks({ waitingForOne: 1 });
    const all = await Promise.all(Array.from({ length: 20 }, () => checks.matching('kluch', secret, [stored])));
    expect(new Set(all)).toEqual(new Set([stored]));
  });

  it('of one client waits for no guesses at another, nor at names that nobody has', async () => {
    const checks = createSecretChecks({ atOnce: 1, waiting: 8, waitingForOne: 3 });
    const guesses = [
      ...Array.from({ length: 6 }, () => checks.matching('kluch', newSecret(), [stored])),
      ...Array.from({ length: 6 }, (_, index) => checks.matching(`nobody-${index.toString()}`, newSecret(), null)),
    ].map((each) =>
      each.then(
        () => 'checked',
        (error: unknown) => (error as Error).name,
      ),
    );
    expect(await checks.matching('vizor', secret, [stored])).toBe(stored);
    const answers = await Promise.all(guesses);
    expect(answers.filter((answer) => answer === 'SecretChecksBusy')).toHaveLength(6);
    expect(answers.filter((answer) => answer === 'checked')).toHaveLength(6);
  });
});
