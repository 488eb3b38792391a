import { z } from 'zod';
import { FACE_VECTOR_LENGTH, type AccessMethod, type DenialReason } from './access';

/** What became of a request to open. `unknown`: a command may have arrived and no answer came before its time ran out. */
export const OPENING_OUTCOMES = ['opened', 'denied', 'expired', 'unknown', 'failed'] as const;
export type OpeningOutcome = (typeof OPENING_OUTCOMES)[number];

/** Argument of the open-access workflow: opaque ids only. */
export type OpenAccessRequest = {
  readonly openingId: string;
  readonly clientId: string;
  readonly requestSha256: string;
  readonly accessPointId: string;
  readonly partnerId: string;
  readonly method: AccessMethod;
  /** Who was identified or named; `null`: nobody. */
  readonly residentId: string | null;
  readonly requestedAt: string;
  /** No command leaves after this instant (ISO 8601, UTC). */
  readonly notAfter: string;
  /** `one`: everything in one step. Executions of before this was said leave it out. */
  readonly steps?: 'one';
  /**
   * The facts as the API read them with the rest (reads/access-facts.ts), which spares the worker a reading: nothing is
   * denied upon them, and no command leaves unless they are still the same then.
   */
  readonly facts?: string;
  /** Where the database is to tell that the opening has ended (`NOTIFY`). Left out: nobody waits for that. */
  readonly answerTo?: string;
};

export type OpenAccessResult = {
  readonly outcome: OpeningOutcome;
  readonly reason?: DenialReason;
  readonly at: string;
};
/** Result of the open-access workflow and of its update: with the times of the request that it served. */
export type OpenAccessEnd = OpenAccessResult & Pick<OpenAccessRequest, 'requestedAt' | 'notAfter'>;

export const OpeningByApp = z
  .strictObject({ residentId: z.uuid().describe('The resident who asked in the app') })
  .meta({ id: 'OpeningByApp' });

export const OpeningByFace = z
  .strictObject({
    faceVector: z
      .array(z.number())
      .length(FACE_VECTOR_LENGTH)
      .optional()
      .describe(
        'Feature vector of the face in front of the camera, unless the token names who it is; the picture never comes here',
      ),
  })
  .meta({ id: 'OpeningByFace' });

export const OpeningView = z
  .object({
    openingId: z.uuid(),
    status: z.enum(['pending', ...OPENING_OUTCOMES]),
    /** Whether the device itself said that it opened. */
    confirmedByDevice: z.boolean(),
    requestedAt: z.iso.datetime(),
    notAfter: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Opening', description: 'A request to open and what became of it' });
export type OpeningView = z.infer<typeof OpeningView>;
