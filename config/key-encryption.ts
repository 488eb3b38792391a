import { readFileSync } from 'node:fs';
import type { NoteCall } from '../contracts/partner-calls';
import { localKeyEncryption, type KeyEncryption } from '../vault/key-encryption';
import { transitKeyEncryption } from '../vault/transit-key-encryption';
import type { ApiSecrets, ApiSettings } from './environment';

type Settings = Pick<
  ApiSettings,
  | 'KEY_ENCRYPTION'
  | 'TRANSIT_URL'
  | 'TRANSIT_MOUNT'
  | 'TRANSIT_KEY'
  | 'TRANSIT_CA_FILE'
  | 'TRANSIT_TOKEN_FILE'
  | 'TRANSIT_TIMEOUT_MS'
>;

/**
 * What wraps data keys, as configured.
 *
 * @param note told of each request to a key management service; left out by commands, which write no journal
 * @throws an Error that names the settings at fault and shows no value
 */
export function createKeyEncryption(
  settings: Settings,
  { KEY_ENCRYPTION_KEYS: ring }: Pick<ApiSecrets, 'KEY_ENCRYPTION_KEYS'>,
  note?: NoteCall,
): KeyEncryption {
  if (settings.KEY_ENCRYPTION === 'local') {
    if (!ring) throw new Error('KEY_ENCRYPTION=local wants KEY_ENCRYPTION_KEYS.');
    return localKeyEncryption(ring.keys, ring.currentId);
  }
  const { TRANSIT_URL: url, TRANSIT_CA_FILE: caFile, TRANSIT_TOKEN_FILE: tokenFile } = settings;
  if (url === undefined || caFile === undefined || tokenFile === undefined) {
    throw new Error('KEY_ENCRYPTION=transit wants TRANSIT_URL, TRANSIT_CA_FILE and TRANSIT_TOKEN_FILE.');
  }
  return transitKeyEncryption({
    url,
    mount: settings.TRANSIT_MOUNT,
    keyName: settings.TRANSIT_KEY,
    caPem: readFileSync(caFile, 'utf8'),
    tokenFile,
    timeoutMs: settings.TRANSIT_TIMEOUT_MS,
    ...(note && { note }),
  });
}
