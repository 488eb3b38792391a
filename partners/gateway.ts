import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createBasicSignedPartner } from './basic-signed';
import type { AgreedFields } from './data-set';
import { PartnerError } from './failure';
import { createPartnerHttp } from './http';
import { isolated } from './isolation';
import { createMtlsOidcPartner } from './mtls-oidc';
import { createOauthClientPartner } from './oauth-client';
import type { PartnerGateway } from './ports';
import type { PartnerProfile, PartnerSecrets, ProfileOf } from './profile';

/**
 * Builds the gateway to one partner from its row; the profile decides which adapter.
 *
 * @throws PartnerError `PartnerUnauthorized` when our client certificate cannot be used
 */
export async function createGateway(options: {
  partnerId: string;
  profile: PartnerProfile;
  secrets: PartnerSecrets;
  agreed: AgreedFields;
}): Promise<PartnerGateway> {
  const { partnerId, profile } = options;
  const secrets: PartnerSecrets = (name) => orUnreachable(() => options.secrets(name));
  const agreed: AgreedFields = () => orUnreachable(options.agreed);
  const clientCertificate = profile.profile === 'mtls-oidc' ? await ownCertificate(profile, secrets) : undefined;
  const { caPem, timeoutMs, maxConnections, requestsPerSecond } = profile;
  const http = isolated(
    createPartnerHttp({ caPem, timeoutMs, maxConnections, ...(clientCertificate && { clientCertificate }) }),
    { requestsPerSecond, concurrency: profile.concurrency ?? 2 * maxConnections },
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

/** Our own stores are read before anything is sent: their failure says that nothing can have happened. */
async function orUnreachable<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch {
    throw new PartnerError('PartnerUnreachable', 'Our own settings for the partner could not be read.');
  }
}

/** Certificate and key change in two places; a pair that does not fit must not be kept until the next change. */
async function ownCertificate(
  { certificatePem }: ProfileOf<'mtls-oidc'>,
  secrets: PartnerSecrets,
): Promise<{ cert: string; key: string }> {
  const key = await secrets('tls-key');
  if (!belongsTo(certificatePem, key)) {
    throw new PartnerError('PartnerUnauthorized', 'Our client certificate and its key do not belong together.');
  }
  return { cert: certificatePem, key };
}

function belongsTo(certificatePem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}
