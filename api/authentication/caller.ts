import type { Response } from 'express';
import type { Integration } from '../../contracts/ids';
import type { Reach } from '../../contracts/staff';
import type { AgreedLimits } from '../request-limits';

/** A session of a member of staff, found by its token. */
export type StaffSession = {
  readonly id: string;
  /** Roles in force: what the claim said, less what a review took away. */
  readonly roles: readonly string[];
  readonly authenticatedAt: Date;
  readonly expiresAt: Date;
  /** What every write in this session has to carry (api/staff/session-token.ts). */
  readonly csrfToken: string;
};

/** Who it is that asks, whether they may or not. */
export type Known = Pick<Caller, 'clientId' | 'integration'>;

/** Said as soon as it is proved, before anything else refuses: what somebody may not is evidence, too (R0.11). */
export function noteKnown(res: Response, known: Known): void {
  (res.locals as { known?: Known }).known = known;
}

/** @returns `undefined` for a stranger */
export const knownIn = (res: Response): Known | undefined => (res.locals as { known?: Known }).known;

/** Who calls and may do so, as the authentication of the route found out; left in `res.locals.caller`. */
export type Caller = {
  readonly clientId: string;
  readonly audience: 'app' | 'partner' | 'registry' | 'staff';
  /** Set for callers of the partner API. */
  readonly partnerId?: string;
  readonly integration?: Integration;
  readonly limits: AgreedLimits;
  /** A token of variant A: who was identified is known, for one opening of this device (R1.6, R1.9). */
  readonly identity?: { readonly tokenId: string; readonly accessPointId: string; readonly method: 'face' | 'plate' };
  /** Set for staff: who, in which session, and which partners the operation's permission holds for. */
  readonly staff?: { readonly memberId: string; readonly session: StaffSession; readonly reach: Reach };
  readonly profile?: 'basic-signed' | 'oauth-client' | 'mtls-oidc';
};

/** The partner behind a request to the partner API, where nobody else is let in. */
export function partnerOf({ partnerId, integration }: Caller): {
  readonly partnerId: string;
  readonly integration: Integration;
} {
  if (partnerId === undefined || integration === undefined) {
    throw new Error('A client that belongs to no partner was let in to what is for partners.');
  }
  return { partnerId, integration };
}
