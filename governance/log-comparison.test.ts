import { compareLogs } from './log-comparison';

const at = (minute: number): string => new Date(Date.UTC(2026, 10, 1, 12, minute)).toISOString();
const order = (name: string, minute: number) => ({ key: `open/${name}`, atMs: Date.parse(at(minute)) });
const entry = (name: string, minute: number) => ({ key: `open/${name}`, at: at(minute), event: 'open' as const });

describe('a partner’s log beside our own', () => {
  const ours = [order('a', 1), order('b', 5), order('c', 9)];

  it('that has everything has no gap', () => {
    const log = [entry('a', 1), entry('b', 5), entry('c', 9)];
    expect(compareLogs(ours, log, [])).toEqual({ ours: 3, matched: 3, missing: [], withheld: [], unknown: [] });
  });

  it('lacks what it does not tell, unless it names that time as withheld', () => {
    const named = [{ from: at(8), to: at(10), entries: 1, reason: 'other-customers' as const }];
    expect(compareLogs(ours, [entry('a', 1)], named)).toMatchObject({
      matched: 1,
      missing: ['open/b'],
      withheld: ['open/c'],
    });
  });

  it('gives away an order in our name that we never gave, and is not held to what we do not record', () => {
    const log = [...['a', 'b', 'c', 'x'].map((name) => entry(name, 1)), { ...entry('', 1), key: 'equipment/1' }];
    expect(compareLogs(ours, log, []).unknown).toEqual(['open/x']);
  });

  it('tells an order twice and it counts once', () => {
    expect(compareLogs(ours, [entry('a', 1), entry('a', 1)], []).matched).toBe(1);
  });
});
