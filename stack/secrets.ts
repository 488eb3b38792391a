import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { STAFF } from './town';
import { secretFile, type StateFolder } from './state-folder';

type SecretFile = { readonly path: string; readonly value: string };

const password = (): string => randomBytes(32).toString('base64url');
const keyRing = (): string => `local-1:${randomBytes(32).toString('base64')}`;
/** 160 bits, as RFC 4226, section 4 recommends, in the letters that authenticator apps take. */
const totpSecret = (): string =>
  Array.from(randomBytes(32), (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.charAt(byte & 0x1f)).join('');
const ed25519 = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const tokenKeys = (): string => {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return JSON.stringify([{ ...jwk, kid: randomBytes(8).toString('hex'), alg: 'EdDSA', use: 'sig' }]);
};

/** Every secret of the local stack, made once and kept in its own file; each process gets the paths of its own. */
export function stackSecrets(folder: StateFolder) {
  const file = (name: string, make: () => string): SecretFile => secretFile(folder, name, make);
  return {
    postgres: file('postgres-password', password),
    apiDatabase: file('database-password-api', password),
    smartHomeDatabase: file('database-password-smart-home', password),
    communalDatabase: file('database-password-communal', password),
    coreDatabase: file('database-password-core', password),
    auditorDatabase: file('database-password-auditor', password),
    /** Of the key store, where each part of the house has another login. */
    apiKeyStore: file('key-store-password-api', password),
    smartHomeKeyStore: file('key-store-password-smart-home', password),
    communalKeyStore: file('key-store-password-communal', password),
    coreKeyStore: file('key-store-password-core', password),
    keyEncryptionKeys: file('key-encryption-keys', keyRing),
    payloadKeys: file('payload-keys', keyRing),
    tokenSigningKeys: file('token-signing-keys', tokenKeys),
    hiddenIdKey: file('hidden-id-key', () => randomBytes(32).toString('base64')),
    plateIndexKey: file('plate-index-key', () => randomBytes(32).toString('base64')),
    messageSigningKey: file('message-signing-key', ed25519),
    documentSigningKey: file('document-signing-key', ed25519),
    billing: file('billing-secret', password),
    /** What alerts to the security team are signed with (Standard Webhooks). */
    securityWebhook: file('security-webhook-secret', () => `whsec_${randomBytes(32).toString('base64')}`),
    appClient: file('app-client-secret', password),
    /** What the API presents to the staff identity provider. */
    staffClient: file('staff-client-secret', password),
    /** What each member of staff signs in with, in the order of {@link STAFF}. */
    staff: STAFF.map((person) => ({
      ...person,
      password: file(`staff-${person.username}-password`, password),
      totpSecret: person.totp ? file(`staff-${person.username}-totp`, totpSecret) : null,
    })),
    registryClient: file('registry-client-secret', password),
    registrySigningKey: file('registry-signing-key', ed25519),
    /** What we present to each partner. */
    toKluchPassword: file('to-kluch-password', password),
    toKluchSigningKey: file('to-kluch-signing-key', ed25519),
    toVizorSecret: file('to-vizor-client-secret', password),
    toShlagbaumPassword: file('to-shlagbaum-password', password),
    /** What each partner presents to us. */
    fromKluchPassword: file('from-kluch-password', password),
    fromKluchSigningKey: file('from-kluch-signing-key', ed25519),
    /** What each partner signs exports of its log with. */
    fromKluchLogExportKey: file('from-kluch-log-export-key', ed25519),
    fromVizorLogExportKey: file('from-vizor-log-export-key', ed25519),
    fromShlagbaumLogExportKey: file('from-shlagbaum-log-export-key', ed25519),
    fromVizorSecret: file('from-vizor-client-secret', password),
  };
}
export type StackSecrets = ReturnType<typeof stackSecrets>;

/** @returns the public half of a PEM private key, PEM */
export const publicPem = (privatePem: string): string =>
  createPublicKey(createPrivateKey(privatePem)).export({ type: 'spki', format: 'pem' }).toString();
