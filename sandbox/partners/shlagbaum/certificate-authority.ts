import 'reflect-metadata';
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { thumbprintOf } from './client-certificate';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const LIFE_MS = 90 * 24 * 3_600_000;
/** Clocks differ. */
const SKEW_MS = 60_000;

/**
 * Issues a client certificate for the key of a PKCS#10 request (RFC 2986), under the name that the client is registered
 * by: what the request says of names counts for nothing.
 *
 * @returns `undefined` for what is no request, or not signed with its own key
 */
export async function issueCertificate(
  csr: string,
  dnsName: string,
  authority: { readonly cert: string; readonly key: string },
  now: Date,
): Promise<{ readonly pem: string; readonly thumbprint: string } | undefined> {
  x509.cryptoProvider.set(webcrypto as never);
  const request = await parsed(csr);
  if (request === undefined) return undefined;
  const issuer = new x509.X509Certificate(authority.cert);
  const pkcs8 = x509.PemConverter.decodeFirst(authority.key);
  const certificate = await x509.X509CertificateGenerator.create({
    // Positive, 16 bytes, random (RFC 5280, section 4.1.2.2).
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    subject: `CN=${dnsName}`,
    issuer: issuer.subject,
    notBefore: new Date(now.getTime() - SKEW_MS),
    notAfter: new Date(now.getTime() + LIFE_MS),
    publicKey: request.publicKey,
    signingKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([CLIENT_AUTH], false),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: dnsName }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  const pem = certificate.toString('pem');
  return { pem, thumbprint: thumbprintOf(new X509Certificate(pem)) };
}

async function parsed(csr: string): Promise<x509.Pkcs10CertificateRequest | undefined> {
  try {
    const request = new x509.Pkcs10CertificateRequest(csr);
    return (await request.verify()) ? request : undefined;
  } catch {
    return undefined;
  }
}
