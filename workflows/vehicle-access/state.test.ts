import { pauseMs } from './state';

const NOW = Date.parse('2026-11-21T12:00:00.000Z');
const inMs = (ms: number) => new Date(NOW + ms).toISOString();

describe('how long a vehicle may wait before it is looked at again', () => {
  it('is an hour at most, so that nothing that went unsaid stays unseen', () => {
    expect(pauseMs({ state: 'allowed', nextChangeAt: null }, NOW)).toBe(3_600_000);
    expect(pauseMs({ state: 'allowed', nextChangeAt: inMs(86_400_000) }, NOW)).toBe(3_600_000);
  });

  it('ends when a right begins or ends, and never in the past', () => {
    expect(pauseMs({ state: 'allowed', nextChangeAt: inMs(5_000) }, NOW)).toBe(5_000);
    expect(pauseMs({ state: 'not-allowed', nextChangeAt: inMs(-5_000) }, NOW)).toBe(1);
  });

  it('is short while the vehicle is being written down, and longer after a refusal', () => {
    expect(pauseMs({ state: 'absent', nextChangeAt: null }, NOW)).toBe(30_000);
    expect(pauseMs(null, NOW)).toBe(600_000);
  });
});
