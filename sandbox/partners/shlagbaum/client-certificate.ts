import { createHash, type X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import type { Request } from 'express';

/** The caller's certificate, checked by the handshake against the partner CA. */
export type ClientCertificate = {
  /** `x5t#S256` of RFC 8705. */
  readonly thumbprint: string;
  /** Whether one of its dNSName entries is exactly this. */
  readonly isFor: (dnsName: string) => boolean;
};

export const thumbprintOf = ({ raw }: X509Certificate): string => createHash('sha256').update(raw).digest('base64url');

export function clientCertificate(req: Request): ClientCertificate | undefined {
  if (!(req.socket instanceof TLSSocket) || !req.socket.authorized) return undefined;
  const certificate = req.socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  return {
    thumbprint: thumbprintOf(certificate),
    isFor: (dnsName) => certificate.checkHost(dnsName, { subject: 'never', wildcards: false }) === dnsName,
  };
}
