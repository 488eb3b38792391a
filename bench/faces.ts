import { createFaceIndex, identify, normalizeVector, type FaceIndex } from '../access/face-matching';
import { FACE_VECTOR_LENGTH } from '../contracts/access';
import { writeFigures } from './chapter';
import { machine } from './machine';
import { rounded, seededNormal, seededRandom } from './statistics';

/** How people and pictures are made up: see docs/benchmarks/README.md. */
const WORLD = {
  seed: 20_261_121,
  enrolled: 500,
  /** Of the enrolled, so many have a close relative enrolled, too. */
  siblings: 50,
  strangers: 500,
  picturesEach: 2,
  /** Numbers in which people really differ; the other dimensions of a model say little. */
  intrinsicDimensions: 96,
  /** Cosine between two pictures of one person, of two siblings: mean and spread of what embeddings of this kind show. */
  samePerson: { mean: 0.76, spread: 0.09 },
  siblingsCosine: 0.45,
} as const;
const THRESHOLDS = [0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8];
const MARGINS = [0, 0.05, 0.1];
/** What `config/environment.ts` has when nothing else is said. */
const DEFAULTS = { threshold: 0.6, margin: 0.05 };

type Probe = { readonly vector: Float32Array; readonly residentId: string | null };
type Rates = {
  readonly threshold: number;
  readonly margin: number;
  /** Strangers that were taken for somebody, of all pictures of strangers. */
  readonly falseAcceptRate: number;
  /** Enrolled people that were taken for somebody else. */
  readonly mistakenRate: number;
  /** Enrolled people that were not let in: taken for nobody, or for somebody else. */
  readonly falseRejectRate: number;
};

/** `npm run bench -- faces`: how often the right and the wrong people are recognized, on made-up faces (R1.6, R2.6). */
export async function benchFaces(_env: NodeJS.ProcessEnv, print: (line: string) => void): Promise<void> {
  const { index, probes } = people();
  const rates = THRESHOLDS.flatMap((threshold) =>
    MARGINS.map((margin) => ratesAt(index, probes, { threshold, margin })),
  );
  print('threshold  margin   false accept   mistaken   false reject');
  for (const row of rates) {
    const isDefault = row.threshold === DEFAULTS.threshold && row.margin === DEFAULTS.margin;
    const shares = [row.falseAcceptRate, row.mistakenRate, row.falseRejectRate].map(percent);
    print(
      `${row.threshold.toFixed(2).padStart(9)}${row.margin.toFixed(2).padStart(8)}` +
        `${(shares[0] ?? '').padStart(15)}${(shares[1] ?? '').padStart(11)}${(shares[2] ?? '').padStart(15)}` +
        (isDefault ? '   (default)' : ''),
    );
  }
  const counts = {
    templates: index.owners.length,
    probesOfEnrolled: probes.filter(({ residentId }) => residentId !== null).length,
    probesOfStrangers: probes.filter(({ residentId }) => residentId === null).length,
  };
  const report = {
    date: new Date().toISOString(),
    machine: machine(),
    world: WORLD,
    counts,
    defaults: DEFAULTS,
    rates,
  };
  writeFigures('faces.json', `${JSON.stringify(report, null, 2)}\n`);
  return Promise.resolve();
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

function ratesAt(index: FaceIndex, probes: readonly Probe[], limits: { threshold: number; margin: number }): Rates {
  const counts = { strangers: 0, accepted: 0, enrolled: 0, mistaken: 0, rejected: 0 };
  for (const { vector, residentId } of probes) {
    const found = identify(index, vector, limits);
    const name = found.kind === 'match' ? found.residentId : null;
    if (residentId === null) {
      counts.strangers += 1;
      counts.accepted += Number(name !== null);
    } else {
      counts.enrolled += 1;
      counts.mistaken += Number(name !== null && name !== residentId);
      counts.rejected += Number(name !== residentId);
    }
  }
  return {
    ...limits,
    falseAcceptRate: rounded(counts.accepted / counts.strangers, 5),
    mistakenRate: rounded(counts.mistaken / counts.enrolled, 5),
    falseRejectRate: rounded(counts.rejected / counts.enrolled, 5),
  };
}

/** Templates of the enrolled, and pictures taken later of them and of strangers; the same ones in every run. */
function people(): { index: FaceIndex; probes: Probe[] } {
  const { enrolled, siblings, strangers, picturesEach, siblingsCosine, seed } = WORLD;
  const normal = seededNormal(seededRandom(seed));
  const face = faceMaker(normal);
  const faces: Float32Array[] = [];
  for (let i = 0; i < enrolled; i++) {
    const sibling = i >= enrolled - siblings ? faces[i - siblings] : undefined;
    faces.push(sibling ? at(siblingsCosine, sibling, face()) : face());
  }
  const index = createFaceIndex(
    faces.map((vector, i) => ({ templateId: `t${i.toString()}`, residentId: `r${i.toString()}`, vector })),
  );
  const pictures = (person: Float32Array, residentId: string | null): Probe[] =>
    Array.from({ length: picturesEach }, () => ({ vector: picture(person, normal, face), residentId }));
  const ofEnrolled = faces.flatMap((person, i) => pictures(person, `r${i.toString()}`));
  const ofStrangers = Array.from({ length: strangers }, face).flatMap((person) => pictures(person, null));
  return { index, probes: [...ofEnrolled, ...ofStrangers] };
}

/** People differ in few directions, the same ones for everybody, with less and less in each: faces are not noise. */
function faceMaker(normal: () => number): () => Float32Array {
  const { intrinsicDimensions } = WORLD;
  const directions = Array.from({ length: intrinsicDimensions }, () =>
    unit(Float32Array.from({ length: FACE_VECTOR_LENGTH }, normal)),
  );
  return () => {
    const sum = new Float32Array(FACE_VECTOR_LENGTH);
    directions.forEach((direction, i) => {
      const weight = normal() / Math.sqrt(1 + i / 24);
      direction.forEach((value, at) => (sum[at] = (sum[at] ?? 0) + weight * value));
    });
    return unit(sum);
  };
}

/** Another picture of the same person: light, angle and years turn it towards some other face, by a varying amount. */
function picture(person: Float32Array, normal: () => number, face: () => Float32Array): Float32Array {
  const { mean, spread } = WORLD.samePerson;
  return at(Math.min(0.99, Math.max(0.1, mean + spread * normal())), person, face());
}

/** The unit vector with this cosine to `from`, in the direction of `towards`. */
function at(cosine: number, from: Float32Array, towards: Float32Array): Float32Array {
  const along = towards.reduce((sum, value, i) => sum + value * (from[i] ?? 0), 0);
  const across = unit(towards.map((value, i) => value - along * (from[i] ?? 0)));
  const sine = Math.sqrt(1 - cosine * cosine);
  return unit(from.map((value, i) => cosine * value + sine * (across[i] ?? 0)));
}

function unit(vector: Float32Array): Float32Array {
  const normalized = normalizeVector(vector);
  if (!normalized) throw new Error('A made-up face has no direction.');
  return normalized;
}
