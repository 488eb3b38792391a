import { CALLING_SEVERITIES } from '../../contracts/security-alerts';
import { callAfterMs, nextLevel } from './state';

const minutes = (severity: (typeof CALLING_SEVERITIES)[number]): number[] =>
  [1, 2, 3, 4, 5].map((level) => callAfterMs(severity, level) / 60_000);

describe('calls about an alert', () => {
  it('come after 5, 15 and 30 minutes for a critical one, then every quarter of an hour', () => {
    expect(minutes('critical')).toEqual([5, 15, 30, 45, 60]);
  });

  it.each(CALLING_SEVERITIES)('never stop and never come closer together for a %s one', (severity) => {
    const times = [0, ...minutes(severity)];
    for (let level = 1; level < times.length; level++) expect(times[level]).toBeGreaterThan(times[level - 1] ?? 0);
  });

  it.each([
    ['the first is next while none is due', 0, 0, 1],
    ['one that is due is made', 0, 5, 1],
    ['of those that were missed only the newest is made', 0, 7 * 24 * 60, 673],
    ['one that was made is not made again', 2, 29, 3],
    ['one that was made early does not go back', 5, 0, 6],
  ])('%s', (_what, made, minute, level) => {
    expect(nextLevel('critical', made, minute * 60_000)).toBe(level);
  });
});
