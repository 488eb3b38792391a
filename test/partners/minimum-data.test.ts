import { createHash } from 'node:crypto';
import { DATA_SET_FIELDS, FIELDS_OF_CALL, type DataSetField, type PartnerCallName } from '../../partners/data-set';
import type { PartnerCall, PartnerGateway } from '../../partners/ports';
import { callsOf, listEquipment, newCall, newValues, type CallCase, type Values } from './calls';
import { failureOf } from './tls-partner';
import { ADAPTERS, startTown, type Adapter, type Arrived, type Town } from './town';

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterEach(() => town.tidy());
afterAll(() => town.stop());

/** What a call looks like on the wire, `{field}` standing for a field of the agreement; the rest is constant. */
type Wire = { readonly target: string; readonly body?: Readonly<Record<string, string>> };
type Wires = Readonly<Partial<Record<PartnerCallName, Wire>>>;

/** By profile, from the partners' own descriptions (sandbox/README.md), not from the adapters. */
const ON_THE_WIRE: Readonly<Record<Adapter['partner']['profile'], Wires>> = {
  'basic-signed': {
    open: {
      target: '/smart-home/v1/commands',
      body: { command_id: '{commandId}', device_id: '{deviceId}', action: 'open', not_after: '{notAfter}' },
    },
    'enroll-face': {
      target: '/smart-home/v1/faces',
      body: { client_id: '{subjectToken}', house_id: '{partnerHouseId}', photo: '{photo}' },
    },
    'face-state': {
      target: '/smart-home/v1/faces/state',
      body: { client_id: '{subjectToken}', house_id: '{partnerHouseId}' },
    },
    'remove-face': {
      target: '/smart-home/v1/faces/deletions',
      body: { client_id: '{subjectToken}', house_id: '{partnerHouseId}' },
    },
    'allow-plate': { target: '/smart-home/v1/plates', body: { plate: '{plate}', house_id: '{partnerHouseId}' } },
    'block-plate': {
      target: '/smart-home/v1/plates/deletions',
      body: { plate: '{plate}', house_id: '{partnerHouseId}' },
    },
    'plate-state': {
      target: '/smart-home/v1/plates/state',
      body: { plate: '{plate}', house_id: '{partnerHouseId}' },
    },
    'list-equipment': { target: '/smart-home/v1/houses/{partnerHouseId}/devices' },
  },
  'oauth-client': {
    open: {
      target: '/api/v1/devices/{deviceId}/open',
      body: { commandId: '{commandId}', notAfter: '{notAfter}' },
    },
    'extract-face': { target: '/api/v1/face-vectors', body: { image: '{photo}' } },
    'list-equipment': { target: '/api/v1/houses/{partnerHouseId}/devices' },
  },
  'mtls-oidc': {
    open: { target: '/v1/doors/{deviceId}/open', body: { requestId: '{commandId}', notAfter: '{notAfter}' } },
    'enroll-face': {
      target: '/v1/houses/{partnerHouseId}/faces',
      body: { userId: '{subjectToken}', photo: '{photo}' },
    },
    'face-state': { target: '/v1/houses/{partnerHouseId}/faces/status', body: { userId: '{subjectToken}' } },
    'remove-face': { target: '/v1/houses/{partnerHouseId}/faces/removal', body: { userId: '{subjectToken}' } },
    'allow-plate': { target: '/v1/houses/{partnerHouseId}/plates', body: { plate: '{plate}' } },
    'block-plate': { target: '/v1/houses/{partnerHouseId}/plates/removal', body: { plate: '{plate}' } },
    'plate-state': { target: '/v1/houses/{partnerHouseId}/plates/status', body: { plate: '{plate}' } },
    'list-equipment': { target: '/v1/houses/{partnerHouseId}/equipment' },
  },
};

/** Headers of every call, and of what proves who calls; none of them is made of what the call is about. */
const TRANSPORT = ['accept', 'accept-encoding', 'authorization', 'connection', 'host'];
const OF_A_BODY = ['content-length', 'content-type'];
const SIGNATURE = ['signature', 'signature-input'];

const sha256 = (value: string | Buffer): string => createHash('sha256').update(value).digest('hex');

const wireOf = ({ partner }: Adapter, { name }: CallCase): Wire => {
  const wire = ON_THE_WIRE[partner.profile][name];
  if (!wire) throw new Error(`Nothing is written down of ${name}.`);
  return wire;
};

const filled = (template: string, values: Values): string =>
  template.replace(/\{(\w+)\}/g, (_all, field: DataSetField) =>
    field === 'photo' ? values.photo.toString('base64') : values[field],
  );

const fieldsIn = ({ target, body = {} }: Wire): string[] =>
  [target, ...Object.values(body)].flatMap((text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, field = '']) => field));

/** Digest of every value that may be in the body, by place; a picture that is the whole body is no text. */
const bodyDigests = ({ body = {} }: Wire, values: Values): Record<string, string> =>
  Object.fromEntries(
    Object.entries(body).map(([name, template]) => [
      `body.${name}`,
      sha256(name === 'image' ? values.photo : filled(template, values)),
    ]),
  );

/** Digest of every header whose value is known beforehand. */
const headerDigests = (adapter: Adapter, { body }: Wire, key: string | undefined): Record<string, string> => {
  const headers = {
    accept: 'application/json',
    'accept-encoding': 'identity',
    connection: 'keep-alive',
    host: town.authority(adapter),
    ...(body && { 'content-type': 'image' in body ? 'image/jpeg' : 'application/json' }),
    ...(key !== undefined && { 'idempotency-key': key }),
  };
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [`header.${name}`, sha256(value)]));
};

const isSigned = ({ partner }: Adapter): boolean => partner.profile === 'basic-signed';

function headerNames(adapter: Adapter, { body }: Wire, { effect }: CallCase): string[] {
  return [
    ...TRANSPORT,
    ...(body ? OF_A_BODY : []),
    ...(effect === null ? [] : ['idempotency-key']),
    ...(isSigned(adapter) ? [...SIGNATURE, ...(body ? ['content-digest'] : [])] : []),
  ].sort();
}

const cases = ADAPTERS.flatMap((adapter) =>
  callsOf(adapter).map((each): [string, Adapter, CallCase] => [`${adapter.name}, ${each.name}`, adapter, each]),
);
const bodiesIn = (digests: Arrived['digests']) =>
  Object.fromEntries(Object.entries(digests).filter(([place]) => place.startsWith('body')));

describe.each(cases)('what leaves towards a partner: %s', (_name, adapter, each) => {
  const wire = wireOf(adapter, each);

  async function arrivedOf(gateway: PartnerGateway, values: Values, call: PartnerCall): Promise<Arrived> {
    expect(await each.make(gateway, values, call)).toEqual(each.answer);
    const arrived = await town.arrivalsAt(adapter, each.endpoint, 1);
    expect(arrived).toHaveLength(1);
    return arrived[0] as Arrived;
  }

  test('the partner is passed exactly the fields that the agreement is asked for', () => {
    expect(fieldsIn(wire).sort()).toEqual([...FIELDS_OF_CALL[each.name]].sort());
  });

  test('address, body and headers that arrive have these fields and no others', async () => {
    const gateway = await town.gateway(adapter, { agreed: () => FIELDS_OF_CALL[each.name] });
    const [values, call] = [newValues(adapter), newCall()];
    const { target, digests, headers } = await arrivedOf(gateway, values, call);
    expect(target).toBe(filled(wire.target, values));
    expect(bodiesIn(digests)).toEqual(bodyDigests(wire, values));
    expect(headers).toEqual(headerNames(adapter, wire, each));
    const key = each.effect === null ? undefined : call.idempotencyKey;
    expect(digests).toMatchObject(headerDigests(adapter, wire, key));
  });

  test('nothing of the call goes to the authorization server', async () => {
    const gateway = await town.gateway(adapter);
    const values = newValues(adapter);
    await arrivedOf(gateway, values, newCall());
    const others = (await town.arrivals(adapter)).filter(({ endpoint }) => endpoint !== each.endpoint);
    expect(others.map(({ endpoint }) => endpoint)).toEqual(adapter.hasTokens ? ['token'] : []);
    const secret = DATA_SET_FIELDS.map((field) => sha256(values[field]));
    for (const { target, fields, digests } of others) {
      expect(target).toMatch(/^\/(?:oauth|oidc)\/token$/);
      expect(['client_id', 'grant_type', 'password', 'scope', 'username']).toEqual(expect.arrayContaining([...fields]));
      expect(Object.values(digests).filter((digest) => secret.includes(digest))).toEqual([]);
    }
  });

  test.each(FIELDS_OF_CALL[each.name].map((field) => [field]))(
    'without agreement on %s nothing arrives, and with it again the call is made',
    async (field) => {
      let agreed: readonly string[] = DATA_SET_FIELDS.filter((known) => known !== field);
      const gateway = await town.gateway(adapter, { agreed: () => agreed });
      const [values, call] = [newValues(adapter), newCall()];
      expect(await failureOf(each.make(gateway, values, call))).toMatchObject({
        type: 'DataNotAgreed',
        message: expect.stringContaining(field) as unknown,
      });
      agreed = DATA_SET_FIELDS;
      // The list has calls in the order of their ends: whatever had left before would be in it first.
      await arrivedOf(gateway, values, call);
      expect(await town.arrivals(adapter)).toHaveLength(adapter.hasTokens ? 2 : 1);
      if (each.effect !== null) {
        expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ attempts: 1 }]);
      }
    },
  );

  test('a field more than the partner has agreed to is no reason to send it', async () => {
    const gateway = await town.gateway(adapter, { agreed: () => [...DATA_SET_FIELDS, 'name', 'phone'] });
    const values = { ...newValues(adapter), name: 'Anna', phone: '+70000000000' };
    const { digests } = await arrivedOf(gateway, values, newCall());
    expect(bodiesIn(digests)).toEqual(bodyDigests(wire, values));
  });
});

test.each(ADAPTERS)('without any agreement nothing is sent at all: $name', async (adapter) => {
  const gateway = await town.gateway(adapter, { agreed: () => [] });
  for (const { make } of callsOf(adapter)) {
    expect(await failureOf(make(gateway, newValues(adapter), newCall()))).toMatchObject({ type: 'DataNotAgreed' });
  }
  const other = await town.gateway(adapter);
  await listEquipment(other, newValues(adapter), newCall());
  await town.arrivalsAt(adapter, 'equipment', 1);
  expect(await town.arrivals(adapter)).toHaveLength(adapter.hasTokens ? 2 : 1);
});
