import { createBasicSignedPartner } from './basic-signed';
import { tlsIdentityOf, type TlsIdentity } from './client-certificate';
import type { AgreedFields } from './data-set';
import { PartnerError } from './failure';
import { createPartnerHttp } from './http';
import { isolated } from './isolation';
import type { NoteRequest } from './noted-request';
import { createMtlsOidcPartner } from './mtls-oidc';
import { createOauthClientPartner } from './oauth-client';
import type { PartnerGateway } from './ports';
import type { PartnerProfile, PartnerSecrets } from './profile';

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
  /** Told of requests that are no operation of the gateway. */
  note?: NoteRequest;
}): Promise<PartnerGateway> {
  const { partnerId, profile, note } = options;
  const noted = note && { note };
  const secrets: PartnerSecrets = (name) => orUnreachable(() => options.secrets(name));
  const agreed: AgreedFields = () => orUnreachable(options.agreed);
  const { caPem, timeoutMs, maxConnections, requestsPerSecond } = profile;
  const httpAs = (clientCertificate?: TlsIdentity) =>
    isolated(
      createPartnerHttp({
        receiver: partnerId,
        caPem,
        timeoutMs,
        maxConnections,
        ...(clientCertificate && { clientCertificate }),
      }),
      { requestsPerSecond, concurrency: profile.concurrency ?? 2 * maxConnections },
    );
  if (profile.profile === 'mtls-oidc') {
    // Read once: tokens are bound to the certificate, so that another one takes another gateway (gateways.ts).
    const http = httpAs(tlsIdentityOf(await secrets('tls-key'), profile.certificatePem));
    return createMtlsOidcPartner({ partnerId, profile, http, httpAs, secrets, agreed, ...noted });
  }
  const http = httpAs();
  switch (profile.profile) {
    case 'basic-signed':
      return createBasicSignedPartner({ partnerId, profile, http, secrets, agreed, ...noted });
    case 'oauth-client':
      return createOauthClientPartner({ partnerId, profile, http, secrets, agreed, ...noted });
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
