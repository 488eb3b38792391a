import { randomBytes, sign, type KeyObject } from 'node:crypto';
import { createSignature } from 'http-message-sig';
import { contentDigest, type SignedRequest } from '../../partners/message-signature';

export type Forgery = {
  readonly key: KeyObject;
  readonly label?: string;
  readonly components?: readonly string[];
  /** Added to the usual ones; `undefined` leaves one out. */
  readonly parameters?: Readonly<Record<string, string | number | undefined>>;
};

/** What `signRequest` would never make: a signature over what a test chooses, with parameters that it chooses. */
export async function forge(request: SignedRequest, { key, label = 'sig1', ...rest }: Forgery): Promise<SignedRequest> {
  const headers: Record<string, string> = { 'content-digest': contentDigest(request.body), ...request.headers };
  const created = Math.floor(Date.now() / 1_000);
  const usual = { created, expires: created + 60, nonce: newNonce(), keyid: 'kluch-1', alg: 'ed25519' };
  const chosen: [string, string | number | undefined][] = Object.entries({ ...usual, ...rest.parameters });
  const signed = await createSignature(
    {
      kind: 'request',
      method: request.method,
      targetUri: request.url,
      fields: Object.entries(headers).map(([name, value]) => ({ name, value })),
    },
    {
      label,
      components: [...(rest.components ?? USUAL_COMPONENTS)],
      parameters: Object.fromEntries(chosen.filter(([, value]) => value !== undefined)),
      signer: { algorithm: 'ed25519', sign: (data) => sign(null, data, key) },
    },
  );
  return { ...request, headers: { ...headers, 'signature-input': signed.signatureInput, signature: signed.signature } };
}

export const USUAL_COMPONENTS = ['@method', '@path', '@authority', 'content-digest', 'content-type'];

export const newNonce = (): string => randomBytes(18).toString('base64url');
