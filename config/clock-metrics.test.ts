import { Registry } from 'prom-client';
import { showClock } from './clock-metrics';

describe('the figure of a process’s clock', () => {
  const figureIn = async (registry: Registry): Promise<number | undefined> => {
    const metric = await registry.getSingleMetric('domovoy_clock_skew_seconds')?.get();
    return metric?.values[0]?.value;
  };

  it('is how far it is ahead, and is asked for once a minute however often it is read', async () => {
    const registry = new Registry();
    const skewsMs = [2_500, -1_000];
    let nowMs = 1_000;
    showClock(
      registry,
      () => Promise.resolve(skewsMs.shift() ?? 0),
      () => nowMs,
    );
    expect(await figureIn(registry)).toBe(2.5);
    nowMs += 59_000;
    expect(await figureIn(registry)).toBe(2.5);
    nowMs += 1_000;
    expect(await figureIn(registry)).toBe(-1);
  });

  it('stays as it was when the database does not answer', async () => {
    const registry = new Registry();
    const answers = [Promise.resolve(2_500), Promise.reject(new Error('gone'))];
    let nowMs = 0;
    showClock(
      registry,
      () => answers.shift() ?? Promise.resolve(0),
      () => (nowMs += 60_000),
    );
    expect([await figureIn(registry), await figureIn(registry)]).toEqual([2.5, 2.5]);
  });
});
