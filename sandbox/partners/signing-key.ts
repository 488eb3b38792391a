import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StartFailure } from '../start-failure';

/** An Ed25519 key of the partner's own, made at the first start and found again afterwards. */
export function ownSigningKey(file: string): KeyObject {
  if (existsSync(file)) return privateKey(readFileSync(file, 'utf8'), file);
  const made = generateKeyPairSync('ed25519').privateKey;
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, made.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  chmodSync(file, 0o600);
  return made;
}

/** Reads an Ed25519 private key from PEM or a JWK's JSON. `name` is for the error only. */
export function privateKey(text: string, name: string): KeyObject {
  return ed25519(
    () => (isJson(text) ? createPrivateKey({ key: jwk(text), format: 'jwk' }) : createPrivateKey(text)),
    name,
  );
}

/** Reads an Ed25519 public key from PEM or a JWK's JSON. `name` is for the error only. */
export function publicKey(text: string, name: string): KeyObject {
  return ed25519(
    () => (isJson(text) ? createPublicKey({ key: jwk(text), format: 'jwk' }) : createPublicKey(text)),
    name,
  );
}

function ed25519(read: () => KeyObject, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    throw new StartFailure(`${name} is not a key in PEM or JWK form`);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new StartFailure(`${name} is not an Ed25519 key`);
  return key;
}

function isJson(text: string): boolean {
  return text.trimStart().startsWith('{');
}

function jwk(text: string): JsonWebKey {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new TypeError('not a JWK');
  return { ...value };
}
