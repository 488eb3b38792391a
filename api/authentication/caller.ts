import type { Integration } from '../../contracts/ids';

/** Who calls, as the authentication of the route found out; left in `res.locals.caller`. */
export type Caller = {
  readonly clientId: string;
  readonly audience: 'app' | 'partner' | 'registry';
  /** Set for callers of the partner API. */
  readonly partnerId?: string;
  readonly integration?: Integration;
  readonly profile?: 'basic-signed' | 'oauth-client' | 'mtls-oidc';
};
