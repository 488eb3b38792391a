import { SEVERITIES } from '../../contracts/security-alerts';
import { callAfterMs } from './state';

const minutes = (severity: (typeof SEVERITIES)[number]): number[] =>
  [1, 2, 3, 4, 5].map((level) => callAfterMs(severity, level) / 60_000);

describe('calls about an alert', () => {
  it('come after 5, 15 and 30 minutes for a critical one, then every quarter of an hour', () => {
    expect(minutes('critical')).toEqual([5, 15, 30, 45, 60]);
  });

  it.each(SEVERITIES)('never stop and never come closer together for a %s one', (severity) => {
    const times = [0, ...minutes(severity)];
    for (let level = 1; level < times.length; level++) expect(times[level]).toBeGreaterThan(times[level - 1] ?? 0);
  });
});
