import { createHash, randomBytes, sign, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import {
  component,
  createSignature,
  isSignatureError,
  verifySignature,
  type RequestDescriptor,
  type SignatureComponent,
  type SignatureErrorCode,
} from 'http-message-sig';
import { parseDictionary } from 'structured-headers';
import { Refusal } from '../answer';

/** The one label and algorithm of this profile, and how long a message may live (sandbox/README.md). */
const LABEL = 'sig1';
const ALGORITHM = 'ed25519';
export const LIFE_S = 60;
export const CLOCK_SKEW_S = 5;
const MIN_NONCE_BYTES = 16;

export type SigningKey = { readonly keyid: string; readonly key: KeyObject };

/** A request as it is on the wire. */
export type SignedRequest = {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
};

/** `Content-Digest` of a body (RFC 9530). */
export function contentDigest(body: Buffer): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

/** Signs a request as `kluch` does; gives the headers to add. */
export async function signRequest(
  request: SignedRequest,
  { keyid, key }: SigningKey,
  now: Date,
): Promise<Record<string, string>> {
  const digest: Record<string, string> =
    request.body.length > 0 ? { 'content-digest': contentDigest(request.body) } : {};
  const descriptor = requestDescriptor({ ...request, headers: [...request.headers, ...Object.entries(digest)] });
  const created = Math.floor(now.getTime() / 1_000);
  const fields = await createSignature(descriptor, {
    label: LABEL,
    components: requiredComponents(request),
    parameters: { created, expires: created + LIFE_S, nonce: newNonce(), keyid, alg: ALGORITHM },
    signer: { algorithm: ALGORITHM, sign: (data) => sign(null, data, key) },
  });
  return { ...digest, 'signature-input': fields.signatureInput, signature: fields.signature };
}

/**
 * Verifies a request: digest, signature over every component of the contract, life, and a nonce that was not used.
 * Gives the nonce, to which the answer is bound. Throws a {@link Refusal}.
 */
export async function verifyRequest(
  request: SignedRequest,
  deps: {
    readonly now: Date;
    readonly keyOf: (keyid: string) => KeyObject | undefined;
    /** `false`: used before. */
    readonly useNonce: (keyid: string, nonce: string, until: Date) => boolean;
  },
): Promise<{ nonce: string }> {
  const names = new Set(request.headers.map(([name]) => name.toLowerCase()));
  if (!names.has('signature') || !names.has('signature-input')) throw unauthorized('signature_missing');
  if (request.body.length > 0 && !hasDigest(request)) throw unauthorized('digest_mismatch');
  const { keyid, nonce, created, expires } = await verifiedParameters(request, deps);
  if (expires <= created || expires - created > LIFE_S) throw unauthorized('signature_policy');
  if (!strongNonce(nonce)) throw unauthorized('nonce_weak');
  if (!deps.useNonce(keyid, nonce, new Date((expires + 2 * CLOCK_SKEW_S) * 1_000)))
    throw unauthorized('nonce_replayed');
  return { nonce };
}

async function verifiedParameters(
  request: SignedRequest,
  deps: { readonly now: Date; readonly keyOf: (keyid: string) => KeyObject | undefined },
) {
  try {
    const { parameters } = await verifySignature(requestDescriptor(request), {
      label: LABEL,
      policy: {
        algorithms: [ALGORITHM],
        requiredComponents: requiredComponents(request),
        requiredParameters: ['created', 'expires', 'nonce', 'keyid', 'alg'],
        maxAge: LIFE_S,
        clockSkew: CLOCK_SKEW_S,
        now: Math.floor(deps.now.getTime() / 1_000),
      },
      resolveVerifier: (candidate) => {
        const key = deps.keyOf(candidate.parameters.keyid ?? '');
        if (key === undefined) throw new Error('unknown key');
        return { algorithm: ALGORITHM, verify: (data, signature) => verify(null, data, key, signature) };
      },
    });
    const { keyid = '', nonce = '', created = 0, expires = 0 } = parameters;
    return { keyid, nonce, created, expires };
  } catch (error) {
    if (isSignatureError(error)) throw unauthorized(CODES[error.code] ?? 'signature_malformed');
    throw unauthorized('signature_malformed');
  }
}

const CODES: Partial<Record<SignatureErrorCode, string>> = {
  PolicyViolation: 'signature_policy',
  AlgorithmMismatch: 'signature_policy',
  VerificationFailed: 'signature_invalid',
  ResolverFailed: 'signature_key',
};

/**
 * Signs an answer. It is bound to its request by the request's own signature, and the request's nonce is echoed as
 * `tag` besides, for those whose library cannot check the former.
 */
export async function signAnswer(
  answer: { readonly status: number; readonly contentType: string; readonly body: Buffer },
  request: SignedRequest,
  { keyid, key }: SigningKey,
  now: Date,
  requestNonce: string | undefined,
): Promise<Record<string, string>> {
  const digest = contentDigest(answer.body);
  const bound: SignatureComponent[] =
    requestNonce === undefined ? [] : [component('signature', { req: true, key: LABEL })];
  const fields = await createSignature(
    {
      kind: 'response',
      status: answer.status,
      fields: [
        { name: 'content-type', value: answer.contentType },
        { name: 'content-digest', value: digest },
      ],
      request: requestDescriptor(request),
    },
    {
      label: LABEL,
      components: [
        '@status',
        'content-digest',
        'content-type',
        component('@method', { req: true }),
        component('@path', { req: true }),
        ...bound,
      ],
      parameters: {
        created: Math.floor(now.getTime() / 1_000),
        keyid,
        nonce: newNonce(),
        alg: ALGORITHM,
        ...(requestNonce === undefined ? {} : { tag: requestNonce }),
      },
      signer: { algorithm: ALGORITHM, sign: (data) => sign(null, data, key) },
    },
  );
  return { 'content-digest': digest, 'signature-input': fields.signatureInput, signature: fields.signature };
}

/** Whether an answer is signed by a key that is known, fresh, whole, and an answer to this request. */
export async function isAnswerTo(
  request: SignedRequest,
  answer: {
    readonly status: number;
    readonly headers: readonly (readonly [name: string, value: string])[];
    readonly body: Buffer;
  },
  keys: ReadonlyMap<string, KeyObject>,
  now: Date,
): Promise<boolean> {
  if (!hasDigest({ headers: answer.headers, body: answer.body })) return false;
  const fields = answer.headers.map(([name, value]) => ({ name, value }));
  try {
    await verifySignature(
      { kind: 'response', status: answer.status, fields, request: requestDescriptor(request) },
      {
        label: LABEL,
        policy: {
          algorithms: [ALGORITHM],
          requiredComponents: [
            '@status',
            'content-digest',
            'content-type',
            component('@method', { req: true }),
            component('@path', { req: true }),
            component('signature', { req: true, key: LABEL }),
          ],
          requiredParameters: ['created', 'nonce', 'keyid', 'alg'],
          maxAge: LIFE_S,
          clockSkew: CLOCK_SKEW_S,
          now: Math.floor(now.getTime() / 1_000),
        },
        resolveVerifier: ({ parameters: { keyid = '' } }) => {
          const key = keys.get(keyid);
          if (key === undefined) throw new Error('unknown key');
          return { algorithm: ALGORITHM, verify: (data, signature) => verify(null, data, key, signature) };
        },
      },
    );
    return true;
  } catch {
    return false;
  }
}

/** What a request's signature has to cover. */
function requiredComponents(request: SignedRequest): SignatureComponent[] {
  const sent = new Set(request.headers.map(([name]) => name.toLowerCase()));
  return [
    '@method',
    '@path',
    ...(new URL(request.url).search === '' ? [] : ['@query']),
    '@authority',
    ...(request.body.length === 0 ? [] : ['content-digest', 'content-type']),
    ...(sent.has('idempotency-key') ? ['idempotency-key'] : []),
  ];
}

function requestDescriptor({ method, url, headers }: SignedRequest): RequestDescriptor {
  return { kind: 'request', method, targetUri: url, fields: headers.map(([name, value]) => ({ name, value })) };
}

function hasDigest({ headers, body }: Pick<SignedRequest, 'headers' | 'body'>): boolean {
  const sent = headers.filter(([name]) => name.toLowerCase() === 'content-digest').map(([, value]) => value);
  try {
    const member: unknown = parseDictionary(sent.join(', ')).get('sha-256')?.[0];
    if (!(member instanceof ArrayBuffer)) return false;
    const expected = createHash('sha256').update(body).digest();
    const given = Buffer.from(member);
    return given.length === expected.length && timingSafeEqual(given, expected);
  } catch {
    return false;
  }
}

function newNonce(): string {
  return randomBytes(MIN_NONCE_BYTES).toString('base64url');
}

function strongNonce(nonce: string): boolean {
  return /^[A-Za-z0-9_-]{22,200}$/.test(nonce) && Buffer.from(nonce, 'base64url').length >= MIN_NONCE_BYTES;
}

function unauthorized(code: string): Refusal {
  return new Refusal(401, code, { headers: { 'www-authenticate': 'Basic realm="kluch", Signature' } });
}
