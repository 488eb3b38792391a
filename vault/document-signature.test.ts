import { generateKeyPairSync } from 'node:crypto';
import { documentSigner, signDocument, verifyDocument } from './document-signature';

const signer = () =>
  documentSigner(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const decoded = (part: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;

describe('a signed document', () => {
  const own = signer();
  const document = signDocument(own, 'domovoy-test+json', { answer: 42 });

  test('is verified with nothing but itself, and says whose key it was', () => {
    expect(verifyDocument(document)).toEqual({
      ok: true,
      type: 'domovoy-test+json',
      keyId: own.keyId,
      content: { answer: 42 },
    });
  });

  test('is refused with one changed character in any part', () => {
    for (const part of ['payload', 'protected', 'signature'] as const) {
      const text = document[part];
      for (const at of [0, 5, text.length - 2]) {
        const other = text[at] === 'A' ? 'B' : 'A';
        const changed = { ...document, [part]: text.slice(0, at) + other + text.slice(at + 1) };
        expect(verifyDocument(changed)).toMatchObject({ ok: false });
      }
    }
  });

  test('is refused with padding or another spelling of the same bytes', () => {
    expect(verifyDocument({ ...document, signature: `${document.signature}==` })).toMatchObject({ ok: false });
    const last = document.signature.slice(-1);
    const twin = String.fromCharCode(last.charCodeAt(0) + 1);
    expect(verifyDocument({ ...document, signature: document.signature.slice(0, -1) + twin }).ok).toBe(false);
  });

  test("cannot carry another key under the first key's name", () => {
    const other = signDocument(signer(), 'domovoy-test+json', { answer: 43 });
    const forged = encoded({ ...decoded(other.protected), kid: own.keyId });
    expect(verifyDocument({ ...other, protected: forged })).toEqual({ ok: false, why: 'key' });
  });

  test.each([{ alg: 'none' }, { alg: 'HS256' }, { alg: 'EdDSA', crit: ['b64'] }, { jwk: { kty: 'oct', k: 'AAAA' } }])(
    'is refused with the header %j',
    (change) => {
      const head = encoded({ ...decoded(document.protected), ...change });
      expect(verifyDocument({ ...document, protected: head }).ok).toBe(false);
    },
  );

  test.each([null, 1, 'text', [], {}, { payload: 'e30', protected: 'e30', signature: '' }])(
    '%j is no document',
    (value) => {
      expect(verifyDocument(value).ok).toBe(false);
    },
  );
});
