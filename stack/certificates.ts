import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { readIfThere, writeDurably } from './state-folder';

export type CertificatePaths = {
  readonly certificate: string;
  readonly key: string;
};

export type Certificates = {
  /** Signs the company's own servers. */
  readonly companyCa: string;
  /** Signs client certificates of partners, as our API accepts them. */
  readonly clientCa: string;
  /** Signs the partners' servers and the client certificates that they accept. */
  readonly partnerCa: string;
  /** The sandbox issues our next client certificates with it. */
  readonly partnerCaKey: string;
  readonly api: CertificatePaths;
  readonly temporalUi: CertificatePaths;
  readonly billing: CertificatePaths;
  readonly identityProvider: CertificatePaths;
  readonly securityDesk: CertificatePaths;
  readonly kluch: CertificatePaths;
  readonly vizor: CertificatePaths;
  readonly shlagbaum: CertificatePaths;
  /** A partner's server certificate that has run out, for the sandbox's fault of that name. */
  readonly expiredPartner: CertificatePaths;
  /** What we present to shlagbaum. */
  readonly ourClient: CertificatePaths;
  /** What shlagbaum presents to us. */
  readonly shlagbaumClient: CertificatePaths;
};

const DAY_MS = 86_400_000;
const CA_DAYS = 1_825;
const LEAF_DAYS = 90;
/** With less than this left a certificate is made anew at the next start. */
const RENEW_DAYS = 30;

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const LOOPBACK = ['localhost', '127.0.0.1'];

/** How long a certificate is good, days from now, and with how many left it is made anew. */
type Life = { readonly from: number; readonly to: number; readonly renewAt: number };
const FRESH: Life = { from: 0, to: LEAF_DAYS, renewAt: RENEW_DAYS };
/** Ran out yesterday, and is never renewed. */
const EXPIRED: Life = { from: -2, to: -1, renewAt: Number.NEGATIVE_INFINITY };

type Authority = { certificate: x509.X509Certificate; privateKey: webcrypto.CryptoKey };

/** The local stack's certificates: made at the first start, renewed when they are about to end. */
export async function ensureCertificates(folder: string): Promise<Certificates> {
  x509.cryptoProvider.set(webcrypto as never);
  const company = await authority(folder, 'company-ca', 'Domovoy local CA');
  const clients = await authority(folder, 'client-ca', 'Domovoy local CA for partners');
  const partners = await authority(folder, 'partner-ca', 'Sandbox partner CA');
  const server = (name: string, by: Authority) => leaf(folder, name, by, SERVER_AUTH, LOOPBACK);
  return {
    companyCa: join(folder, 'company-ca.pem'),
    clientCa: join(folder, 'client-ca.pem'),
    partnerCa: join(folder, 'partner-ca.pem'),
    partnerCaKey: join(folder, 'partner-ca-key.pem'),
    api: await server('api', company),
    temporalUi: await server('temporal-ui', company),
    billing: await server('billing', company),
    identityProvider: await server('identity-provider', company),
    securityDesk: await server('security-desk', company),
    kluch: await server('kluch', partners),
    vizor: await server('vizor', partners),
    shlagbaum: await server('shlagbaum', partners),
    expiredPartner: await leaf(folder, 'expired-partner', partners, SERVER_AUTH, LOOPBACK, EXPIRED),
    ourClient: await leaf(folder, 'domovoy-client', partners, CLIENT_AUTH, ['domovoy.company.example']),
    shlagbaumClient: await leaf(folder, 'shlagbaum-client', clients, CLIENT_AUTH, ['shlagbaum.partner.example']),
  };
}

async function authority(folder: string, name: string, commonName: string): Promise<Authority> {
  const paths = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}-key.pem`) };
  const found = isUsable(paths, CA_DAYS / 5) ? await readAuthority(paths) : null;
  if (found) return found;
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${commonName}`,
    ...validFor(0, CA_DAYS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await store(paths, certificate, keys.privateKey);
  return { certificate, privateKey: keys.privateKey };
}

async function leaf(
  folder: string,
  name: string,
  by: Authority,
  usage: string,
  names: readonly string[],
  life = FRESH,
): Promise<CertificatePaths> {
  const paths = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}-key.pem`) };
  if (isUsable(paths, life.renewAt) && isSignedBy(paths, by)) return paths;
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${names[0] ?? name}`,
    issuer: by.certificate.subject,
    ...validFor(life.from, life.to),
    publicKey: keys.publicKey,
    signingKey: by.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage], false),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(by.certificate.publicKey),
    ],
  });
  await store(paths, certificate, keys.privateKey);
  return paths;
}

/** Whether there is a certificate with enough life left and the key that belongs to it: a crash may part the two. */
function isUsable({ certificate, key }: CertificatePaths, daysLeft: number): boolean {
  const [certificatePem, keyPem] = [readIfThere(certificate), readIfThere(key)];
  if (certificatePem === null || keyPem === null) return false;
  try {
    const found = new X509Certificate(certificatePem);
    const lasts = new Date(found.validTo).getTime() - Date.now() > daysLeft * DAY_MS;
    return lasts && found.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

function isSignedBy({ certificate }: CertificatePaths, by: Authority): boolean {
  const found = new x509.X509Certificate(readFileSync(certificate, 'utf8'));
  const issuerKey = found.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId;
  return issuerKey === by.certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
}

async function readAuthority({ certificate, key }: CertificatePaths): Promise<Authority> {
  const pkcs8 = x509.PemConverter.decodeFirst(readFileSync(key, 'utf8'));
  const privateKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign']);
  return { certificate: new x509.X509Certificate(readFileSync(certificate, 'utf8')), privateKey };
}

async function store(paths: CertificatePaths, certificate: x509.X509Certificate, key: webcrypto.CryptoKey) {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  writeDurably(paths.key, `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`);
  writeDurably(paths.certificate, `${certificate.toString('pem')}\n`, 0o644);
}

const newKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
/** Positive, 16 bytes, random (RFC 5280, section 4.1.2.2). */
const serial = (): string => `01${randomBytes(15).toString('hex')}`;
const validFor = (fromDays: number, toDays: number) => ({
  notBefore: new Date(Date.now() + fromDays * DAY_MS - 60_000),
  notAfter: new Date(Date.now() + toDays * DAY_MS),
});
