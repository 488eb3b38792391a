import type { KeyObject } from 'node:crypto';
import { isOneOf, secretHash } from '../same-secret';
import type { CredentialChange } from './custody';
import { publicKey } from './signing-key';

/** The company's credentials at one partner, as configured; `id` names one for retiring it. */
export type ConfiguredCredentials = {
  readonly passwords: readonly { readonly id: string; readonly username: string; readonly password: string }[];
  readonly secrets: readonly { readonly id: string; readonly clientId: string; readonly secret: string }[];
  readonly keys: readonly { readonly id: string; readonly keyid: string; readonly publicKey: string }[];
  /** By `x5t#S256`. */
  readonly certificates?: readonly { readonly id: string; readonly clientId: string; readonly thumbprint: string }[];
};

type Known =
  | { readonly type: 'password' | 'secret'; readonly id: string; readonly name: string; readonly hash: Buffer }
  | { readonly type: 'key'; readonly id: string; readonly name: string; readonly key: KeyObject }
  | { readonly type: 'certificate'; readonly id: string; readonly name: string; readonly thumbprint: string };

/** What is accepted now: the configured ones and the changes of the control port, which outlive a restart. */
export function knownCredentials(configured: ConfiguredCredentials, changes: () => readonly CredentialChange[]) {
  const first: readonly Known[] = [
    ...configured.passwords.map(({ id, username, password }) => ({
      type: 'password' as const,
      id,
      name: username,
      hash: credentialHash(username, password),
    })),
    ...configured.secrets.map(({ id, clientId, secret }) => ({
      type: 'secret' as const,
      id,
      name: clientId,
      hash: credentialHash(clientId, secret),
    })),
    ...configured.keys.map(({ id, keyid, publicKey: text }) => ({
      type: 'key' as const,
      id,
      name: keyid,
      key: publicKey(text, `the public key ${keyid}`),
    })),
    ...(configured.certificates ?? []).map(({ id, clientId, thumbprint }) => ({
      type: 'certificate' as const,
      id,
      name: clientId,
      thumbprint,
    })),
  ];

  function accepted(): readonly Known[] {
    const known = new Map(first.map((each) => [each.id, each]));
    for (const change of changes())
      if (change.change === 'retire') known.delete(change.id);
      else known.set(change.id, fromChange(change.id, change.credential));
    return [...known.values()];
  }

  /** Every hash of the kind is compared, so that time does not tell which part was wrong. */
  function matches(type: 'password' | 'secret', name: string, secret: string): boolean {
    const hashes = accepted().flatMap((each) => (each.type === type ? [each.hash] : []));
    return isOneOf(nameAndSecret(name, secret), hashes);
  }

  return {
    /** What stops being accepted when one credential alone is to stay; `undefined`: that one is not accepted itself. */
    othersThan: (keep: string, type: Known['type'], name?: string): readonly string[] | undefined => {
      const alike = accepted().filter((each) => each.type === type && (name ?? each.name) === each.name);
      return alike.some(({ id }) => id === keep) ? alike.map(({ id }) => id).filter((id) => id !== keep) : undefined;
    },
    isFree: (id: string): boolean => accepted().every((each) => each.id !== id),
    list: () => accepted().map(({ id, type, name }) => ({ id, type, name })),
    password: (username: string, password: string) => matches('password', username, password),
    secret: (clientId: string, secret: string) => matches('secret', clientId, secret),
    key: (keyid: string): KeyObject | undefined => {
      const found = accepted().find((each) => each.type === 'key' && each.name === keyid);
      return found?.type === 'key' ? found.key : undefined;
    },
    /** Without one that is configured, every certificate of the authority for the right name will do. */
    certificate: (thumbprint: string): boolean =>
      (configured.certificates ?? []).length === 0 ||
      accepted().some((each) => each.type === 'certificate' && each.thumbprint === thumbprint),
    knowsClient: (clientId: string) => accepted().some((each) => each.type === 'secret' && each.name === clientId),
  };
}
/** What is kept in place of a secret: the hash of the name and the secret together. */
export function credentialHash(name: string, secret: string): Buffer {
  return secretHash(nameAndSecret(name, secret));
}

function nameAndSecret(name: string, secret: string): string {
  return JSON.stringify([name, secret]);
}

export type KnownCredentials = ReturnType<typeof knownCredentials>;

function fromChange(id: string, credential: Extract<CredentialChange, { change: 'add' }>['credential']): Known {
  switch (credential.type) {
    case 'password':
      return { type: 'password', id, name: credential.username, hash: Buffer.from(credential.hash, 'hex') };
    case 'secret':
      return { type: 'secret', id, name: credential.clientId, hash: Buffer.from(credential.hash, 'hex') };
    case 'certificate':
      return { type: 'certificate', id, name: credential.clientId, thumbprint: credential.thumbprint };
    case 'key':
      return {
        type: 'key',
        id,
        name: credential.keyid,
        key: publicKey(credential.publicKey, `the public key ${credential.keyid}`),
      };
  }
}
