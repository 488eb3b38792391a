import { median, percentile, seededNormal, seededRandom } from './statistics';

describe('percentiles', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);

  it('are the nearest rank, whatever the order of the samples', () => {
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile(hundred, 1)).toBe(100);
    expect(median([3, 1, 2])).toBe(2);
  });

  it('of no samples are no number', () => {
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe('made-up data', () => {
  it('is the same for the same seed and another for another', () => {
    const row = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed));
    expect(row(7)).toEqual(row(7));
    expect(row(7)).not.toEqual(row(8));
  });

  it('is spread as it says', () => {
    const normal = seededNormal(seededRandom(1));
    const samples = Array.from({ length: 20_000 }, normal);
    const mean = samples.reduce((sum, x) => sum + x, 0) / samples.length;
    const variance = samples.reduce((sum, x) => sum + (x - mean) ** 2, 0) / samples.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(variance).toBeCloseTo(1, 1);
  });
});
