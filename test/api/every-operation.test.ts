import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { FACE_VECTOR_LENGTH } from '../../contracts/access';
import { createHarness, type Harness } from '../support/harness';
import { until } from '../support/until';
import {
  ALL_OPERATIONS,
  OPERATIONS,
  newKey,
  startCallers,
  type Answered,
  type Ask,
  type Callers,
} from './support-callers';
import type { DescribedOperation } from './support-callers';

const nobody = '00000000-0000-4000-8000-00000000dead';
const at = new Date().toISOString();

const newPublicPem = (): string =>
  generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();

/** A body that each operation would take, about things that do not exist. */
const BODIES: Readonly<Record<string, Record<string, unknown>>> = {
  grantConsent: { partnerId: 'nobody', formId: 'none', formSha256: '0'.repeat(64) },
  renewConsent: { formSha256: '0'.repeat(64) },
  reportDeletion: { eventId: 'e', clientId: nobody, houseId: 'nothing', at },
  openOnDemand: { residentId: nobody },
  startPluginSession: { residentId: nobody, partnerId: 'nobody' },
  registerVehicle: { plate: 'А123ВС77' },
  requestErasure: { requestedBy: 'self', identification: { method: 'passkey', at, reference: nobody } },
  openDoorByFace: { faceVector: Array.from({ length: FACE_VECTOR_LENGTH }, (_, index) => Math.sin(index)) },
  openBarrierByPlate: { plate: 'А123ВС77' },
  relayResidentRequest: { clientId: nobody, deviceId: 'nothing', action: 'open' },
  verifyPluginToken: { token: 'x', clientId: nobody },
  reportEnrollment: { eventId: 'e', clientId: nobody, houseId: 'nothing', state: 'active', at },
  reportKeyOpening: { eventId: 'e', deviceId: 'nothing', keyId: 'k', at },
  reportFobOpening: { eventId: 'e', deviceId: 'nothing', fobId: 'f', at },
  reportEquipmentChange: { eventId: 'e', at },
  announceCredential: { name: 'message-key', keyId: 'k', publicKeyPem: newPublicPem() },
  deliverLogExportPart: { payload: 'e30', protected: 'e30', signature: 'AA' },
};

/** Characters that are too many for an operation; the others take 64 kB. */
const TOO_LARGE: Readonly<Record<string, number>> = { deliverLogExportPart: 600_000 };

const takesJson = ({ bodyTypes }: DescribedOperation): boolean => bodyTypes.includes('application/json');
const takesPhoto = ({ bodyTypes }: DescribedOperation): boolean => bodyTypes.includes('image/jpeg');
const ofPartners = ({ audience }: DescribedOperation): boolean => audience === 'partner';

/** One harness: who is to be refused is refused at every operation, not only at those that somebody thought of. */
describe('every operation of the API', () => {
  let h: Harness;
  let callers: Callers;
  beforeAll(async () => {
    h = await createHarness();
    callers = await startCallers(h);
  }, 120_000);
  afterAll(async () => {
    await callers.close();
    await h.close();
  });

  type Change = {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string | Buffer;
    readonly without?: string;
    readonly params?: string;
  };

  function ask(by: Ask, operation: DescribedOperation, change: Change = {}): Promise<Answered> {
    const { id, method, query } = operation;
    const param = (name: string): string => (name === 'deviceId' ? 'nothing' : nobody);
    const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => change.params ?? param(name));
    const search = query.length > 0 ? `?${query.map((name) => `${name}=${nobody}`).join('&')}` : '';
    const type = operation.bodyTypes[0];
    const headers: Record<string, string> = {
      ...(operation.wantsKey && newKey()),
      ...(type !== undefined && { 'content-type': type }),
      ...change.headers,
    };
    const usual = takesJson(operation) ? JSON.stringify(BODIES[id]) : takesPhoto(operation) ? 'no photo' : undefined;
    const body = change.body ?? usual;
    if (change.without !== undefined) Reflect.deleteProperty(headers, change.without);
    return by({ method: change.method ?? method, path: path + search, headers, ...(body !== undefined && { body }) });
  }

  const own = ({ audience }: DescribedOperation): Ask =>
    audience === 'app' ? callers.app : audience === 'registry' ? callers.registry : callers.vizor;

  /** What each of these operations answered, and that it was the same for all: the difference names the operation. */
  async function allAnswer(
    expected: unknown,
    operations: readonly DescribedOperation[],
    act: (operation: DescribedOperation) => Promise<unknown>,
  ): Promise<void> {
    expect(operations.length).toBeGreaterThan(0);
    const answers: Record<string, unknown> = {};
    for (const operation of operations) answers[operation.id] = await act(operation);
    expect(answers).toEqual(Object.fromEntries(operations.map(({ id }) => [id, expected])));
  }
  const status = async (answer: Promise<Answered>): Promise<number> => (await answer).status;
  const fieldAndStatus = async (answer: Promise<Answered>): Promise<unknown> => {
    const { status: code, body } = await answer;
    return [code, body.errors?.map(({ field }) => field)];
  };

  it('has a sample here, so that none is left out of what follows', () => {
    expect(OPERATIONS.length).toBeGreaterThan(15);
    const bodies = OPERATIONS.filter(takesJson).map(({ id }) => id);
    expect(Object.keys(BODIES).toSorted()).toEqual(bodies.toSorted());
  });

  it('lets its own callers come as far as what they ask for', async () => {
    const seen = [200, 202, 404, 403, 422];
    for (const operation of OPERATIONS) {
      const by = operation.audience === 'app' ? [callers.app] : [callers.vizor, callers.shlagbaum, callers.kluch];
      for (const each of by)
        expect([operation.id, seen.includes(await status(ask(each, operation)))]).toEqual([operation.id, true]);
    }
  });

  describe('refuses', () => {
    it('who brings nothing', () => allAnswer(401, OPERATIONS, (each) => status(ask(callers.nobody, each))));

    it('a token of the other audience, good as it is', () =>
      allAnswer([401, 401], OPERATIONS, async (each) => {
        const others = each.audience === 'app' ? [callers.vizor, callers.shlagbaum] : [callers.app, callers.scopeless];
        return Promise.all(others.map((other) => status(ask(other, each))));
      }));

    it('a token without its scope, and has the refusal in the journal', async () => {
      const requests = new Map<string, string>();
      await allAnswer([403, '/problems/insufficient-scope'], OPERATIONS, async (each) => {
        const scopes = OPERATIONS.filter(ofPartners).map(({ scope }) => scope);
        const scope = [...new Set(scopes)].filter((other) => other !== each.scope).join(' ');
        const narrow = async () =>
          JSON.parse((await callers.token('vizor', h.secrets.fromVizorSecret.value, { scope })).text) as {
            access_token: string;
          };
        const by = each.audience === 'app' ? callers.scopeless : callers.bearing((await narrow()).access_token);
        const requestId = randomUUID();
        requests.set(requestId, each.id);
        const answer = await ask(by, each, { headers: { 'x-request-id': requestId } });
        return [answer.status, answer.body.type];
      });
      const where = { kind: 'exchange', objectId: { in: [...requests.keys()] } };
      await until('all are written', async () => (await h.owner.journalEntry.count({ where })) >= requests.size);
      const written = await h.owner.journalEntry.findMany({ where });
      expect(written.map(({ reason, outcome }) => [reason, outcome]).toSorted()).toEqual(
        [...requests.values()].map((id) => [id, '403']).toSorted(),
      );
    });

    it('a token that was revoked', async () => {
      const answer = await callers.token('vizor', h.secrets.fromVizorSecret.value);
      const { access_token: token } = JSON.parse(answer.text) as { access_token: string };
      await h.owner.oidcPayload.deleteMany({ where: { payload: { path: ['clientId'], equals: 'vizor' } } });
      await allAnswer(401, OPERATIONS.filter(ofPartners), (each) => status(ask(callers.bearing(token), each)));
      const again = await callers.token('vizor', h.secrets.fromVizorSecret.value);
      const { access_token: fresh } = JSON.parse(again.text) as { access_token: string };
      callers = { ...callers, vizor: callers.bearing(fresh) };
    });

    it('a bound token over a connection without its certificate', () =>
      allAnswer(401, OPERATIONS.filter(ofPartners), (each) => status(ask(callers.withoutCertificate, each))));

    it('a password without a signature', () =>
      allAnswer(401, OPERATIONS, (each) => status(ask(callers.unsigned, each))));

    it('a signed message that it has seen before', () =>
      allAnswer([true, 401], OPERATIONS.filter(ofPartners), async (each) => {
        const sent: Parameters<Ask>[0][] = [];
        // What kluch signs, sent once more as it was.
        const answer = await ask(async (asked) => {
          const message = await callers.signedByKluch(asked);
          sent.push(message);
          return callers.nobody(message);
        }, each);
        const [message] = sent;
        return [answer.status !== 401, message && (await status(callers.nobody(message)))];
      }));

    it('another method, also when a header names the right one', () =>
      allAnswer([404, 404, 404, 404], OPERATIONS, async (each) => {
        const methods = ['PUT', 'PATCH', 'DELETE', each.method === 'GET' ? 'POST' : 'GET'];
        // Where both methods of a path exist, the other one is an operation of its own.
        const free = methods.map((method) =>
          OPERATIONS.some((other) => other.path === each.path && other.method === method) ? 'TRACE' : method,
        );
        const headers = { 'x-http-method-override': each.method, 'x-method-override': each.method };
        return Promise.all(free.map((method) => status(ask(own(each), each, { method, headers, body: '' }))));
      }));
  });

  describe('that takes a body refuses', () => {
    it('one of another media type', () =>
      allAnswer(
        [415, ['Content-Type']],
        OPERATIONS.filter(({ bodyTypes }) => bodyTypes.length > 0),
        (each) => fieldAndStatus(ask(own(each), each, { headers: { 'content-type': 'text/xml' }, body: '<a/>' })),
      ));

    it('one that is too large', () =>
      allAnswer(
        [413, true],
        OPERATIONS.filter(({ bodyTypes }) => bodyTypes.length > 0),
        async (each) => {
          const { status: code, body } = await ask(own(each), each, {
            body: takesPhoto(each)
              ? Buffer.alloc(1_100_000)
              : JSON.stringify({ a: 'a'.repeat(TOO_LARGE[each.id] ?? 70_000) }),
          });
          const field = takesPhoto(each) ? 'photo' : 'body';
          return [code, body.errors?.length === 1 && body.errors[0]?.field === field];
        },
      ));

    it('JSON that is broken, a list or a word', () =>
      allAnswer([400, 400, 400], OPERATIONS.filter(takesJson), (each) =>
        Promise.all(['{"a":', '[]', '"a"'].map((body) => status(ask(own(each), each, { body })))),
      ));

    it('a member that nobody agreed on', () =>
      allAnswer([400, ['']], OPERATIONS.filter(takesJson), (each) =>
        fieldAndStatus(ask(own(each), each, { body: JSON.stringify({ ...BODIES[each.id], stranger: 'x' }) })),
      ));

    it('text that cannot be stored: a NUL, half a character', async () => {
      for (const operation of OPERATIONS.filter(takesJson)) {
        const sample = BODIES[operation.id] ?? {};
        for (const member of Object.keys(sample).filter((name) => typeof sample[name] === 'string')) {
          for (const text of ['a\0b', '\ud800']) {
            const body = JSON.stringify({ ...sample, [member]: text });
            const answer = await ask(own(operation), operation, { body });
            const fields = answer.body.errors?.map(({ field }) => field);
            expect([operation.id, answer.status, fields]).toEqual([operation.id, 400, [member]]);
          }
        }
      }
    });

    it('a time that no calendar of ours has', async () => {
      for (const operation of OPERATIONS.filter(({ id }) => BODIES[id]?.['at'] !== undefined)) {
        for (const time of ['0000-01-01T00:00:00Z', '2026-02-30T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01']) {
          const answer = fieldAndStatus(
            ask(own(operation), operation, { body: JSON.stringify({ ...BODIES[operation.id], at: time }) }),
          );
          expect([operation.id, time, await answer]).toEqual([operation.id, time, [400, ['at']]]);
        }
      }
    });
  });

  it('with a parameter in its path refuses what cannot be one', async () => {
    for (const operation of OPERATIONS.filter(({ path }) => path.includes('{'))) {
      for (const params of ['%00', 'a%00b', '%E0%A4%A', 'a'.repeat(5_000), '..%2f..', "'--", '%ED%A0%80']) {
        const { status: code } = await ask(own(operation), operation, { params });
        expect([operation.id, params.slice(0, 9), [400, 404].includes(code)]).toEqual([
          operation.id,
          params.slice(0, 9),
          true,
        ]);
      }
    }
  });

  it('says what it was that names nothing', async () => {
    const missed: string[] = [];
    const ofRegistry = ALL_OPERATIONS.filter(({ audience, path }) => audience === 'registry' && path.includes('{'));
    await allAnswer(true, [...OPERATIONS, ...ofRegistry], async (each) => {
      const { status: code, body } = await ask(own(each), each);
      if (code !== 404) return true;
      missed.push(each.id);
      const params = Array.from(each.path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
      const parts = new Set([...params, ...each.query, ...Object.keys(BODIES[each.id] ?? {})]);
      return body.errors !== undefined && body.errors.length > 0 && body.errors.every(({ field }) => parts.has(field));
    });
    expect(missed.length).toBeGreaterThan(15);
    expect(missed).toEqual(expect.arrayContaining(ofRegistry.map(({ id }) => id)));
  });

  it('refuses a query that it does not have', () =>
    allAnswer([400, 400], OPERATIONS, (each) => {
      const by =
        (search: string): Ask =>
        (asked) =>
          own(each)({ ...asked, path: `${asked.path}${asked.path.includes('?') ? '&' : '?'}${search}` });
      return Promise.all(['debug=1', '__proto__=1'].map((search) => status(ask(by(search), each))));
    }));

  describe('that writes refuses', () => {
    const writing = OPERATIONS.filter(({ wantsKey }) => wantsKey);

    it('a request without an Idempotency-Key', () =>
      allAnswer([400, ['Idempotency-Key']], writing, (each) =>
        fieldAndStatus(ask(own(each), each, { without: 'idempotency-key' })),
      ));

    it.each([
      ['empty', ''],
      ['short', 'a'.repeat(7)],
      ['long', 'a'.repeat(129)],
      ['of two words', 'aaaaaaaa bbbbbbbb'],
    ])('a key that is %s', (_, key) =>
      allAnswer([400, ['Idempotency-Key']], writing, (each) =>
        fieldAndStatus(ask(own(each), each, { headers: { 'idempotency-key': key } })),
      ),
    );
  });

  it('signs what it answers to who signs, refusals too', () =>
    allAnswer([true, true, true, false], OPERATIONS.filter(ofPartners), async (each) => {
      const isSigned = (answer: Answered): boolean => typeof answer.headers['signature'] === 'string';
      return [
        isSigned(await ask(callers.kluch, each)),
        isSigned(await ask(callers.kluch, each, { headers: { 'idempotency-key': 'short', 'x-more': '1' } })),
        isSigned(await ask(callers.kluch, each, { body: each.method === 'GET' ? '' : '{"name":1}' })),
        isSigned(await ask(callers.vizor, each)),
      ];
    }));

  it('holds a partner to the rate of its contract', async () => {
    const where = { id: 'vizor' };
    await h.owner.partner.update({ where, data: { inboundPerSecond: 1 } });
    try {
      for (const operation of OPERATIONS.filter(ofPartners)) {
        const answers = await Promise.all(Array.from({ length: 8 }, () => ask(callers.vizor, operation)));
        const refused = answers.filter(({ status: code }) => code === 429);
        expect([operation.id, refused.length > 0]).toEqual([operation.id, true]);
        for (const { headers } of refused) expect(headers['retry-after']).toBe('1');
      }
    } finally {
      await h.owner.partner.update({ where, data: { inboundPerSecond: 100_000 } });
    }
  });

  it('holds a partner to the number of requests at once, and tells it to come back', async () => {
    const where = { id: 'vizor' };
    await h.owner.partner.update({ where, data: { inboundConcurrency: 0 } });
    try {
      await allAnswer(429, OPERATIONS.filter(ofPartners), (each) => status(ask(callers.vizor, each)));
    } finally {
      await h.owner.partner.update({ where, data: { inboundConcurrency: 1_000 } });
    }
  });

  it.each([
    ['POST', '/oauth/token'],
    ['POST', '/oauth/introspect'],
    ['POST', '/oauth/revoke'],
    ['GET', '/oauth/jwks'],
    ['GET', '/.well-known/oauth-authorization-server/oauth'],
    ['GET', '/.well-known/domovoy-document-keys'],
    ['GET', '/.well-known/domovoy-message-keys'],
    ['GET', '/openapi.json'],
    ['GET', '/docs'],
    ['GET', '/problems/unauthorized'],
    ['GET', '/staff/sign-in'],
    ['POST', '/security-events'],
    ['POST', '/back-channel-logout'],
    ['GET', '/nothing'],
  ])('holds a network to the rate of what anybody may ask: %s %s', async (method, path) => {
    expect((await callers.nobody({ method, path })).headers['ratelimit-policy']).toBe('"network";q=1000;w=1');
  });

  it('does not fail over anything of this', () => {
    expect(h.logLines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });
});
