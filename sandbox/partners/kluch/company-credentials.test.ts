import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { signedCredentials } from './company-credentials';
import { signAnswer, type SigningKey } from './signatures';

const newKey = (keyid: string): SigningKey => ({ keyid, key: generateKeyPairSync('ed25519').privateKey });
const published = (keys: readonly SigningKey[]): ReadonlyMap<string, KeyObject> =>
  new Map(keys.map(({ keyid, key }) => [keyid, createPublicKey(key)]));

const company = newKey('company-2');
const [own, stranger, retired] = [newKey('kluch-1'), newKey('company-2'), newKey('company-1')];
const kluch = signedCredentials(
  () => ({ username: 'kluch', password: 'p', signing: own }),
  () => new Date(),
  () => Promise.resolve(published([company])),
);

async function sent() {
  const plain = {
    method: 'GET',
    url: 'https://company.example/partner/v1/obligations',
    headers: {},
    body: Buffer.alloc(0),
  };
  return { ...plain, headers: await kluch.headers(plain, { tampering: undefined }) };
}
async function answered(request: Awaited<ReturnType<typeof sent>>, by: SigningKey, status = 200, text = '{}') {
  const answer = { status, contentType: 'application/json', body: Buffer.from(text) };
  const signed = { ...request, headers: Object.entries(request.headers) };
  const proof = await signAnswer(answer, signed, by, new Date(), 'nonce');
  return { status, headers: { 'content-type': answer.contentType, ...proof }, body: answer.body };
}
const isBelieved = async (answer: Awaited<ReturnType<typeof answered>>, to: Awaited<ReturnType<typeof sent>>) =>
  kluch.isOurs?.(answer, to);

describe('kluch believes an answer of the company', () => {
  it('that is signed with a key which the company publishes, and answers this request', async () => {
    const request = await sent();
    const answer = await answered(request, company);
    expect(await isBelieved(answer, request)).toBe(true);
    expect(await isBelieved(answer, await sent())).toBe(false);
  });

  it.each([
    ['by a key that is published no longer', retired],
    ['by another key under the same name', stranger],
  ])('but none that is signed %s', async (_, by) => {
    const request = await sent();
    expect(await isBelieved(await answered(request, by), request)).toBe(false);
    expect(await isBelieved(await answered(request, by, 403), request)).toBe(false);
  });

  it('but none that was changed, and no success that is not signed', async () => {
    const request = await sent();
    const answer = await answered(request, company);
    expect(await isBelieved({ ...answer, body: Buffer.from('[]') }, request)).toBe(false);
    const { 'content-type': type } = answer.headers;
    const unsigned = { ...answer, headers: { 'content-type': type } };
    expect(await isBelieved(unsigned, request)).toBe(false);
    // Who is not let in is told so before it is known who asks.
    expect(await isBelieved({ ...unsigned, status: 401 }, request)).toBe(true);
  });
});
