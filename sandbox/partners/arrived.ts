import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** A credential is nobody's business, not even as a digest. */
const CREDENTIALS = ['authorization', 'cookie'];

type Arrived = { readonly headers: IncomingHttpHeaders; readonly mediaType: string; readonly body: Buffer };

/** Members of the JSON body or form, sorted; `image` for a picture. */
export function fieldNames(arrived: Arrived): string[] {
  const value = parsedBody(arrived);
  if (Buffer.isBuffer(value)) return arrived.mediaType.startsWith('image/') ? ['image'] : [];
  return typeof value === 'object' && value !== null ? Object.keys(value).sort() : [];
}

/** SHA-256 of each value by its place: `body.client_id`, `body.items.0.id`, `header.content-type`. */
export function digestsByPlace(arrived: Arrived): Record<string, string> {
  const headers = Object.entries(arrived.headers)
    .filter(([name]) => !CREDENTIALS.includes(name))
    .map(([name, value]): [string, string] => [`header.${name}`, sha256(String(value))]);
  return Object.fromEntries([...leaves(bodyPlace(arrived), parsedBody(arrived)), ...headers]);
}

const bodyPlace = ({ mediaType }: Arrived): string => (mediaType.startsWith('image/') ? 'body.image' : 'body');

function leaves(place: string, value: unknown): [string, string][] {
  if (value === undefined) return [];
  if (Buffer.isBuffer(value) || typeof value === 'string') return [[place, sha256(value)]];
  if (typeof value !== 'object' || value === null) return [[place, sha256(JSON.stringify(value))]];
  return Object.entries(value).flatMap(([name, member]) => leaves(`${place}.${name}`, member));
}

/** What the body says; the bytes where it is no text that is known, `undefined` where there is none. */
function parsedBody({ mediaType, body }: Arrived): unknown {
  if (body.length === 0) return undefined;
  if (mediaType === 'application/x-www-form-urlencoded') {
    return Object.fromEntries(new URLSearchParams(body.toString('utf8')));
  }
  try {
    return mediaType.startsWith('image/') ? body : (JSON.parse(body.toString('utf8')) as unknown);
  } catch {
    return body;
  }
}

const sha256 = (value: string | Buffer): string => createHash('sha256').update(value).digest('hex');
