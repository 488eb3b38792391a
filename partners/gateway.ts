import { createBasicSignedPartner } from './basic-signed';
import type { AgreedFields } from './data-set';
import { createPartnerHttp } from './http';
import { isolated } from './isolation';
import { createMtlsOidcPartner } from './mtls-oidc';
import { createOauthClientPartner } from './oauth-client';
import type { PartnerGateway } from './ports';
import type { PartnerProfile, PartnerSecrets } from './profile';

/** Builds the gateway to one partner from its row; the profile decides which adapter. */
export async function createGateway(options: {
  partnerId: string;
  profile: PartnerProfile;
  secrets: PartnerSecrets;
  agreed: AgreedFields;
}): Promise<PartnerGateway> {
  const { partnerId, profile, secrets, agreed } = options;
  const clientCertificate =
    profile.profile === 'mtls-oidc' ? { cert: profile.certificatePem, key: await secrets('tls-key') } : undefined;
  const { caPem, timeoutMs, maxConnections } = profile;
  const http = isolated(
    createPartnerHttp({ caPem, timeoutMs, maxConnections, ...(clientCertificate && { clientCertificate }) }),
    profile.requestsPerSecond,
  );
  switch (profile.profile) {
    case 'basic-signed':
      return createBasicSignedPartner({ partnerId, profile, http, secrets, agreed });
    case 'oauth-client':
      return createOauthClientPartner({ partnerId, profile, http, secrets, agreed });
    case 'mtls-oidc':
      return createMtlsOidcPartner({ partnerId, profile, http, secrets, agreed });
  }
}
