import { createFaceIndex, identify, normalizeVector, type FaceIndex } from '../access/face-matching';
import { FACE_VECTOR_LENGTH } from '../contracts/access';
import { median, rounded, seededNormal, seededRandom } from './statistics';

const TEMPLATES = 5_000;
const ROUNDS = 60;
const WARM_UP = 20;
const LIMITS = { threshold: 0.6, margin: 0.05 };

export type IdentificationFigures = {
  /** Ours through the bare loop: at most 1.5. */
  readonly ratio: number;
  readonly templates: number;
  readonly samples: number;
  readonly measuredMs: { readonly p50: number };
  readonly bareMs: { readonly p50: number };
};

/**
 * One face among 5,000 templates of 512 numbers, as the API looks for it, against the bare loop that no search without
 * an index can be quicker than. Round by round in turns; probes of both kinds, those that match and those that do not.
 */
export function measureIdentification(): IdentificationFigures {
  const normal = seededNormal(seededRandom(41));
  const unit = (): Float32Array =>
    normalizeVector(Array.from({ length: FACE_VECTOR_LENGTH }, normal)) ?? new Float32Array(FACE_VECTOR_LENGTH);
  const index = createFaceIndex(
    Array.from({ length: TEMPLATES }, (_, i) => ({
      templateId: `t${String(i)}`,
      residentId: `r${String(i)}`,
      vector: unit(),
    })),
  );
  const strangers = Array.from({ length: 8 }, unit);
  const enrolled = strangers.map((_, i) => vectorAt(index, i * 601));
  const probes = strangers.flatMap((stranger, i) => [stranger, enrolled[i] ?? stranger]);

  const measured: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const probe = probes[round % probes.length] ?? new Float32Array(FACE_VECTOR_LENGTH);
    const oursMs = timed(() => identify(index, probe, LIMITS).kind === 'match');
    const bareMs = timed(() => nearest(index.vectors, probe) >= LIMITS.threshold);
    if (oursMs.answer !== bareMs.answer) throw new Error('The two searches do not agree.');
    if (round < WARM_UP) continue;
    measured.push(oursMs.ms);
    bare.push(bareMs.ms);
  }
  return {
    ratio: rounded(median(measured) / median(bare)),
    templates: TEMPLATES,
    samples: measured.length,
    measuredMs: { p50: rounded(median(measured)) },
    bareMs: { p50: rounded(median(bare)) },
  };
}

const vectorAt = ({ vectors }: FaceIndex, at: number): Float32Array =>
  vectors.slice(at * FACE_VECTOR_LENGTH, (at + 1) * FACE_VECTOR_LENGTH);

/** The bare loop: every number of every template, and the best sum. */
function nearest(vectors: Float32Array, probe: Float32Array): number {
  let best = -2;
  for (let offset = 0; offset < vectors.length; offset += FACE_VECTOR_LENGTH) {
    let sum = 0;
    for (let i = 0; i < FACE_VECTOR_LENGTH; i++) sum += (vectors[offset + i] as number) * (probe[i] as number);
    if (sum > best) best = sum;
  }
  return best;
}

function timed(search: () => boolean): { ms: number; answer: boolean } {
  const startedMs = performance.now();
  const answer = search();
  return { ms: performance.now() - startedMs, answer };
}
