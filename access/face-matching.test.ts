import fc from 'fast-check';
import { FACE_VECTOR_LENGTH } from '../contracts/access';
import { createFaceIndex, forgetFaces, identify, normalizeVector } from './face-matching';

const LIMITS = { threshold: 0.6, margin: 0.05 };

const vector = fc
  .array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: FACE_VECTOR_LENGTH, maxLength: FACE_VECTOR_LENGTH })
  .map((numbers) => normalizeVector(numbers))
  .filter((unit) => unit !== null);

/** A unit vector that has the given cosine with another one. */
function at(cosine: number, from: Float32Array, sideways: Float32Array): Float32Array {
  const along = sideways.reduce((sum, value, i) => sum + value * (from[i] ?? 0), 0);
  const across = normalizeVector(sideways.map((value, i) => value - along * (from[i] ?? 0))) ?? sideways;
  const sine = Math.sqrt(1 - cosine * cosine);
  return from.map((value, i) => cosine * value + sine * (across[i] ?? 0));
}

const face = (seed: number): Float32Array =>
  normalizeVector(Array.from({ length: FACE_VECTOR_LENGTH }, (_, i) => Math.sin(seed * 7919 + i * (seed + 1)))) ??
  new Float32Array();

describe('normalizing a vector', () => {
  it('gives length one, whatever usable vector comes', () => {
    fc.assert(
      fc.property(vector, (unit) => {
        expect(Math.hypot(...unit)).toBeCloseTo(1, 4);
      }),
    );
  });

  it.each([
    ['too short', new Array(511).fill(0.1)],
    ['too long', new Array(513).fill(0.1)],
    ['of zero norm', new Array(512).fill(0)],
    ['of a norm that overflows', new Array(512).fill(1e300)],
    ['with NaN', [NaN, ...new Array<number>(511).fill(0.1)]],
    ['with infinity', [Infinity, ...new Array<number>(511).fill(0.1)]],
  ] as [string, number[]][])('refuses one %s', (_name, numbers) => {
    expect(normalizeVector(numbers)).toBeNull();
  });
});

describe('identifying a face', () => {
  const anna = face(1);
  const other = face(2);
  const entry = (templateId: string, residentId: string, unit: Float32Array) => ({
    templateId,
    residentId,
    vector: unit,
  });

  it('finds everybody by their own template among many', () => {
    const index = createFaceIndex(
      Array.from({ length: 50 }, (_, i) => entry(`t${i.toString()}`, `r${i.toString()}`, face(i + 3))),
    );
    for (let i = 0; i < 50; i++) {
      expect(identify(index, face(i + 3), LIMITS)).toMatchObject({ kind: 'match', residentId: `r${i.toString()}` });
    }
  });

  it('finds nobody among nobody', () => {
    expect(identify(createFaceIndex([]), anna, LIMITS).kind).toBe('no-match');
  });

  it('matches above the threshold and not below', () => {
    const index = createFaceIndex([entry('t', 'anna', anna)]);
    expect(identify(index, at(0.61, anna, other), LIMITS).kind).toBe('match');
    expect(identify(index, at(0.59, anna, other), LIMITS)).toEqual({ kind: 'no-match', near: true });
    expect(identify(index, at(0.2, anna, other), LIMITS)).toEqual({ kind: 'no-match', near: false });
  });

  it('does not choose between two residents who are equally near', () => {
    const twin = at(0.99, anna, other);
    const index = createFaceIndex([entry('t1', 'anna', anna), entry('t2', 'twin', twin)]);
    expect(identify(index, anna, LIMITS)).toEqual({ kind: 'no-match', near: true });
  });

  it('lets two templates of one resident stand together', () => {
    const index = createFaceIndex([entry('t1', 'anna', anna), entry('t2', 'anna', at(0.99, anna, other))]);
    expect(identify(index, anna, LIMITS)).toMatchObject({ kind: 'match', residentId: 'anna' });
  });

  it('finds nobody among faces that are forgotten, of which nothing is left', () => {
    const index = createFaceIndex([entry('t', 'anna', anna)]);
    forgetFaces(index);
    expect(index.vectors.every((number) => number === 0)).toBe(true);
    expect(identify(index, anna, LIMITS)).toEqual({ kind: 'no-match', near: false });
  });

  it('gives no score away', () => {
    const index = createFaceIndex([entry('t', 'anna', anna)]);
    expect(Object.keys(identify(index, anna, LIMITS)).sort()).toEqual(['kind', 'residentId', 'templateId']);
    expect(Object.keys(identify(index, other, LIMITS)).sort()).toEqual(['kind', 'near']);
  });

  it('is indifferent to the order of the templates', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 }),
        fc.integer({ min: 1, max: 8 }),
        (order, probe) => {
          const entries = [1, 2, 3, 4, 5].map((n) => entry(`t${n.toString()}`, `r${n.toString()}`, face(n)));
          const shuffled = order.map((n) => entries[n - 1]).filter((each) => each !== undefined);
          expect(identify(createFaceIndex(shuffled), face(probe), LIMITS)).toEqual(
            identify(createFaceIndex(entries), face(probe), LIMITS),
          );
        },
      ),
    );
  });
});
