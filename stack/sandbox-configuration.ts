import { join } from 'node:path';
import type { Certificates } from './certificates';
import type { Ports } from './ports';
import { publicPem, type StackSecrets } from './secrets';
import { writeDurably, type StateFolder } from './state-folder';
import { FLAT_FOR_SALE, GALINA, PARTNERS, SERVICE, STAFF_CLIENT_ID, type TownPartner } from './town';

type Parts = {
  readonly folder: StateFolder;
  readonly secrets: StackSecrets;
  readonly certificates: Certificates;
  readonly ports: Ports;
  readonly apiUrl: string;
};

export type SandboxConfiguration = Readonly<
  Record<'partners' | 'billing' | 'identityProvider' | 'securityDesk', string>
>;

/** Writes what the sandbox's programs are told at their start. Secrets stay in their own files. @returns the paths */
export function writeSandboxConfiguration(parts: Parts): SandboxConfiguration {
  const partners = join(parts.folder.sandbox, 'partners.json');
  const billing = join(parts.folder.sandbox, 'billing.json');
  const identityProvider = join(parts.folder.sandbox, 'identity-provider.json');
  writeDurably(partners, JSON.stringify(partnersConfiguration(parts), null, 2));
  writeDurably(billing, JSON.stringify(billingConfiguration(parts), null, 2));
  writeDurably(identityProvider, JSON.stringify(identityProviderConfiguration(parts), null, 2));
  const securityDesk = join(parts.folder.sandbox, 'security-desk.json');
  writeDurably(securityDesk, JSON.stringify(securityDeskConfiguration(parts), null, 2));
  return { partners, billing, identityProvider, securityDesk };
}

function partnersConfiguration({ folder, secrets, certificates, ports, apiUrl }: Parts): object {
  const houses = (id: TownPartner['id']) =>
    PARTNERS.filter((partner) => partner.id === id).map((partner) => ({
      id: partner.partnerHouseId,
      devices: [
        { id: partner.doorDeviceId, kind: 'door', name: 'Entrance 1' },
        { id: partner.barrierDeviceId, kind: 'barrier', name: 'Yard' },
      ],
    }));
  const tls = (id: TownPartner['id']) => ({
    certFile: certificates[id].certificate,
    keyFile: certificates[id].key,
  });
  const expired = { certFile: certificates.expiredPartner.certificate, keyFile: certificates.expiredPartner.key };
  return {
    dataDir: join(folder.sandbox, 'partners'),
    controlPort: ports.sandboxControl,
    logExportKeys: {
      kluchFile: secrets.fromKluchLogExportKey.path,
      vizorFile: secrets.fromVizorLogExportKey.path,
      shlagbaumFile: secrets.fromShlagbaumLogExportKey.path,
    },
    company: {
      baseUrl: apiUrl,
      tokenUrl: `${apiUrl}/oauth/token`,
      resource: `${apiUrl}/partner/v1`,
      messageKeysUrl: `${apiUrl}/.well-known/domovoy-message-keys`,
      caFile: certificates.companyCa,
    },
    partners: {
      kluch: {
        port: ports.kluch,
        tls: tls('kluch'),
        expired,
        houses: houses('kluch'),
        accepts: {
          basic: [{ username: 'domovoy', passwordFile: secrets.toKluchPassword.path }],
          keys: [{ keyid: 'domovoy-1', publicKey: publicPem(secrets.toKluchSigningKey.value) }],
        },
        signing: { keyid: 'kluch-1', privateKeyFile: secrets.fromKluchSigningKey.path },
        atCompany: { username: 'kluch', passwordFile: secrets.fromKluchPassword.path },
      },
      vizor: {
        port: ports.vizor,
        tls: tls('vizor'),
        expired,
        houses: houses('vizor'),
        accepts: { clients: [{ clientId: 'domovoy', secrets: [{ secretFile: secrets.toVizorSecret.path }] }] },
        atCompany: { clientId: 'vizor', clientSecretFile: secrets.fromVizorSecret.path },
      },
      shlagbaum: {
        port: ports.shlagbaum,
        tls: { ...tls('shlagbaum'), clientCaFile: certificates.partnerCa },
        expired,
        houses: houses('shlagbaum'),
        accepts: {
          clientId: 'domovoy',
          sanDns: 'domovoy.company.example',
          accounts: [{ username: 'domovoy', passwordFile: secrets.toShlagbaumPassword.path }],
          certificateFile: certificates.ourClient.certificate,
        },
        authority: { certFile: certificates.partnerCa, keyFile: certificates.partnerCaKey },
        atCompany: {
          clientId: 'shlagbaum',
          certFile: certificates.shlagbaumClient.certificate,
          keyFile: certificates.shlagbaumClient.key,
        },
      },
    },
  };
}

function billingConfiguration({ folder, secrets, certificates, ports }: Parts): object {
  const ofHouses = PARTNERS.flatMap(({ flats }) => [
    [flats.paid.accountId, { [SERVICE]: 'paid' }],
    [flats.unpaid.accountId, { [SERVICE]: 'unpaid' }],
  ]).concat([[GALINA.flat.accountId, { [SERVICE]: 'paid' }]]);
  return {
    dataDir: join(folder.sandbox, 'billing'),
    port: ports.billing,
    controlPort: ports.billingControl,
    tls: { certFile: certificates.billing.certificate, keyFile: certificates.billing.key },
    secrets: [secrets.billing.value],
    accounts: Object.fromEntries([...ofHouses, [FLAT_FOR_SALE.accountId, { [SERVICE]: 'paid' }]]) as Record<
      string,
      unknown
    >,
  };
}

function securityDeskConfiguration({ folder, secrets, certificates, ports }: Parts): object {
  return {
    dataDir: join(folder.sandbox, 'security-desk'),
    port: ports.securityDesk,
    controlPort: ports.securityDeskControl,
    tls: { certFile: certificates.securityDesk.certificate, keyFile: certificates.securityDesk.key },
    secretFile: secrets.securityWebhook.path,
  };
}

function identityProviderConfiguration({ secrets, certificates, ports, apiUrl }: Parts): object {
  return {
    issuer: `https://localhost:${ports.identityProvider.toString()}`,
    port: ports.identityProvider,
    controlPort: ports.identityProviderControl,
    tls: { certFile: certificates.identityProvider.certificate, keyFile: certificates.identityProvider.key },
    client: {
      clientId: STAFF_CLIENT_ID,
      clientSecretFile: secrets.staffClient.path,
      redirectUris: [`${apiUrl}/staff/callback`],
    },
    events: {
      url: `${apiUrl}/security-events`,
      logoutUrl: `${apiUrl}/back-channel-logout`,
      caFile: certificates.companyCa,
    },
    accounts: secrets.staff.map(({ username, subject, groups, password, totpSecret }) => ({
      username,
      subject,
      groups,
      passwordFile: password.path,
      ...(totpSecret && { totpSecretFile: totpSecret.path }),
    })),
  };
}
