import fc from 'fast-check';
import type { AccessFacts } from '../contracts/access';
import { isWithinHours } from './visiting-hours';

type Window = NonNullable<AccessFacts['hours']>['windows'][number];

const DAY = 1_440;
const EVERY_DAY = [1, 2, 3, 4, 5, 6, 7];
/** Both halves of the globe, offsets of quarters of an hour, half an hour of daylight saving, and ours. */
const ZONES = ['Europe/Moscow', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC'];

const minute = fc.integer({ min: 0, max: DAY - 1 });
const days = fc.subarray(EVERY_DAY, { minLength: 1 });
const zone = fc.constantFrom(...ZONES);
/** Around the changes of the clock as often as not: in Europe, in America and on Lord Howe. */
const CHANGES = ['2026-03-29T01:00Z', '2026-10-25T01:00Z', '2026-11-01T06:00Z', '2026-04-04T15:00Z'].map(Date.parse);
const moment = fc.oneof(
  fc.integer({ min: Date.parse('2000-01-01'), max: Date.parse('2040-01-01') }),
  fc
    .tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -2 * DAY, max: 2 * DAY }))
    .map(([change, minutes]) => change + minutes * 60_000),
);
const window = fc.record({ rightKind: fc.constant(null), days, fromMinute: minute, toMinute: minute });

const isOpen = (windows: readonly Window[], timeZone: string, nowMs: number, kind = 'guest'): boolean =>
  isWithinHours({ timeZone, windows }, kind, nowMs);

const offsets = new Map(
  ZONES.map((timeZone) => [timeZone, new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })]),
);
/** The day and minute of the house's clock, found by its distance from UTC. */
function wallOf(timeZone: string, nowMs: number): { day: number; minute: number } {
  const parts = offsets.get(timeZone)?.formatToParts(nowMs) ?? [];
  const [, sign, hours, minutes] = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(parts.at(-1)?.value ?? '') ?? [];
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * (sign === '-' ? -1 : 1);
  const local = new Date(nowMs + offset * 60_000);
  return { day: local.getUTCDay() || 7, minute: local.getUTCHours() * 60 + local.getUTCMinutes() };
}

/** The rule said otherwise: the hours last so long from their beginning, today or yesterday. */
function lasts({ days, fromMinute, toMinute }: Window, { day, minute }: { day: number; minute: number }): boolean {
  const length = (toMinute - fromMinute + DAY) % DAY || DAY;
  return [0, 1].some((ago) => {
    const began = minute + ago * DAY - fromMinute;
    return days.includes(((day - 1 - ago + 7) % 7) + 1) && began >= 0 && began < length;
  });
}

describe('visiting hours', () => {
  it('go by the clock on the wall of the house, also where it is put forward and back', () => {
    fc.assert(
      fc.property(window, zone, moment, (hours, timeZone, nowMs) => {
        expect(isOpen([hours], timeZone, nowMs)).toBe(lasts(hours, wallOf(timeZone, nowMs)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('and what lies between them are never both open, and never both closed', () => {
    fc.assert(
      fc.property(minute, minute, zone, moment, (from, to, timeZone, nowMs) => {
        fc.pre(from !== to);
        const open = (fromMinute: number, toMinute: number) =>
          isOpen([{ rightKind: null, days: EVERY_DAY, fromMinute, toMinute }], timeZone, nowMs);
        expect(open(from, to)).toBe(!open(to, from));
      }),
    );
  });

  it('of other kinds of right do not bind, of one kind add up, and those for everybody hold besides those of a kind', () => {
    fc.assert(
      fc.property(window, window, zone, moment, (one, other, timeZone, nowMs) => {
        const alone = isOpen([one], timeZone, nowMs);
        expect(isOpen([one, { ...other, rightKind: 'tenant' }], timeZone, nowMs)).toBe(alone);
        expect(isOpen([one, other], timeZone, nowMs)).toBe(alone || isOpen([other], timeZone, nowMs));
        const both = isOpen([one, { ...other, rightKind: 'guest' }], timeZone, nowMs);
        expect(both).toBe(alone && isOpen([other], timeZone, nowMs));
      }),
    );
  });

  it('do not bind where there are none, and are never open by a clock that nobody knows', () => {
    expect(isWithinHours(null, 'guest', 0)).toBe(true);
    expect(isOpen([], 'Nowhere/At-All', 0)).toBe(true);
    const always = { rightKind: null, days: EVERY_DAY, fromMinute: 0, toMinute: 0 };
    expect(isOpen([always], 'UTC', 0)).toBe(true);
    expect(isOpen([always], 'Nowhere/At-All', 0)).toBe(false);
    expect(isOpen([always], 'UTC', NaN)).toBe(false);
  });

  it.each([
    ['2026-10-23T19:00+03:00', true, 'on Friday at their first minute'],
    ['2026-10-23T18:59+03:00', false, 'on Friday a minute earlier'],
    ['2026-10-24T01:59+03:00', true, 'in the night to Saturday'],
    ['2026-10-24T02:00+03:00', false, 'in that night at their end'],
    ['2026-10-24T19:30+03:00', false, 'on Saturday evening'],
    ['2026-10-23T01:00+03:00', false, 'in the night to Friday'],
  ])('of Friday, 19:00 to 02:00, are at %s: %s (%s)', (at, open) => {
    const friday = { rightKind: null, days: [5], fromMinute: 19 * 60, toMinute: 2 * 60 };
    expect(isOpen([friday], 'Europe/Moscow', Date.parse(at))).toBe(open);
  });

  it('that the clock skips are not there that night, and those that it repeats are there twice', () => {
    const halfPastTwo = { rightKind: null, days: [7], fromMinute: 150, toMinute: 180 };
    const openMinutes = (day: string): number =>
      Array.from({ length: DAY + 120 }, (_, index) => Date.parse(day) + index * 60_000).filter((nowMs) =>
        isOpen([halfPastTwo], 'Europe/Berlin', nowMs),
      ).length;
    expect([openMinutes('2026-03-28T23:00Z'), openMinutes('2026-10-24T22:00Z')]).toEqual([0, 60]);
  });
});
