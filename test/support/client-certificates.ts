import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
export const CLIENT_AUTHENTICATION = '1.3.6.1.5.5.7.3.2';

type Wish = {
  readonly dnsNames: readonly string[];
  /** The subject; the first of the names unless given. */
  readonly subject?: string;
  readonly days?: number;
  readonly usage?: string;
  /** A request (PKCS#10, PEM) whose key it is for; left out: a key of its own. */
  readonly request?: string;
};

/**
 * A certificate of a local stack's authority, as it would give one to a partner.
 *
 * @param authority path of the authority's certificate; its key lies beside it
 */
export async function issueClientCertificate(
  authority: string,
  { dnsNames, subject = `CN=${dnsNames[0] ?? ''}`, days = 90, usage = CLIENT_AUTHENTICATION, request }: Wish,
): Promise<{ cert: string; key: string }> {
  x509.cryptoProvider.set(webcrypto as never);
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(readFileSync(authority.replace(/\.pem$/, '-key.pem'), 'utf8')),
    ALGORITHM,
    false,
    ['sign'],
  );
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    subject,
    issuer: new x509.X509Certificate(readFileSync(authority, 'utf8')).subject,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + days * 86_400_000),
    publicKey: request === undefined ? keys.publicKey : new x509.Pkcs10CertificateRequest(request).publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.ExtendedKeyUsageExtension([usage], false),
      new x509.SubjectAlternativeNameExtension(dnsNames.map((value) => ({ type: 'dns', value }))),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
}
