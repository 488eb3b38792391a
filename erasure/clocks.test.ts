import { addWorkingDays, dueAt, warnAt } from './clocks';

const clocks = { withdrawalDays: 30, demandWorkingDays: 10, prolongByWorkingDays: 5, warnDays: 3 };
const friday = new Date('2026-11-20T09:00:00.000Z');

describe('the time that the law gives for an erasure', () => {
  it('is ten working days for a demand to stop, which may become fifteen', () => {
    expect(dueAt('stop-processing', friday, clocks)).toEqual(new Date('2026-12-04T09:00:00.000Z'));
    expect(addWorkingDays(dueAt('stop-processing', friday, clocks), 5)).toEqual(new Date('2026-12-11T09:00:00.000Z'));
  });

  it('is thirty days after a withdrawal of consent', () => {
    expect(dueAt('consent-withdrawn', friday, clocks)).toEqual(new Date('2026-12-20T09:00:00.000Z'));
  });

  it('counts days as they are in Moscow', () => {
    // Friday late in the evening UTC is Saturday there: Monday is the first working day, late on Sunday UTC.
    expect(addWorkingDays(new Date('2026-11-20T22:30:00.000Z'), 1)).toEqual(new Date('2026-11-22T22:30:00.000Z'));
  });

  it('has a warning some days before its end, as configured, or at its half when it is short', () => {
    const due = dueAt('consent-withdrawn', friday, clocks);
    for (const warnDays of [3, 7]) {
      expect(due.getTime() - warnAt(friday, due, { warnDays }).getTime()).toBe(warnDays * 86_400_000);
    }
    expect(warnAt(friday, new Date(friday.getTime() + 1_000), clocks)).toEqual(new Date(friday.getTime() + 500));
  });
});
