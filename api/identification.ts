import type { Plate } from '../access/plates';
import type { FaceIdentifier } from './face-identification';
import type { Attempt, Failure, IdentificationGuard } from './identification-guard';
import type { PlateIdentifier } from './plate-identification';

/**
 * `locked`: nobody was looked for. `late`: the time was over before anybody was found. Who is found may still have no
 * right: the decision says.
 */
export type Identified =
  { readonly kind: 'resident'; readonly residentId: string } | { readonly kind: 'nobody' | 'locked' | 'late' };

/** Who stands at a device of a partner; tried too often, nobody any more (R2.6). Both variants come through here. */
export type Identification = {
  byFace(attempt: IdentificationAttempt, vector: Float32Array): Promise<Identified>;
  byPlate(attempt: IdentificationAttempt, plate: Plate): Promise<Identified>;
};

export type IdentificationAttempt = Attempt & { readonly accessPoint: { readonly partnerId: string } };

export function createIdentification(deps: {
  faces: Pick<FaceIdentifier, 'identify'>;
  plates: PlateIdentifier;
  guard: IdentificationGuard;
}): Identification {
  const { faces, plates, guard } = deps;

  async function guarded(
    attempt: Attempt,
    look: () => Promise<{ residentId: string | null; failure: Failure }>,
  ): Promise<Identified> {
    const found = await guard.attempt(attempt, async () => {
      const { residentId, failure } = await look();
      return residentId === null ? { residentId, failure } : { residentId };
    });
    if (found === 'locked' || found === 'late') return { kind: found };
    return found.residentId === null ? { kind: 'nobody' } : { kind: 'resident', residentId: found.residentId };
  }

  return {
    byFace: (attempt, vector) =>
      guarded(attempt, async () => {
        const { residentId, near } = await faces.identify(attempt.accessPoint, vector);
        return { residentId, failure: { method: 'face', near } };
      }),
    byPlate: (attempt, plate) =>
      guarded(attempt, async () => ({
        residentId: await plates.identify(attempt.accessPoint, plate),
        failure: { method: 'plate', canonical: plate.canonical },
      })),
  };
}
