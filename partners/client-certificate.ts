import 'reflect-metadata';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { PartnerError } from './failure';

/** What proves us in a TLS handshake. */
export type TlsIdentity = { readonly cert: string; readonly key: string };

/** P-256 goes with TLS 1.2 and 1.3 alike, and every authority signs it. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** A certificate that ends before its successor is due would end in use: thirty days, and the overlap (R0.6). */
const LEAST_LIFE_MS = 31 * 24 * 3_600_000;

const blocks = (pem: string, label: string): string =>
  (pem.match(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g')) ?? []).join('\n');

/**
 * A new key and the request for its certificate (PKCS#10, RFC 2986), as one secret: so that a request that is sent again
 * is the same request. The names in the certificate are the authority's to give.
 */
export async function newCertificateRequest(id: string): Promise<string> {
  x509.cryptoProvider.set(webcrypto as never);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${id}`,
    keys,
    signingAlgorithm: ALGORITHM,
  });
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return `${key}\n${request.toString('pem')}\n`;
}

export const certificateRequestOf = (secret: string): string => blocks(secret, 'CERTIFICATE REQUEST');

/** Whether the certificate has taken the place of its request. */
export const hasCertificate = (secret: string): boolean => blocks(secret, 'CERTIFICATE') !== '';

/** When the certificate of a secret ends; left out: it has none. */
export function certificateEndOf(secret: string): Date | undefined {
  const [leaf] = certificatesIn(secret);
  return leaf && new Date(leaf.validTo);
}

/** Whether the first certificate was signed by one of these authorities, be it by way of the others that came with it. */
export function comesFrom(certificatesPem: string, authoritiesPem: string): boolean {
  const authorities = certificatesIn(authoritiesPem);
  const [leaf, ...others] = certificatesIn(certificatesPem);
  const isBy = (one: X509Certificate, by: X509Certificate): boolean => one.checkIssued(by) && one.verify(by.publicKey);
  const leads = (one: X509Certificate, left: readonly X509Certificate[]): boolean =>
    authorities.some((by) => isBy(one, by)) ||
    left.some(
      (by) =>
        by.ca &&
        isBy(one, by) &&
        leads(
          by,
          left.filter((other) => other !== by),
        ),
    );
  return leaf !== undefined && leads(leaf, others);
}

function certificatesIn(pem: string): X509Certificate[] {
  try {
    return blocks(pem, 'CERTIFICATE')
      .split(/(?<=-----END CERTIFICATE-----)\n/)
      .filter((each) => each !== '')
      .map((each) => new X509Certificate(each));
  } catch {
    return [];
  }
}

/**
 * The secret with the certificate in place of the request.
 *
 * @throws PartnerError `PartnerMisanswered` for a certificate that is not of this key, or ends too early
 */
export function withCertificate(secret: string, certificatePem: string): string {
  const key = blocks(secret, 'PRIVATE KEY');
  const cert = blocks(certificatePem, 'CERTIFICATE');
  const isOurs = belongsTo(cert, key);
  if (!isOurs || Date.parse(new X509Certificate(cert).validTo) - Date.now() < LEAST_LIFE_MS)
    throw new PartnerError('PartnerMisanswered', 'The certificate that was issued cannot be used.');
  return `${key}\n${cert}\n`;
}

/**
 * Key and certificate, which are one secret from the first rotation on, so that the two change together; before it the
 * certificate is in the partner's settings.
 *
 * @throws PartnerError `PartnerUnauthorized` when they do not belong together
 */
export function tlsIdentityOf(secret: string, certificateOfSettings: string): TlsIdentity {
  const cert = blocks(secret, 'CERTIFICATE') || certificateOfSettings;
  if (!belongsTo(cert, secret)) {
    throw new PartnerError('PartnerUnauthorized', 'Our client certificate and its key do not belong together.');
  }
  return { cert, key: secret };
}

function belongsTo(certificatePem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}
