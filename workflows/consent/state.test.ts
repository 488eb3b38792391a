import { fc, test } from '@fast-check/jest';
import {
  dueReminder,
  expired,
  granted,
  isOver,
  msUntilNext,
  offered,
  REMINDER_DAYS,
  reminded,
  renewed,
  withdrawn,
} from './state';
import type { Consent } from '../../contracts/consents';

const DAY_MS = 86_400_000;
const t0 = Date.parse('2026-01-01T00:00:00.000Z');
const offer = offered('c', new Date(t0 + 3_600_000).toISOString());

type Step = {
  readonly name: string;
  readonly days: number;
  readonly take: (consent: Consent, nowMs: number) => Consent;
};
const steps = fc.array(
  fc
    .record({
      days: fc.integer({ min: 0, max: 400 }),
      kind: fc.constantFrom('grant', 'renew', 'withdraw', 'expire', 'remind'),
      term: fc.integer({ min: 1, max: 400 }),
    })
    .map(({ days, kind, term }): Step => {
      const takes: Record<typeof kind, Step['take']> = {
        grant: (consent, nowMs) => granted(consent, term, nowMs),
        renew: (consent, nowMs) => renewed(consent, term, nowMs),
        withdraw: withdrawn,
        expire: expired,
        remind: (consent, nowMs) => {
          const due = dueReminder(consent, nowMs);
          return due ? reminded(consent, due) : consent;
        },
      };
      return { name: kind, days, take: takes[kind] };
    }),
  { maxLength: 30 },
);

describe('the state of a consent', () => {
  it('keeps its term when it is granted again, and has a later one when it is renewed', () => {
    const first = granted(offer, 365, t0);
    expect(granted(first, 365, t0 + DAY_MS)).toBe(first);
    const second = renewed(first, 365, t0 + 100 * DAY_MS);
    expect(Date.parse(second.expiresAt)).toBe(t0 + 465 * DAY_MS);
    expect(second.revision).toBe(first.revision + 1);
  });

  it('is not renewed to a shorter term, nor before it was granted', () => {
    const first = granted(offer, 365, t0);
    expect(renewed(first, 30, t0 + DAY_MS).expiresAt).toBe(first.expiresAt);
    expect(renewed(offer, 365, t0)).toBe(offer);
  });

  it('reminds 30, 7 and 1 days before its end, and again in the next term', () => {
    const given = (consent: Consent, fromMs: number): { days: number; left: number[]; consent: Consent } => {
      const left: number[] = [];
      let current = consent;
      let nowMs = fromMs;
      while (nowMs < Date.parse(current.expiresAt)) {
        const due = dueReminder(current, nowMs);
        if (due) {
          left.push((Date.parse(current.expiresAt) - nowMs) / DAY_MS);
          current = reminded(current, due);
        }
        nowMs += msUntilNext(current, nowMs);
      }
      return { days: left.length, left, consent: current };
    };
    const first = given(granted(offer, 365, t0), t0);
    expect(first.left).toEqual([30, 7, 1]);
    const nowMs = t0 + 364.5 * DAY_MS;
    expect(given(renewed(first.consent, 365, nowMs), nowMs).left).toEqual([30, 7, 1]);
  });

  it('does not remind on the day it is granted that a short term ends soon', () => {
    const short = granted(offer, 20, t0);
    expect(dueReminder(short, t0)).toBeUndefined();
    expect(dueReminder(short, t0 + 13 * DAY_MS)?.daysBefore).toBe(7);
  });

  it('gives only the last of the reminders that were missed', () => {
    const consent = granted(offer, 365, t0);
    const late = dueReminder(consent, t0 + 364 * DAY_MS + 1);
    expect(late?.daysBefore).toBe(1);
  });

  it('does not count a reminder that was given while the term was renewed', () => {
    const consent = granted(offer, 365, t0);
    const due = dueReminder(consent, t0 + 335 * DAY_MS);
    const later = renewed(consent, 365, t0 + 335 * DAY_MS);
    expect(reminded(later, due as NonNullable<typeof due>)).toBe(later);
  });

  test.prop([steps])('never comes back once it is over, and its revision never falls', (taken) => {
    let nowMs = t0;
    let consent: Consent = offer;
    for (const { days, take } of taken) {
      nowMs += days * DAY_MS;
      const next = take(consent, nowMs);
      if (isOver(consent)) expect(next).toEqual(consent);
      expect(next.revision).toBeGreaterThanOrEqual(consent.revision);
      if (consent.status === 'granted') expect(next.expiresAt >= consent.expiresAt).toBe(true);
      consent = next;
    }
  });

  test.prop([steps])('gives each reminder of a term once, each nearer to the end', (taken) => {
    let nowMs = t0;
    let consent: Consent = granted(offer, 365, t0);
    const seen = new Set<string>();
    for (const { days, take } of taken) {
      nowMs += days * DAY_MS;
      const due = dueReminder(consent, nowMs);
      if (due) {
        const name = `${due.expiresAt}/${due.daysBefore.toString()}`;
        expect(seen.has(name)).toBe(false);
        expect(REMINDER_DAYS).toContain(due.daysBefore);
        expect(nowMs).toBeGreaterThanOrEqual(Date.parse(consent.expiresAt) - due.daysBefore * DAY_MS);
        seen.add(name);
        consent = reminded(consent, due);
      }
      consent = take(consent, nowMs);
    }
  });
});
