import { X509Certificate, createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { PartnerProfile } from './profile';

/** Where the public half of what a partner made stands; all but `retired` are good. */
export type AnnouncedState = 'pending' | 'active' | 'retiring' | 'retired';

export const isGood = (state: string): boolean => state === 'pending' || state === 'active' || state === 'retiring';

type Announced = { readonly keyId: string; readonly publicPem: string; readonly state: string };

/**
 * The keys that a partner's messages are signed with: those that it announced, or, as long as it has announced none,
 * those of its settings.
 *
 * @param announced every version, those that are over included
 */
export const messageKeysOf = (
  configured: readonly { readonly keyId: string; readonly publicKeyPem: string }[],
  announced: readonly Announced[],
): ReadonlyMap<string, KeyObject> => {
  const keys =
    announced.length === 0
      ? configured
      : announced
          .filter(({ state }) => isGood(state))
          .map(({ keyId, publicPem: publicKeyPem }) => ({ keyId, publicKeyPem }));
  return new Map(keys.map(({ keyId, publicKeyPem }) => [keyId, createPublicKey(publicKeyPem)]));
};

/** The settings with the keys that the partner announced in place of the first ones. */
export function withAnnouncedKeys(profile: PartnerProfile, announced: readonly Announced[]): PartnerProfile {
  if (profile.profile !== 'basic-signed' || announced.length === 0) return profile;
  const good = announced.filter(({ state }) => isGood(state));
  return {
    ...profile,
    partnerKeys: good.map(({ keyId, publicPem: publicKeyPem }) => ({ keyId, publicKeyPem })),
  };
}

/** `x5t#S256` of RFC 8705. */
export const thumbprintOf = ({ raw }: X509Certificate): string => createHash('sha256').update(raw).digest('base64url');

/** A certificate that ends before its successor is due would end in use: thirty days, and the overlap (R0.6). */
const LEAST_LIFE_MS = 31 * 24 * 3_600_000;

/** Why a certificate cannot be the next one of a client; words for the answer. */
export type CertificateRefusal = 'unreadable' | 'authority' | 'name' | 'usage' | 'life' | 'key';

/**
 * Whether a certificate may become a client's: a leaf of one of our authorities for client certificates, for the
 * registered name (RFC 9525), for client authentication, good long enough, with a key that is strong enough.
 */
export function certificateRefusal(
  pem: string,
  of: { readonly authorities: readonly X509Certificate[]; readonly dnsName: string; readonly nowMs: number },
): CertificateRefusal | null {
  const certificate = readCertificate(pem);
  if (!certificate || certificate.ca) return 'unreadable';
  const isOurs = (by: X509Certificate): boolean => certificate.checkIssued(by) && certificate.verify(by.publicKey);
  if (!of.authorities.some(isOurs)) return 'authority';
  const isNamed = certificate.checkHost(of.dnsName, { subject: 'never', wildcards: false }) === of.dnsName;
  if (of.dnsName === '' || !isNamed) return 'name';
  if (!(certificate.keyUsage as string[] | undefined)?.includes(CLIENT_AUTHENTICATION)) return 'usage';
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (from > of.nowMs || to - of.nowMs < LEAST_LIFE_MS) return 'life';
  return isStrong(certificate.publicKey) ? null : 'key';
}

/** Extended key usage (RFC 5280, section 4.2.1.12). */
const CLIENT_AUTHENTICATION = '1.3.6.1.5.5.7.3.2';

function isStrong({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): boolean {
  if (type === 'rsa') return (details?.modulusLength ?? 0) >= 2_048;
  if (type === 'ec') return ['prime256v1', 'secp384r1', 'secp521r1'].includes(details?.namedCurve ?? '');
  return type === 'ed25519';
}

/** One certificate and nothing else. */
export function readCertificate(pem: string): X509Certificate | null {
  try {
    return (pem.match(/-----BEGIN /g) ?? []).length === 1 ? new X509Certificate(pem) : null;
  } catch {
    return null;
  }
}

/** Certificates of a bundle, PEM. */
export const readAuthorities = (pem: string): X509Certificate[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (each) => new X509Certificate(each),
  );
