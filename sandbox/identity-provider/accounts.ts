import { isOneOf, secretHash } from '../same-secret';
import type { Account } from './config';
import { fromBase32, timeStep, totpCode } from './totp';

/** Wrong passwords and codes in a row before an account is refused for a while. */
const ATTEMPTS = 5;
const REFUSED_FOR_MS = 30_000;

type State = { disabled: boolean; lastStep: number; wrong: number; refusedUntilMs: number };
const untouched = (): State => ({ disabled: false, lastStep: 0, wrong: 0, refusedUntilMs: 0 });

/** The accounts of the configuration, and what became of them since the start. */
export function createAccounts(configured: readonly Account[]) {
  const entries = configured.map((account) => ({
    account,
    passwordHash: secretHash(account.password),
    totpKey: account.totpSecret === undefined ? null : fromBase32(account.totpSecret),
    state: untouched(),
  }));
  type Entry = (typeof entries)[number];
  const byUsername = new Map(entries.map((entry) => [entry.account.username, entry]));
  const bySubject = new Map(entries.map((entry) => [entry.account.subject, entry]));

  /**
   * Counts what was wrong; while an account is refused, what is right does not help. Only a whole sign-in starts the
   * count anew: else whoever has the password could guess codes without end.
   */
  function attempt({ state }: Entry, isWhole: boolean, isRight: () => boolean): boolean {
    if (state.disabled || state.refusedUntilMs > Date.now()) return false;
    if (isRight()) {
      if (isWhole) state.wrong = 0;
      return true;
    }
    state.wrong += 1;
    if (state.wrong < ATTEMPTS) return false;
    state.wrong = 0;
    state.refusedUntilMs = Date.now() + REFUSED_FOR_MS;
    return false;
  }

  /** The steps whose codes are good now: one earlier and one later for clocks that differ, none a second time. */
  function usableSteps({ state }: Entry): number[] {
    const now = timeStep(Date.now());
    return [now - 1, now, now + 1].filter((step) => step > state.lastStep);
  }

  return {
    list: () =>
      entries.map(({ account: { username, subject, groups }, totpKey, state: { disabled } }) => ({
        username,
        subject,
        groups,
        totp: totpKey !== null,
        disabled,
      })),
    active: (subject: string): Account | undefined => {
      const entry = bySubject.get(subject);
      return entry && !entry.state.disabled ? entry.account : undefined;
    },
    hasTotp: (username: string): boolean => byUsername.get(username)?.totpKey != null,
    checkPassword(username: string, password: string): Account | undefined {
      const entry = byUsername.get(username);
      if (!entry) return undefined;
      const isWhole = entry.totpKey === null;
      return attempt(entry, isWhole, () => isOneOf(password, [entry.passwordHash])) ? entry.account : undefined;
    },
    /** RFC 6238, section 5.2: a code is good once. */
    checkCode(username: string, code: string): Account | undefined {
      const entry = byUsername.get(username);
      const key = entry?.totpKey;
      if (!entry || !key) return undefined;
      const right = attempt(entry, true, () => {
        const step = usableSteps(entry).find((each) => isOneOf(code, [secretHash(totpCode(key, each))]));
        if (step !== undefined) entry.state.lastStep = step;
        return step !== undefined;
      });
      return right ? entry.account : undefined;
    },
    /** What the authenticator app shows, or would show next where that was used; `null`: none is good yet. */
    usableCode(username: string): string | null | undefined {
      const entry = byUsername.get(username);
      if (!entry?.totpKey) return undefined;
      const step = usableSteps(entry)[0];
      return step === undefined ? null : totpCode(entry.totpKey, step);
    },
    setDisabled(username: string, disabled: boolean): boolean {
      const entry = byUsername.get(username);
      if (entry) entry.state.disabled = disabled;
      return entry !== undefined;
    },
  };
}
export type Accounts = ReturnType<typeof createAccounts>;
