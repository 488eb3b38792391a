import { createHash, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { hiddenWords } from '../../api/hidden-words';
import { SCOPES } from '../../api/oauth/resources';
import { hashSecret } from '../../vault/secret-hash';
import { slowHash } from '../../vault/slow-hash';
import { signRequest, verifyResponse, type SignedRequest } from '../../partners/message-signature';
import type { PartnerProfile } from '../../partners/profile';
import {
  basic,
  newSecret,
  partnerRow,
  publicPem,
  seedClients,
  startAuthorizationApp,
  type Answer,
  type AuthorizationApp,
  type Instance,
} from './support-authorization';
import { until } from '../support/until';
import { forge, newNonce, USUAL_COMPONENTS, type Forgery } from './support-signature';

const PATH = '/partner/v1/echo';
const JSON_TYPE = { 'content-type': 'application/json' };
const SIGNED_HEADERS = ['signature', 'signature-input', 'content-digest'];

const without = (headers: Readonly<Record<string, string>>, left: string): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name !== left));

describe('a partner of profile basic-signed', () => {
  let app: AuthorizationApp;
  let secrets: Awaited<ReturnType<typeof seedClients>>;
  let another: Instance;
  const password = newSecret();
  const key = newKey();
  const otherPartner = { password: newSecret(), key: newKey() };

  beforeAll(async () => {
    app = await startAuthorizationApp();
    another = await app.startAnother();
    secrets = await seedClients(app.owner);
    await addPartner('kluch', password, [key]);
    await addPartner('zamok', otherPartner.password, [otherPartner.key]);
  });
  afterAll(() => app.close());

  function newKey(): KeyObject {
    return generateKeyPairSync('ed25519').privateKey;
  }

  const profileOf = (id: string, keys: readonly KeyObject[]): PartnerProfile => ({
    profile: 'basic-signed',
    baseUrl: 'https://partner.example',
    apiVersion: 'v1',
    caPem: app.certificates.shlagbaum.cert,
    timeoutMs: 3_000,
    maxConnections: 4,
    requestsPerSecond: 10,
    username: 'domovoy',
    keyId: 'domovoy-1',
    partnerKeys: keys.map((each, index) => ({
      keyId: `${id}-${(index + 1).toString()}`,
      publicKeyPem: publicPem(each),
    })),
  });

  async function addPartner(id: string, secret: string, keys: readonly KeyObject[], change: object = {}) {
    await app.owner.partner.create({ data: partnerRow(id, profileOf(id, keys)) });
    const row = { audience: 'partner', partnerId: id, integration: 'smart_home', authMethod: 'basic_signed' };
    const data = { id, ...row, scopes: [...SCOPES.partner], secretHashes: [hashSecret(secret)], ...change };
    await app.owner.oAuthClient.create({ data });
  }

  type Change = { method?: string; path?: string; headers?: Record<string, string>; body?: string; base?: string };

  /** What the partner wants to say, before it is signed. */
  function message({ method = 'POST', path = PATH, headers = {}, body = '{"a":1}', base }: Change = {}): SignedRequest {
    const type: Record<string, string> = body === '' ? {} : JSON_TYPE;
    return {
      method,
      url: (base ?? app.publicUrl) + path,
      headers: { authorization: basic('kluch', password), ...type, ...headers },
      body: Buffer.from(body),
    };
  }

  async function signed(
    change: Change = {},
    by: { keyId: string; key: KeyObject } = { keyId: 'kluch-1', key },
    nowMs = Date.now(),
  ): Promise<SignedRequest> {
    const request = message(change);
    return { ...request, headers: { ...request.headers, ...(await signRequest(request, by, nowMs)) } };
  }

  const forged = (change: Change, forgery: Partial<Forgery>): Promise<SignedRequest> =>
    forge(message(change), { key, ...forgery });

  function send({ method, url, headers, body }: SignedRequest, at?: string, from?: string): Promise<Answer> {
    const { pathname, search } = new URL(url);
    return app.call(pathname + search, {
      method,
      headers,
      ...(body.length > 0 && { body }),
      ...(at !== undefined && { at }),
      ...(from !== undefined && { from }),
    });
  }

  const REFUSAL = {
    type: '/problems/unauthorized',
    status: 401,
    title: 'The credentials are missing or not good for this',
  };
  /** One answer for every cause; the log has the cause as a word. */
  async function refused(code: string, request: SignedRequest | Promise<SignedRequest>, at?: string): Promise<void> {
    const before = app.log().length;
    const { status, headers, text } = await send(await request, at);
    expect([status, text]).toEqual([401, JSON.stringify(REFUSAL)]);
    expect(headers['www-authenticate']).toBe('Basic realm="partner"');
    expect(headers).not.toHaveProperty('signature');
    expect(app.log().slice(before)).toContain(`"code":"${code}"`);
  }

  const isOurs = (request: SignedRequest, { status, headers, text }: Answer, nowMs = Date.now()) =>
    verifyResponse(
      { status, headers, body: Buffer.from(text) },
      request,
      (keyId) => (keyId === app.messageKey.keyId ? app.messageKey.key : null),
      nowMs,
    );

  describe('is let in', () => {
    it('with credential, signature and a new nonce, and gets a signed answer', async () => {
      const request = await signed();
      const answer = await send(request);
      expect([answer.status, answer.body]).toEqual([
        200,
        {
          caller: {
            clientId: 'kluch',
            audience: 'partner',
            partnerId: 'kluch',
            integration: 'smart_home',
            profile: 'basic-signed',
          },
          got: { a: 1 },
        },
      ]);
      expect(await isOurs(request, answer)).toMatchObject({ ok: true, keyId: app.messageKey.keyId });
    });

    it.each<[string, Change]>([
      ['without a body', { method: 'GET', body: '' }],
      ['with a query', { method: 'GET', body: '', path: `${PATH}?since=2026-01-01&order=a%20b` }],
      ['with an idempotency key', { headers: { 'idempotency-key': randomUUID() } }],
      ['with text that is not ASCII', { body: '{"name":"Домовой 🏠"}' }],
      ['with white space that a parser would drop', { body: '{ "a" :\n 1 }' }],
    ])('%s', async (_, change) => {
      const request = await signed(change);
      const answer = await send(request);
      expect(answer.status).toBe(200);
      expect(await isOurs(request, answer)).toMatchObject({ ok: true });
    });

    it('at whichever process, because our address is configured and not what a Host header says', async () => {
      expect((await send(await signed(), another.localUrl)).status).toBe(200);
      const request = await signed();
      expect((await send({ ...request, headers: { ...request.headers, host: 'evil.example' } })).status).toBe(200);
    });

    it('with a clock that is seconds ahead', async () => {
      expect((await send(await signed({}, { keyId: 'kluch-1', key }, Date.now() + 3_000))).status).toBe(200);
    });

    it('by a message that the library here did not make', async () => {
      expect((await send(await forged({}, {}))).status).toBe(200);
    });

    it('with either of two keys and passwords while they change, and with the old ones no more', async () => {
      const [old, fresh] = [newKey(), newKey()];
      const [oldPassword, newPassword] = [newSecret(), newSecret()];
      const hashes = [hashSecret(oldPassword), hashSecret(newPassword)];
      await addPartner('turning', oldPassword, [old, fresh], { secretHashes: hashes });
      const by = (secret: string, each: KeyObject, keyId: string) =>
        signed({ headers: { authorization: basic('turning', secret) } }, { keyId, key: each });
      expect((await send(await by(oldPassword, old, 'turning-1'))).status).toBe(200);
      expect((await send(await by(newPassword, fresh, 'turning-2'))).status).toBe(200);
      await app.owner.oAuthClient.update({ where: { id: 'turning' }, data: { secretHashes: hashes.slice(1) } });
      await refused('credential', by(oldPassword, fresh, 'turning-2'));
      await app.owner.partner.update({ where: { id: 'turning' }, data: { profile: profileOf('turning', [fresh]) } });
      await refused('signature-invalid', by(newPassword, old, 'turning-1'));
      await refused('signature-key', by(newPassword, fresh, 'turning-2'));
      expect((await send(await by(newPassword, fresh, 'turning-1'))).status).toBe(200);
    });
  });

  describe('gets answers that', () => {
    it('belong to its request and to no other', async () => {
      const [request, otherRequest] = [await signed(), await signed()];
      const answer = await send(request);
      expect(await isOurs(otherRequest, answer)).toMatchObject({ ok: false });
    });

    it('nobody changed on the way', async () => {
      const request = await signed();
      const answer = await send(request);
      expect(await isOurs(request, { ...answer, text: `${answer.text} ` })).toMatchObject({ refusal: 'digest' });
      expect(await isOurs(request, { ...answer, status: 201 })).toMatchObject({ refusal: 'invalid' });
    });

    it('go stale', async () => {
      const request = await signed();
      const answer = await send(request);
      expect(await isOurs(request, answer, Date.now() + 120_000)).toMatchObject({ ok: false });
    });

    it('are signed when they say no, too', async () => {
      await addPartner('narrow', password, [key], { scopes: ['webhooks:deliver'] });
      const by = { keyId: 'narrow-1', key };
      const request = await signed({ headers: { authorization: basic('narrow', password) } }, by);
      const answer = await send(request);
      expect([answer.status, answer.body['type']]).toEqual([403, '/problems/insufficient-scope']);
      expect(await isOurs(request, answer)).toMatchObject({ ok: true });
    });
  });

  describe('is refused for its credential', () => {
    const as = (authorization: string) => signed({ headers: { authorization } });

    it('when the password is wrong, empty, another partner’s or its hash', async () => {
      for (const wrong of [newSecret(), '', `${password} `, otherPartner.password, hashSecret(password)]) {
        await refused('credential', as(basic('kluch', wrong)));
      }
    });

    it('when nobody has the name, or can have it', async () => {
      for (const name of ['nobody', 'KLUCH', 'kluch ', 'kluch\0', '\0', 'ключ', 'k'.repeat(3_000)]) {
        await refused('credential', as(basic(name, password)));
      }
    });

    it('when the header is Basic in name only', async () => {
      const bytes = Buffer.from([0xff, 0xfe, 0x3a, 0x61]).toString('base64');
      for (const value of ['Basic ???', 'Basic a', `Basic ${bytes}`, basic('', ''), `Basic ${btoa('kluch')}`]) {
        await refused('credential', as(value));
      }
    });

    it('when the client is switched off', async () => {
      await addPartner('gone', password, [key], { active: false });
      await refused(
        'credential',
        signed({ headers: { authorization: basic('gone', password) } }, { keyId: 'gone-1', key }),
      );
    });

    it('when the client is of another profile, whatever it signs', async () => {
      for (const [name, secret] of [
        ['vizor', secrets.vizor],
        ['app', secrets.app],
        ['shlagbaum', ''],
      ] as const) {
        await refused('credential', as(basic(name, secret)));
        const { headers, ...rest } = message({ headers: { authorization: basic(name, secret) } });
        await refused('credential', { ...rest, headers });
      }
    });

    it('when the client belongs to no partner', async () => {
      await addPartner('orphan', password, [key], { partnerId: null });
      const change = { headers: { authorization: basic('orphan', password) } };
      await refused('credential', signed(change, { keyId: 'orphan-1', key }));
    });

    it('when it has a signature and no credential', async () => {
      const { headers, ...rest } = await signed();
      const answer = await send({ ...rest, headers: without(headers, 'authorization') });
      expect([answer.status, answer.text]).toEqual([401, JSON.stringify(REFUSAL)]);
    });
  });

  describe('is refused for its partner’s row', () => {
    it('when the partner is switched off', async () => {
      await addPartner('asleep', password, [key]);
      const request = () =>
        signed({ headers: { authorization: basic('asleep', password) } }, { keyId: 'asleep-1', key });
      expect((await send(await request())).status).toBe(200);
      await app.owner.partner.update({ where: { id: 'asleep' }, data: { active: false } });
      await refused('signature-key', request());
    });

    it('when its settings are of another profile or cannot be read', async () => {
      await addPartner('odd', password, [key]);
      const request = () => signed({ headers: { authorization: basic('odd', password) } }, { keyId: 'odd-1', key });
      for (const profile of [
        {},
        { profile: 'basic-signed' },
        { ...profileOf('odd', [key]), profile: 'oauth-client' },
      ]) {
        await app.owner.partner.update({ where: { id: 'odd' }, data: { profile } });
        await refused('signature-key', request());
      }
    });

    it('when there is none', async () => {
      await addPartner('ghost', password, [key]);
      await app.owner.partner.delete({ where: { id: 'ghost' } });
      const change = { headers: { authorization: basic('ghost', password) } };
      await refused('signature-key', signed(change, { keyId: 'ghost-1', key }));
    });
  });

  describe('is refused for its signature', () => {
    it('when there is none, or a part of it', async () => {
      await refused('signature-missing', message());
      for (const name of ['signature', 'signature-input']) {
        const { headers, ...rest } = await signed();
        await refused('signature-missing', { ...rest, headers: without(headers, name) });
      }
    });

    it('when it is no signature', async () => {
      const request = await signed();
      const input = request.headers['signature-input'] ?? '';
      for (const [bad, code] of [
        [{ signature: 'sig1=:AAAA:' }, 'signature-invalid'],
        [{ signature: 'sig1=x' }, 'signature-invalid'],
        [{ signature: '???' }, 'signature-policy'],
        [{ signature: `sig1=:${Buffer.alloc(64).toString('base64')}:` }, 'signature-invalid'],
        [{ 'signature-input': '???' }, 'signature-policy'],
        [{ 'signature-input': '' }, 'signature-policy'],
        [{ 'signature-input': input.replace('"@method" ', '') }, 'signature-policy'],
      ] as const) {
        await refused(code, { ...request, headers: { ...request.headers, ...bad } });
      }
    });

    it('when it is by a stranger, by another partner, or under another’s key id', async () => {
      await refused('signature-invalid', signed({}, { keyId: 'kluch-1', key: newKey() }));
      await refused('signature-key', signed({}, { keyId: 'zamok-1', key: otherPartner.key }));
      await refused('signature-invalid', signed({}, { keyId: 'kluch-1', key: otherPartner.key }));
      await refused('signature-key', signed({}, { keyId: 'zamok-1', key }));
      await refused('signature-key', signed({}, { keyId: app.messageKey.keyId, key: app.messageKey.key }));
    });

    it.each<[string, string, Change, Partial<Forgery>]>([
      ['is under another label', 'signature-policy', {}, { label: 'sig2' }],
      ['claims no algorithm', 'signature-policy', {}, { parameters: { alg: undefined } }],
      ['names no key', 'signature-policy', {}, { parameters: { keyid: undefined } }],
      ['has no time of making', 'signature-policy', {}, { parameters: { created: undefined } }],
      ['has no end', 'signature-policy', {}, { parameters: { expires: undefined } }],
      ['has no nonce', 'signature-policy', {}, { parameters: { nonce: undefined } }],
      ['has a short nonce', 'signature-nonce', {}, { parameters: { nonce: 'a'.repeat(21) } }],
      ['has a long nonce', 'signature-nonce', {}, { parameters: { nonce: 'a'.repeat(201) } }],
      ['has a nonce with white space', 'signature-nonce', {}, { parameters: { nonce: `${'a'.repeat(30)} ` } }],
    ])('when it %s', async (_, code, change, forgery) => {
      await refused(code, forged(change, forgery));
    });

    it.each(['@method', '@path', '@authority', 'content-digest', 'content-type'])(
      'when it leaves out %s',
      async (left) => {
        await refused('signature-policy', forged({}, { components: USUAL_COMPONENTS.filter((each) => each !== left) }));
      },
    );

    it('when it claims another algorithm than our key has', async () => {
      const { headers, ...rest } = await signed();
      for (const alg of ['hmac-sha256', 'rsa-pss-sha512', 'none', '']) {
        const input = (headers['signature-input'] ?? '').replace('alg="ed25519"', `alg="${alg}"`);
        await refused('signature-policy', { ...rest, headers: { ...headers, 'signature-input': input } });
      }
    });

    it('when it leaves out the query or the idempotency key', async () => {
      await refused('signature-policy', forged({ path: `${PATH}?a=1` }, {}));
      await refused('signature-policy', forged({ headers: { 'idempotency-key': randomUUID() } }, {}));
    });

    it('when there is a second one', async () => {
      const one = await signed();
      const other = await forged({}, { label: 'sig2' });
      for (const [first, second] of [
        [one, other],
        [other, one],
      ] as const) {
        const both = (name: string) => `${first.headers[name] ?? ''}, ${second.headers[name] ?? ''}`;
        const pair = { signature: both('signature'), 'signature-input': both('signature-input') };
        await refused('signature-policy', { ...one, headers: { ...one.headers, ...pair } });
      }
    });

    it('when its time is over, is still to come, or is too long', async () => {
      const nowS = Math.floor(Date.now() / 1_000);
      const by = { keyId: 'kluch-1', key };
      await refused('signature-policy', signed({}, by, Date.now() - 70_000));
      await refused('signature-policy', signed({}, by, Date.now() + 30_000));
      await refused('signature-policy', forged({}, { parameters: { expires: nowS + 3_600 } }));
      await refused('signature-policy', forged({}, { parameters: { created: nowS - 30, expires: nowS - 20 } }));
      await refused('signature-policy', forged({}, { parameters: { created: nowS - 600, expires: nowS + 30 } }));
    });
  });

  describe('is refused for a message that is not the one it signed', () => {
    it.each<[string, string, (request: SignedRequest) => Partial<SignedRequest>]>([
      ['another body', 'signature-digest', () => ({ body: Buffer.from('{"a":2}') })],
      ['more white space in the body', 'signature-digest', () => ({ body: Buffer.from('{"a": 1}') })],
      ['another method', 'signature-invalid', () => ({ method: 'PUT' })],
      ['a query', 'signature-policy', ({ url }) => ({ url: `${url}?a=1` })],
    ])('%s', async (name, code, change) => {
      const request = await signed();
      const changed = { ...request, ...change(request) };
      if (changed.method === 'PUT') expect((await send(changed)).status).toBe(404);
      else await refused(code, changed);
      expect([name, (await send(request)).status]).toEqual([name, 200]);
    });

    it('no body instead of one', async () => {
      await refused('signature-digest', { ...(await signed()), body: Buffer.alloc(0) });
    });

    it.each<[string, Change, Change]>([
      ['another method', { method: 'GET', body: '' }, { method: 'POST', body: '' }],
      ['another path', { path: '/partner/v1/other' }, {}],
      ['a path in another case', { path: '/partner/v1/ECHO' }, {}],
      ['another query', { path: `${PATH}?a=1` }, { path: `${PATH}?a=2` }],
      ['a query that is gone', { path: `${PATH}?a=1` }, {}],
      ['another server', { base: 'https://elsewhere.example' }, {}],
      ['another port', { base: 'https://localhost:1' }, {}],
      ['another media type', { headers: { 'content-type': 'application/json; charset=utf-8' } }, {}],
      ['another idempotency key', { headers: { 'idempotency-key': 'a' } }, { headers: { 'idempotency-key': 'b' } }],
      ['an idempotency key that is gone', { headers: { 'idempotency-key': 'a' } }, {}],
    ])('%s', async (_, meant, sent) => {
      const { headers } = await signed(meant);
      const proof = Object.fromEntries(Object.entries(headers).filter(([name]) => SIGNED_HEADERS.includes(name)));
      const request = message(sent);
      await refused('signature-invalid', { ...request, headers: { ...request.headers, ...proof } });
    });

    it('an idempotency key that was added', async () => {
      const request = await signed();
      await refused('signature-policy', {
        ...request,
        headers: { ...request.headers, 'idempotency-key': randomUUID() },
      });
    });

    it('a digest that is not of the body, even if it is signed', async () => {
      const other = createHash('sha256').update('{"a":2}').digest('base64');
      const sha512 = createHash('sha512').update('{"a":1}').digest('base64');
      for (const digest of [`sha-256=:${other}:`, `sha-512=:${sha512}:`, 'sha-256=x', '???', 'sha-256=::']) {
        await refused('signature-digest', forged({ headers: { 'content-digest': digest } }, {}));
      }
    });

    it('a body without a digest', async () => {
      const request = message();
      const { headers } = await forged({}, { components: ['@method', '@path', '@authority', 'content-type'] });
      await refused('signature-digest', { ...request, headers: without(headers, 'content-digest') });
    });

    it('a body that is not JSON: nobody reads it, so nobody can believe it', async () => {
      await refused('signature-digest', signed({ headers: { 'content-type': 'text/plain' } }));
      const { headers } = await signed({ body: '' });
      const sent = { ...message(), headers: { ...headers, 'content-type': 'text/plain' }, body: Buffer.from('a=1') };
      expect((await send(sent)).body['got'] ?? {}).toEqual({});
    });
  });

  describe('is refused when it repeats itself', () => {
    it('at the same process and at another one', async () => {
      const request = await signed();
      expect((await send(request)).status).toBe(200);
      await refused('replayed', request);
      await refused('replayed', request, another.localUrl);
    });

    it('with the nonce of one message in another', async () => {
      const nonce = newNonce();
      expect((await send(await forged({}, { parameters: { nonce } }))).status).toBe(200);
      await refused('replayed', forged({ body: '{"a":2}' }, { parameters: { nonce } }));
    });

    it('at all processes at the same moment: one is let in', async () => {
      const request = await signed();
      const at = [...Array<string>(4).fill(app.instance.localUrl), ...Array<string>(4).fill(another.localUrl)];
      const statuses = (await Promise.all(at.map((url) => send(request, url)))).map(({ status }) => status);
      expect(statuses.sort()).toEqual([200, ...Array<number>(7).fill(401)]);
    });

    it('but another partner may use the same nonce', async () => {
      const nonce = newNonce();
      expect((await send(await forged({}, { parameters: { nonce } }))).status).toBe(200);
      const change = { headers: { authorization: basic('zamok', otherPartner.password) } };
      const parameters = { nonce, keyid: 'zamok-1' };
      expect((await send(await forged(change, { key: otherPartner.key, parameters }))).status).toBe(200);
    });

    it('and the nonce is kept for as long as the message could be believed', async () => {
      const nonce = newNonce();
      const expires = Math.floor(Date.now() / 1_000) + 50;
      await send(await forged({}, { parameters: { nonce, expires } }));
      const row = await app.owner.signatureNonce.findUniqueOrThrow({
        where: { partnerId_nonce: { partnerId: 'kluch', nonce } },
      });
      expect(row.expiresAt.getTime()).toBeGreaterThanOrEqual((expires + 5) * 1_000);
    });

    it('but a message that was refused has used up nothing', async () => {
      const request = await signed();
      await refused('signature-digest', { ...request, body: Buffer.from('{"a":2}') });
      expect((await send(request)).status).toBe(200);
    });
  });

  describe('is refused again and again', () => {
    const BORNE = { ofName: 3, ofNetwork: 8 };
    let processes: Instance[] = [];
    beforeAll(async () => {
      processes = await Promise.all([app.startAnother(BORNE), app.startAnother(BORNE)]);
    });
    let asked = 0;
    const ask = async (from: string, request: SignedRequest | Promise<SignedRequest>): Promise<Answer> =>
      send(await request, processes[asked++ % 2]?.localUrl, from);
    const statusesOf = async (times: number, work: () => Promise<Answer>): Promise<number[]> => {
      const statuses = [];
      for (let time = 0; time < times; time++) statuses.push((await work()).status);
      return statuses;
    };

    it('for its password: beyond a number nobody looks at one from there, and it is let in from elsewhere', async () => {
      const secret = newSecret();
      await addPartner('guessed', secret, [key], { secretHashes: [await slowHash(secret)] });
      const from = '127.0.1.1';
      const by = (password: string) =>
        signed({ headers: { authorization: basic('guessed', password) } }, { keyId: 'guessed-1', key });
      expect(await statusesOf(4, () => ask(from, by(newSecret())))).toEqual([401, 401, 401, 429]);
      // Were they looked at, most would find no place to be looked at and be told 503.
      const more = await Promise.all(Array.from({ length: 30 }, () => ask(from, by(newSecret()))));
      expect(new Set(more.map(({ status }) => status))).toEqual(new Set([429]));
      const [answer] = more;
      expect([answer?.body['type'], Number(answer?.headers['retry-after']) > 0]).toEqual([
        '/problems/too-many-requests',
        true,
      ]);
      expect((await ask(from, by(secret))).status).toBe(429);
      expect((await ask('127.0.2.1', by(secret))).status).toBe(200);
      expect((await ask(from, by(secret))).status).toBe(200);
    });

    it('under a name that nobody has it is answered alike', async () => {
      const told = ({ status, text }: Answer) => ({ status, text });
      for (let times = 0; times < BORNE.ofName + 2; times++) {
        const there = await ask('127.0.3.1', signed({ headers: { authorization: basic('zamok', newSecret()) } }));
        const nobody = await ask('127.0.3.1', signed({ headers: { authorization: basic('nobody', newSecret()) } }));
        expect(told(nobody)).toEqual(told(there));
      }
    });

    it('for its signature: beyond a number it is told to come back, and a good one is let in all the same', async () => {
      const network = hiddenWords(app.hiddenIdKey, 'network', '127.0.4');
      const counted = () => app.counted.filter((refusal) => refusal.network === network);
      const bad = () => ask('127.0.4.1', signed({}, { keyId: 'kluch-1', key: newKey() }));
      expect(await statusesOf(5, bad)).toEqual([401, 401, 401, 429, 429]);
      await until('all are counted', () => Promise.resolve(counted().length === 5));
      expect(
        counted()
          .map(({ code }) => code)
          .toSorted(),
      ).toEqual([...Array<string>(3).fill('signature'), ...Array<string>(2).fill('too-many')]);
      expect(new Set(counted().map(({ client }) => client?.id))).toEqual(new Set(['kluch']));
      expect((await ask('127.0.4.1', signed())).status).toBe(200);
    });
  });

  it('must sign: no token is good for it', async () => {
    const answer = await app.call('/oauth/token', {
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic('kluch', password) },
      body: 'grant_type=client_credentials',
    });
    expect([answer.status, answer.body['error']]).toEqual([401, 'invalid_client']);
  });

  it.each<[string, Change, number]>([
    ['a body that is no JSON', { body: '{"a":' }, 400],
    ['a body that is too large', { body: JSON.stringify('a'.repeat(100_000)) }, 413],
    ['an encoding that is none', { headers: { 'content-encoding': 'lzma' } }, 415],
    ['a charset that is none', { headers: { 'content-type': 'application/json; charset=klingon' } }, 415],
  ])('with %s is at fault itself', async (_, change, status) => {
    const answer = await send(await signed(change));
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  it('leaves nothing of credential, signature or nonce in the log, and never makes it an error', async () => {
    const nonce = newNonce();
    const request = await forged({}, { parameters: { nonce } });
    await send(request);
    await send(request);
    const log = app.log();
    const { authorization = '', signature = '' } = request.headers;
    for (const hidden of [password, hashSecret(password), authorization, signature, nonce]) {
      expect(log).not.toContain(hidden);
    }
    expect(log).not.toContain('"level":"error"');
  });
});
