import { fc, test } from '@fast-check/jest';
import {
  answered,
  begun,
  escalated,
  escalationLevel,
  isConfirmed,
  msUntilEscalation,
  pauseMs,
  SETTLE_MS,
  surveyed,
  toAsk,
  type Deletion,
} from './state';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const t0 = Date.parse('2026-01-01T00:00:00.000Z');
const at = (...houseIds: string[]) => ({ houseIds, inFlight: [] });

describe('a deletion', () => {
  it('without a holder but ourselves needs nobody’s confirmation', () => {
    expect(isConfirmed(surveyed(begun(), at(), t0))).toBe(true);
  });

  it('is not confirmed before it was looked where something may be held', () => {
    expect(isConfirmed(begun())).toBe(false);
  });

  it('is not confirmed while one of two houses is silent', () => {
    const asked = answered(surveyed(begun(), at('a', 'b'), t0), 'a', 'deleted');
    expect(isConfirmed(asked)).toBe(false);
    expect(toAsk(asked).map(({ houseId }) => houseId)).toEqual(['b']);
    expect(isConfirmed(answered(asked, 'b', 'deleted'))).toBe(true);
  });

  it('does not rest on a confirmation from before an enrollment had ended, and orders once more afterwards', () => {
    const busy = { houseIds: ['a'], inFlight: [{ houseId: 'a' }] };
    const early = answered(surveyed(begun(), busy, t0), 'a', 'deleted');
    expect(isConfirmed(early)).toBe(false);
    const soon = surveyed(early, at('a'), t0 + SETTLE_MS - 1);
    expect(isConfirmed(soon)).toBe(false);
    const settled = surveyed(soon, at('a'), t0 + SETTLE_MS);
    expect(toAsk(settled)).toEqual([{ houseId: 'a', order: 1, state: 'due', busyAtMs: null }]);
    expect(isConfirmed(answered(settled, 'a', 'deleted'))).toBe(true);
  });

  it('repeats an order that was not answered under its number, and only asks after one that was taken', () => {
    const due = surveyed(begun(), at('a'), t0);
    expect(toAsk(answered(due, 'a', 'none'))).toEqual(toAsk(due));
    expect(toAsk(answered(due, 'a', 'pending'))).toMatchObject([{ order: 0, state: 'ordered' }]);
  });

  it('orders anew whoever has not confirmed when a person is called', () => {
    const asked = answered(answered(surveyed(begun(), at('a', 'b'), t0), 'a', 'deleted'), 'b', 'pending');
    expect(escalated(asked, 1).holders).toMatchObject([
      { houseId: 'a', order: 0, state: 'deleted' },
      { houseId: 'b', order: 1, state: 'due' },
    ]);
  });

  it('calls a person after an hour, after a day, then every day', () => {
    const called: number[] = [];
    for (let elapsedMs = 0; elapsedMs <= 4 * DAY_MS;) {
      elapsedMs += msUntilEscalation(elapsedMs);
      called.push(elapsedMs / HOUR_MS);
    }
    expect(called).toEqual([1, 24, 48, 72, 96, 120]);
    expect([0, HOUR_MS - 1, HOUR_MS, DAY_MS - 1, DAY_MS, 30 * DAY_MS].map(escalationLevel)).toEqual([
      0, 0, 1, 1, 2, 31,
    ]);
  });

  const elapsed = fc.integer({ min: 0, max: 400 * DAY_MS });

  test.prop([elapsed])('the next call is the very instant at which the number of calls rises', (elapsedMs) => {
    const waitMs = msUntilEscalation(elapsedMs);
    expect(waitMs).toBeGreaterThan(0);
    expect(escalationLevel(elapsedMs + waitMs)).toBe(escalationLevel(elapsedMs) + 1);
    expect(escalationLevel(elapsedMs + waitMs - 1)).toBe(escalationLevel(elapsedMs));
  });

  test.prop([elapsed, fc.nat({ max: 10_000 })])(
    'no pause sleeps through a call, nor is longer than an hour on the first day',
    (ms, question) => {
      const pause = pauseMs({ ...begun(), question }, ms);
      expect(pause).toBeGreaterThan(0);
      expect(pause).toBeLessThanOrEqual(Math.min(ms < DAY_MS ? HOUR_MS : 6 * HOUR_MS, msUntilEscalation(ms)));
    },
  );

  const houses = ['a', 'b', 'c'];
  const event = fc.record({
    afterMs: fc.integer({ min: 0, max: 3 * SETTLE_MS }),
    busy: fc.subarray(houses),
    answers: fc.record({
      a: fc.constantFrom('deleted', 'pending', 'none'),
      b: fc.constantFrom('deleted', 'pending', 'none'),
      c: fc.constantFrom('deleted', 'pending', 'none'),
    }),
    isCalled: fc.boolean(),
  });

  test.prop([fc.array(event, { maxLength: 40 })])(
    'is confirmed only by answers of every house after the last enrollment there had settled',
    (events) => {
      let nowMs = t0;
      let deletion: Deletion = begun();
      const lastBusy = new Map<string, number>();
      const confirmed = new Map<string, number>();
      for (const { afterMs, busy, answers, isCalled } of events) {
        nowMs += afterMs;
        for (const houseId of busy) lastBusy.set(houseId, nowMs);
        deletion = surveyed(deletion, { houseIds: houses, inFlight: busy.map((houseId) => ({ houseId })) }, nowMs);
        for (const { houseId } of toAsk(deletion)) {
          const answer = answers[houseId as 'a'];
          if (answer === 'deleted') confirmed.set(houseId, nowMs);
          deletion = answered(deletion, houseId, answer);
        }
        if (isConfirmed(deletion)) {
          for (const houseId of houses) {
            expect(confirmed.has(houseId)).toBe(true);
            const since = lastBusy.get(houseId);
            if (since !== undefined) expect((confirmed.get(houseId) ?? 0) - since).toBeGreaterThanOrEqual(SETTLE_MS);
          }
        }
        if (isCalled) deletion = escalated(deletion, deletion.level + 1);
      }
    },
  );

  test.prop([fc.array(fc.constantFrom('pending', 'none', 'call'), { maxLength: 30 })])(
    'never takes back the number of an order',
    (happened) => {
      let deletion = surveyed(begun(), at('a'), t0);
      let before = 0;
      for (const each of happened) {
        deletion = each === 'call' ? escalated(deletion, deletion.level + 1) : answered(deletion, 'a', each);
        const order = deletion.holders[0]?.order ?? -1;
        expect(order).toBeGreaterThanOrEqual(before);
        before = order;
      }
    },
  );
});
