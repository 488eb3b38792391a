import { type X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** The certificate that the peer proved possession of in the handshake, if our authority signed it. */
export function clientCertificate(req: IncomingMessage): X509Certificate | null {
  const socket = req.socket as Partial<TLSSocket>;
  if (socket.authorized !== true || !socket.getPeerX509Certificate) return null;
  return socket.getPeerX509Certificate() ?? null;
}

/** Whether the certificate was issued for that name; the subject's common name counts for nothing (RFC 9525). */
export const isIssuedFor = (certificate: X509Certificate, dnsName: string): boolean =>
  dnsName !== '' && certificate.checkHost(dnsName, { subject: 'never', wildcards: false }) === dnsName;
