import { fc, test } from '@fast-check/jest';
import { begun, callDue, called, callsDue, countedFor, looked, msUntilCall, pauseMs } from './state';

const DAY_MS = 86_400_000;
const t0 = Date.parse('2026-11-20T00:00:00.000Z');
const at = (days: number) => new Date(t0 + days * DAY_MS).toISOString();
const times = { warnAt: at(7), dueAt: at(10) };

describe('the calls to a person about an erasure', () => {
  it('are a warning, one when the time is over, then one every day', () => {
    expect([0, 6.9, 7, 9.9, 10, 10.9, 11, 20].map((days) => callsDue(times, t0 + days * DAY_MS))).toEqual([
      0, 0, 1, 1, 2, 2, 3, 12,
    ]);
  });

  test.prop([fc.integer({ min: 0, max: 60 * DAY_MS })])('rise at the very instant that was foretold', (elapsedMs) => {
    const nowMs = t0 + elapsedMs;
    const nextMs = nowMs + msUntilCall(times, nowMs);
    expect(callsDue(times, nextMs)).toBe(callsDue(times, nowMs) + 1);
    expect(callsDue(times, nextMs - 1)).toBe(callsDue(times, nowMs));
  });

  it('do not keep it from looking again soon once something has moved', () => {
    const waited = ['a', 'a', 'a', 'a'].reduce(looked, begun);
    expect(waited.looks).toBe(3);
    expect(looked(waited, 'b').looks).toBe(0);
  });

  test.prop([fc.nat({ max: 10_000 })])('are never slept through: a pause grows, up to an hour', (looks) => {
    expect(pauseMs({ looks })).toBeGreaterThanOrEqual(300);
    expect(pauseMs({ looks })).toBeLessThanOrEqual(3_600_000);
  });

  it('are counted anew when the law’s time was prolonged, and never twice for the same end of it', () => {
    const first = { state: 'waiting', ...times, pending: [], followUpAt: null, holders: [] } as const;
    const later = { ...first, warnAt: at(14), dueAt: at(17) };
    const made = { ...countedFor(begun, first), level: 2 };
    const anew = countedFor(made, later);
    expect(callDue(later, anew, t0 + 13 * DAY_MS)).toBeNull();
    expect(callDue(later, anew, t0 + 14 * DAY_MS)).toEqual({ level: 1, reason: 'due-soon' });
    expect(callDue(later, { ...anew, level: 1 }, t0 + 17 * DAY_MS)).toEqual({ level: 2, reason: 'overdue' });
    expect(callDue(first, countedFor(made, first), t0 + 10 * DAY_MS)).toBeNull();
    // An execution from before said nothing of the end that it counted for.
    expect(countedFor({ ...begun, level: 2 }, first).level).toBe(2);
  });

  it('of holders that do not answer have levels of their own, counted anew for each certificate', () => {
    const standing = { state: 'erased', ...times, pending: [], followUpAt: at(1), holders: [] } as const;
    const first = { ...standing, followUpLateAt: at(2) };
    const overdue = { ...begun, level: 7 };
    expect(callDue(first, overdue, t0 + 1.9 * DAY_MS)).toBeNull();
    const call = callDue(first, overdue, t0 + 3.5 * DAY_MS);
    expect(call).toEqual({ level: 2, reason: 'follow-up-unanswered' });
    if (call === null) throw new Error('no call');
    const told = called(overdue, first, call);
    expect(callDue(first, told, t0 + 3.9 * DAY_MS)).toBeNull();
    expect(callDue(first, told, t0 + 4 * DAY_MS)?.level).toBe(3);
    expect(callDue({ ...standing, followUpLateAt: at(20) }, told, t0 + 20 * DAY_MS)?.level).toBe(1);
    // Opened again, the law's time counts on where it was.
    expect(callDue({ ...first, state: 'reopened' }, told, t0 + 16 * DAY_MS)?.level).toBe(8);
  });
});
