import { createBasicSignedPartner } from './basic-signed';
import { createMtlsOidcPartner } from './mtls-oidc';
import { createOauthClientPartner } from './oauth-client';
import type { PartnerGateway } from './ports';
import { HOLDS_PLATES, type PartnerProfile } from './profile';

/** Gateways that are looked at and not used. */
const unused = (profile: object): never =>
  ({
    partnerId: 'p',
    http: { close: () => Promise.resolve() },
    secrets: () => Promise.reject(new Error('unused')),
    profile: { baseUrl: 'https://partner.example', issuer: 'https://partner.example', partnerKeys: [], ...profile },
  }) as never;
const GATEWAYS: Readonly<Record<PartnerProfile['profile'], () => PartnerGateway>> = {
  'basic-signed': () => createBasicSignedPartner(unused({ profile: 'basic-signed' })),
  'oauth-client': () => createOauthClientPartner(unused({ profile: 'oauth-client' })),
  'mtls-oidc': () => createMtlsOidcPartner(unused({ profile: 'mtls-oidc' })),
};

describe('who holds plates', () => {
  it.each(Object.keys(GATEWAYS) as PartnerProfile['profile'][])(
    'is said alike by the table, which the API reads, and by the gateway of %s, which workers use',
    (profile) => {
      expect(GATEWAYS[profile]().plates !== null).toBe(HOLDS_PLATES[profile]);
    },
  );
});
