import { createHash, randomBytes, sign, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import {
  component,
  createSignature,
  isSignatureError,
  verifySignature,
  type RequestDescriptor,
  type ResponseDescriptor,
  type SignatureComponent,
  type SignatureErrorCode,
} from 'http-message-sig';
import { parseDictionary } from 'structured-headers';

/**
 * HTTP Message Signatures (RFC 9421) and digests (RFC 9530) as profile `basic-signed` uses them (R0.8, R2.7): one
 * label, one algorithm, a life of a minute, a nonce. Wraps the one library that does the canonicalization.
 */

const LABEL = 'sig1';
const ALGORITHM = 'ed25519';
/** Longest life of a signed message, seconds. */
export const SIGNATURE_LIFE_S = 60;
/** How far two clocks may differ, seconds. */
export const CLOCK_SKEW_S = 5;
const NONCE_FORMAT = /^[\w-]{22,200}$/;

export type SigningKey = { readonly keyId: string; readonly key: KeyObject };
export type KeyResolver = (keyId: string) => KeyObject | null;

/** A message as it is on the wire: the signature covers bytes, not what a parser makes of them. */
export type SignedRequest = {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};
export type SignedResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

/**
 * Why a signature was refused; for the log, never for the caller. `policy`: not of the agreed form, not covering what it
 * must, or not of this minute. `key`: by nobody we know. `invalid`: not over these bytes, or not readable at all.
 */
export type SignatureRefusal = 'missing' | 'digest' | 'policy' | 'nonce' | 'key' | 'invalid';
export type SignatureCheck =
  | { readonly ok: true; readonly nonce: string; readonly keyId: string; readonly expiresAt: Date }
  | { readonly ok: false; readonly refusal: SignatureRefusal };

export const contentDigest = (body: Buffer): string =>
  `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;

/** @returns the headers to add to the request */
export async function signRequest(
  request: SignedRequest,
  { keyId, key }: SigningKey,
  nowMs: number,
): Promise<Record<string, string>> {
  const digest: Record<string, string> =
    request.body.length > 0 ? { 'content-digest': contentDigest(request.body) } : {};
  const created = Math.floor(nowMs / 1_000);
  const signed = await createSignature(requestDescriptor({ ...request, headers: { ...request.headers, ...digest } }), {
    label: LABEL,
    components: requestComponents(request),
    parameters: { created, expires: created + SIGNATURE_LIFE_S, nonce: newNonce(), keyid: keyId, alg: ALGORITHM },
    signer: { algorithm: ALGORITHM, sign: (data) => sign(null, data, key) },
  });
  return { ...digest, 'signature-input': signed.signatureInput, signature: signed.signature };
}

/** Signs an answer and binds it to its request by the request's own signature. @returns the headers to add */
export async function signResponse(
  response: { readonly status: number; readonly contentType: string; readonly body: Buffer },
  request: SignedRequest,
  { keyId, key }: SigningKey,
  nowMs: number,
): Promise<Record<string, string>> {
  const headers = { 'content-type': response.contentType, 'content-digest': contentDigest(response.body) };
  const created = Math.floor(nowMs / 1_000);
  const signed = await createSignature(
    responseDescriptor({ status: response.status, headers, body: response.body }, request),
    {
      label: LABEL,
      components: responseComponents('signature' in request.headers),
      parameters: { created, expires: created + SIGNATURE_LIFE_S, nonce: newNonce(), keyid: keyId, alg: ALGORITHM },
      signer: { algorithm: ALGORITHM, sign: (data) => sign(null, data, key) },
    },
  );
  return {
    'content-digest': headers['content-digest'],
    'signature-input': signed.signatureInput,
    signature: signed.signature,
  };
}

/** Checks digest, signature over every component of the profile, life and form of the nonce. Single use is the caller's. */
export function verifyRequest(request: SignedRequest, keyOf: KeyResolver, nowMs: number): Promise<SignatureCheck> {
  // What a request line names as its target need not be an address (RFC 9112, section 3.2).
  if (!URL.canParse(request.url)) return Promise.resolve(refused('invalid'));
  const required = ['created', 'expires', 'nonce', 'keyid', 'alg'] as const;
  return check(requestDescriptor(request), request, requestComponents(request), required, keyOf, nowMs);
}

/** Checks that an answer is signed, fresh, unchanged, and an answer to this very request. */
export function verifyResponse(
  response: SignedResponse,
  request: SignedRequest,
  keyOf: KeyResolver,
  nowMs: number,
): Promise<SignatureCheck> {
  const required = ['created', 'nonce', 'keyid', 'alg'] as const;
  const components = responseComponents(true);
  return check(responseDescriptor(response, request), response, components, required, keyOf, nowMs);
}

async function check(
  descriptor: RequestDescriptor | ResponseDescriptor,
  { headers, body }: { headers: Readonly<Record<string, string>>; body: Buffer },
  components: SignatureComponent[],
  requiredParameters: readonly ('created' | 'expires' | 'nonce' | 'keyid' | 'alg')[],
  keyOf: KeyResolver,
  nowMs: number,
): Promise<SignatureCheck> {
  if (headers['signature'] === undefined || headers['signature-input'] === undefined) return refused('missing');
  if (!hasOneMember(headers['signature-input']) || !hasOneMember(headers['signature'])) return refused('policy');
  if ((descriptor.kind === 'response' || body.length > 0) && !digestMatches(headers['content-digest'], body)) {
    return refused('digest');
  }
  try {
    const { parameters } = await verifySignature(descriptor, {
      label: LABEL,
      policy: {
        algorithms: [ALGORITHM],
        requiredComponents: components,
        requiredParameters: [...requiredParameters],
        maxAge: SIGNATURE_LIFE_S,
        clockSkew: CLOCK_SKEW_S,
        now: Math.floor(nowMs / 1_000),
      },
      resolveVerifier: ({ parameters: { keyid } }) => {
        const key = keyOf(keyid ?? '');
        // What the key is decides the algorithm, not what the message says of it.
        if (key?.asymmetricKeyType !== 'ed25519') throw new Error('no Ed25519 key of this id');
        return { algorithm: ALGORITHM, verify: (data, signature) => verify(null, data, key, signature) };
      },
    });
    const { created = 0, expires = created + SIGNATURE_LIFE_S, nonce = '', keyid = '' } = parameters;
    if (expires <= created || expires - created > SIGNATURE_LIFE_S) return refused('policy');
    if (!NONCE_FORMAT.test(nonce)) return refused('nonce');
    return { ok: true, nonce, keyId: keyid, expiresAt: new Date((expires + 2 * CLOCK_SKEW_S) * 1_000) };
  } catch (error) {
    return refused(isSignatureError(error) ? (REFUSALS[error.code] ?? 'invalid') : 'invalid');
  }
}

const REFUSALS: Partial<Record<SignatureErrorCode, SignatureRefusal>> = {
  PolicyViolation: 'policy',
  AlgorithmMismatch: 'policy',
  LabelMismatch: 'policy',
  ResolverFailed: 'key',
};

const refused = (refusal: SignatureRefusal): SignatureCheck => ({ ok: false, refusal });

/** A second signature could be one that nobody checks. */
function hasOneMember(dictionary: string): boolean {
  try {
    return parseDictionary(dictionary).size === 1;
  } catch {
    return false;
  }
}

/** @returns whether the digest is of these bytes, compared in constant time */
export function digestMatches(header: string | undefined, body: Buffer): boolean {
  try {
    const member: unknown = parseDictionary(header ?? '').get('sha-256')?.[0];
    if (!(member instanceof ArrayBuffer)) return false;
    const given = Buffer.from(member);
    const expected = createHash('sha256').update(body).digest();
    return given.length === expected.length && timingSafeEqual(given, expected);
  } catch {
    return false;
  }
}

function requestComponents({ url, headers, body }: SignedRequest): SignatureComponent[] {
  return [
    '@method',
    '@path',
    ...(new URL(url).search === '' ? [] : ['@query']),
    '@authority',
    ...(body.length === 0 ? [] : ['content-digest', 'content-type']),
    ...('idempotency-key' in headers ? ['idempotency-key'] : []),
  ];
}

const responseComponents = (bound: boolean): SignatureComponent[] => [
  '@status',
  'content-digest',
  'content-type',
  component('@method', { req: true }),
  component('@path', { req: true }),
  ...(bound ? [component('signature', { req: true, key: LABEL })] : []),
];

const fieldsOf = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers).map(([name, value]) => ({ name, value }));

const requestDescriptor = ({ method, url, headers }: SignedRequest): RequestDescriptor => ({
  kind: 'request',
  method,
  targetUri: url,
  fields: fieldsOf(headers),
});

const responseDescriptor = ({ status, headers }: SignedResponse, request: SignedRequest): ResponseDescriptor => ({
  kind: 'response',
  status,
  fields: fieldsOf(headers),
  request: requestDescriptor(request),
});

const newNonce = (): string => randomBytes(18).toString('base64url');
