import 'reflect-metadata';
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { certificateRequestOf, newCertificateRequest, tlsIdentityOf, withCertificate } from './client-certificate';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** What an authority makes of the request in the secret. */
async function issued(secret: string, days = 90): Promise<string> {
  x509.cryptoProvider.set(webcrypto as never);
  const authority = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const { publicKey } = new x509.Pkcs10CertificateRequest(certificateRequestOf(secret));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: '01',
    subject: 'CN=domovoy.example',
    issuer: 'CN=authority',
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + days * DAY_MS),
    publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: ALGORITHM,
  });
  return certificate.toString('pem');
}

describe('a client certificate of ours', () => {
  let secret: string;
  let other: string;
  beforeAll(async () => {
    [secret, other] = await Promise.all([newCertificateRequest('domovoy-tls-key-2'), newCertificateRequest('other')]);
  });

  it('is asked for with a request that its own key has signed, and that holds nothing private', async () => {
    const request = new x509.Pkcs10CertificateRequest(certificateRequestOf(secret));
    expect(await request.verify()).toBe(true);
    expect(certificateRequestOf(secret)).not.toContain('PRIVATE');
    const own = createPublicKey(createPrivateKey(secret)).export({ type: 'spki', format: 'der' });
    expect(Buffer.from(request.publicKey.rawData).equals(own)).toBe(true);
  });

  it('is kept with its key, and without the request', async () => {
    const certificate = await issued(secret);
    const complete = withCertificate(secret, certificate);
    expect(certificateRequestOf(complete)).toBe('');
    expect(tlsIdentityOf(complete, 'unused')).toMatchObject({ cert: certificate.trim() });
  });

  it.each([
    ['is of another key', () => issued(other)],
    ['ends before its successor is due', () => issued(secret, 30)],
    ['is none', () => Promise.resolve('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----')],
    ['is missing', () => Promise.resolve('')],
  ])('is not taken when it %s', async (_case, certificate) => {
    const given = await certificate();
    expect(() => withCertificate(secret, given)).toThrow(
      expect.objectContaining({ type: 'PartnerMisanswered' }) as Error,
    );
  });

  it('is the one of the settings until the first rotation, and of no use without its key', async () => {
    const certificate = await issued(secret);
    expect(tlsIdentityOf(secret, certificate).cert).toBe(certificate);
    expect(() => tlsIdentityOf(other, certificate)).toThrow(
      expect.objectContaining({ type: 'PartnerUnauthorized' }) as Error,
    );
  });
});
