import { decodeProtectedHeader } from 'jose';
import { createClient } from '../../stack/story/http';
import { APP_CLIENT_ID } from '../../stack/town';
import type { Harness } from './harness';

/** A token that the app's backend is given now. */
export async function newAppToken(h: Harness): Promise<string> {
  const http = createClient(h.caPem);
  const basic = Buffer.from(`${APP_CLIENT_ID}:${h.secrets.appClient.value}`).toString('base64');
  const headers = { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' };
  const options = { method: 'POST', headers, body: 'grant_type=client_credentials' } as const;
  const { body } = await http.send(`${h.apiUrl}/oauth/token`, options);
  await http.close();
  return String(body['access_token']);
}

/** Id of the key that signed it. */
export const signerOf = (token: string): string => decodeProtectedHeader(token).kid ?? '';
