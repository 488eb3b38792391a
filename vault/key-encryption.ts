import { KEY_BYTES, open, seal, SealBroken } from './envelope';

export type WrappedKey = { readonly wrapped: Uint8Array<ArrayBuffer>; readonly keyId: string };

/**
 * Wraps data keys with a key-encryption key that stays where it is kept: a file in development, a key management
 * service in production (R0.13). Asynchronous because production asks over the network.
 */
export interface KeyEncryption {
  wrap(key: Buffer, place: string): Promise<WrappedKey>;
  /** @throws SealBroken when the key id is unknown or the wrapping does not open */
  unwrap(wrapped: WrappedKey, place: string): Promise<Buffer>;
  /** The same data key under the key that wraps now. @throws as `unwrap` */
  rewrap(wrapped: WrappedKey, place: string): Promise<WrappedKey>;
  /** Id of the key that wraps now; what lies under another one is to be wrapped anew (vault/rewrap.ts). */
  currentKeyId(): Promise<string>;
}

/**
 * Key encryption with keys held in memory, as read from a secret file.
 *
 * @param keys by id; new wrappings use `currentId`, older ones stay readable as long as their key is listed
 */
export function localKeyEncryption(keys: ReadonlyMap<string, Buffer>, currentId: string): KeyEncryption {
  const current = keys.get(currentId);
  if (current?.length !== KEY_BYTES) throw new Error('The current key-encryption key is missing or not of 32 bytes.');
  const wrap = (key: Buffer, place: string): Promise<WrappedKey> =>
    Promise.resolve({ wrapped: seal(current, key, `wrap/${place}`), keyId: currentId });
  const unwrap = ({ wrapped, keyId }: WrappedKey, place: string): Promise<Buffer> => {
    const key = keys.get(keyId);
    if (!key) return Promise.reject(new SealBroken());
    return Promise.resolve().then(() => open(key, wrapped, `wrap/${place}`));
  };
  return {
    wrap,
    unwrap,
    rewrap: async (wrapped, place) => wrap(await unwrap(wrapped, place), place),
    currentKeyId: () => Promise.resolve(currentId),
  };
}
