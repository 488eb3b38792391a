import type { AccessFacts } from '../contracts/access';

type Hours = NonNullable<AccessFacts['hours']>;
type Window = Hours['windows'][number];
/** What a clock on the wall of the house says. */
type WallTime = { readonly day: number; readonly minute: number };

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const HOUR_MINUTES = 60;

/**
 * Whether a right of this kind opens at this moment. Hours for everybody and hours for its kind bind it apart: it has
 * to be within one of each. Without any that bind it, it always opens; by a clock that nobody knows, never.
 */
export function isWithinHours(hours: Hours | null, rightKind: string, nowMs: number): boolean {
  const binding = [null, rightKind].flatMap((kind) => {
    const windows = hours?.windows.filter((window) => window.rightKind === kind) ?? [];
    return windows.length > 0 ? [windows] : [];
  });
  if (hours === null || binding.length === 0) return true;
  const wall = wallTime(hours.timeZone, nowMs);
  return wall !== null && binding.every((windows) => windows.some((window) => contains(window, wall)));
}

/** `fromMinute` is in, `toMinute` is not. Over midnight it is the day on which the hours begin that counts. */
function contains({ days, fromMinute, toMinute }: Window, { day, minute }: WallTime): boolean {
  const yesterday = day === 1 ? 7 : day - 1;
  if (fromMinute < toMinute) return days.includes(day) && fromMinute <= minute && minute < toMinute;
  return (days.includes(day) && fromMinute <= minute) || (days.includes(yesterday) && minute < toMinute);
}

/** Making one costs more than the whole decision. */
const clocks = new Map<string, Intl.DateTimeFormat>();

/** @returns null when there is no such zone or the moment is none */
function wallTime(timeZone: string, nowMs: number): WallTime | null {
  try {
    let clock = clocks.get(timeZone);
    if (!clock) {
      const shown = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
      clock = new Intl.DateTimeFormat('en-US', { timeZone, ...shown });
      clocks.set(timeZone, clock);
    }
    const parts = new Map(clock.formatToParts(nowMs).map(({ type, value }) => [type, value]));
    const day = DAYS.indexOf(parts.get('weekday') ?? '') + 1;
    return { day, minute: Number(parts.get('hour')) * HOUR_MINUTES + Number(parts.get('minute')) };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
