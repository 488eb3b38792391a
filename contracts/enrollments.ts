import { z } from 'zod';
import { ENROLLMENT_STATES, PHOTO_REFUSALS } from './enrollment';

export const EnrollmentView = z
  .object({
    enrollmentId: z.uuid(),
    residentId: z.uuid(),
    partnerId: z.string(),
    consentId: z.uuid(),
    state: z.enum(ENROLLMENT_STATES),
    refusal: z.enum(PHOTO_REFUSALS).nullable().describe('Why the photo was refused, when it was'),
  })
  .meta({ id: 'FaceEnrollment', description: 'One photo on its way to a face template (P2)' });
export type EnrollmentView = z.infer<typeof EnrollmentView>;
