import { compareLogs, type OwnOrder } from './log-comparison';

const at = (minute: number): string => new Date(Date.UTC(2026, 10, 1, 12, minute)).toISOString();
const order = (name: string, minute: number) => ({ key: `open/${name}`, atMs: Date.parse(at(minute)) });
const entry = (name: string, minute: number) => ({ key: `open/${name}`, at: at(minute), event: 'open' as const });

/** What it has to have; nothing else of ours is known. */
const only = (ours: readonly OwnOrder[]) => ({ ours, known: new Set<string>() });

describe('a partner’s log beside our own', () => {
  const ours = [order('a', 1), order('b', 5), order('c', 9)];

  it('that has everything has no gap', () => {
    const log = [entry('a', 1), entry('b', 5), entry('c', 9)];
    expect(compareLogs(only(ours), log, [])).toEqual({ ours: 3, matched: 3, missing: [], withheld: [], unknown: [] });
  });

  it('lacks what it does not tell, unless it names that time as withheld', () => {
    const named = [{ from: at(8), to: at(10), entries: 1, reason: 'other-customers' as const }];
    expect(compareLogs(only(ours), [entry('a', 1)], named)).toMatchObject({
      matched: 1,
      missing: ['open/b'],
      withheld: ['open/c'],
    });
  });

  it('gives away an order in our name that we never gave, and is not held to what we do not record', () => {
    const other = { key: 'equipment/1', at: at(1), event: 'other' as const };
    const log = [...['a', 'b', 'c', 'x'].map((name) => entry(name, 1)), other];
    expect(compareLogs(only(ours), log, []).unknown).toEqual(['open/x']);
  });

  const OTHERS = [
    ['delete', 'delete/d/h/1'],
    ['delete', 'enroll-undo/e'],
    ['delete', 'erase-again/x/1'],
    ['plate', 'allow-plate/p'],
    ['plate', 'block-plate/p'],
  ] as const;
  it.each(OTHERS)('is held to what it %ss under %s as it is to openings', (event, key) => {
    const told = { key, at: at(1), event };
    const gave = only([{ key, atMs: Date.parse(at(1)) }]);
    expect(compareLogs(gave, [], [])).toMatchObject({ missing: [key], unknown: [] });
    expect(compareLogs(gave, [told], [])).toMatchObject({ matched: 1, missing: [], unknown: [] });
    expect(compareLogs(only([]), [told], [])).toMatchObject({ unknown: [key] });
    expect(compareLogs(only([]), [{ ...told, event: 'other' }], [])).toMatchObject({ unknown: [key] });
  });

  it.each(['open', 'enroll', 'delete', 'plate'] as const)(
    'gives away a %s under a key that is none of ours',
    (event) => {
      const log = [{ key: 'kluch-internal-17', at: at(1), event }];
      expect(compareLogs(only([]), log, []).unknown).toEqual(['kluch-internal-17']);
    },
  );

  it('may have an order of ours that it need not have', () => {
    const known = new Set(['open/x']);
    const log = [...['a', 'b', 'c', 'x', 'y'].map((name) => entry(name, 1))];
    expect(compareLogs({ ours, known }, log, [])).toMatchObject({ ours: 3, matched: 3, unknown: ['open/y'] });
  });

  it.each([
    [29_000, ['open/c']],
    [31_000, []],
  ])('is believed about the edge of a time by a clock that is %d ms off', (offMs, withheld) => {
    const late = (minute: number): string => new Date(Date.parse(at(minute)) + offMs).toISOString();
    const named = [{ from: late(9), to: late(12), entries: 1, reason: 'other-customers' as const }];
    expect(compareLogs(only(ours), [entry('a', 1), entry('b', 5)], named).withheld).toEqual(withheld);
  });

  it('tells an order twice and it counts once', () => {
    expect(compareLogs(only(ours), [entry('a', 1), entry('a', 1)], []).matched).toBe(1);
  });
});
