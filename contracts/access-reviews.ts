import { z } from 'zod';

export const RIGHT_DECISIONS = ['confirmed', 'revoked', 'lapsed'] as const;

export const AccessReviewView = z
  .object({
    reviewId: z.uuid(),
    state: z.enum(['open', 'closed']),
    openedAt: z.iso.datetime(),
    dueAt: z.iso.datetime().describe('What nobody has confirmed by then lapses'),
    closedAt: z.iso.datetime().nullable(),
    undecided: z.int(),
  })
  .meta({ id: 'AccessReview', description: 'A campaign in which every right is confirmed or goes (R4.3)' });

export const ReviewedRightView = z
  .object({
    itemId: z.uuid(),
    kind: z.enum(['member', 'client']),
    holder: z.string().describe("A member's id, or that of a partner's client"),
    subject: z.string().nullable().describe('Of a member: the opaque name at the identity provider'),
    granted: z.string().describe('A role, or a scope'),
    lastUsedAt: z.iso.datetime().nullable().describe('When the holder signed in last, or showed a new secret'),
    decision: z.enum(RIGHT_DECISIONS).nullable(),
    decidedBy: z.string().nullable(),
    decidedAt: z.iso.datetime().nullable(),
    restoredAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'ReviewedRight' });

export const RightDecisions = z
  .strictObject({
    decisions: z
      .array(z.strictObject({ itemId: z.uuid(), decision: z.enum(['confirm', 'revoke']) }))
      .min(1)
      .max(500)
      .refine((all) => new Set(all.map(({ itemId }) => itemId)).size === all.length, 'names a right twice'),
  })
  .meta({ id: 'RightDecisions' });
