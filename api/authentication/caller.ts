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
  readonly profile?: 'basic-signed' | 'oauth-client' | 'mtls-oidc';
};
