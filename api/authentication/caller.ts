import type { Integration } from '../../contracts/ids';
import type { AgreedLimits } from '../request-limits';

/** Who calls, as the authentication of the route found out; left in `res.locals.caller`. */
export type Caller = {
  readonly clientId: string;
  readonly audience: 'app' | 'partner' | 'registry';
  /** Set for callers of the partner API. */
  readonly partnerId?: string;
  readonly integration?: Integration;
  readonly limits: AgreedLimits;
  /** A token of variant A: who was identified is known, for one opening of this device (R1.6, R1.9). */
  readonly identity?: { readonly tokenId: string; readonly accessPointId: string; readonly method: 'face' | 'plate' };
  readonly profile?: 'basic-signed' | 'oauth-client' | 'mtls-oidc';
};
