import { PartnerError } from './failure';
import { keepGateways, type PartnerRow } from './gateways';
import type { PartnerGateway } from './ports';
import { createAuthority } from '../sandbox/test-support/running-sandbox';

describe('gateways by partner', () => {
  let settings: object;
  beforeAll(async () => {
    const { pem } = await createAuthority('Partner authority');
    settings = {
      profile: 'oauth-client',
      baseUrl: 'https://partner.example',
      apiVersion: 'v1',
      caPem: pem,
      issuer: 'https://partner.example',
      clientId: 'domovoy',
    };
  });

  /** Rows as the test sets them; gateways that only know their number and whether they were closed. */
  function house() {
    const rows = new Map<string, PartnerRow>();
    const built: string[] = [];
    const closed: string[] = [];
    let failNext = false;
    const gateways = keepGateways({
      load: (partnerId) => Promise.resolve(rows.get(partnerId) ?? null),
      build: (partnerId) => {
        const name = `${partnerId}#${built.length.toString()}`;
        built.push(name);
        if (failNext) {
          failNext = false;
          return Promise.reject(new PartnerError('PartnerUnauthorized', 'x'));
        }
        const close = (): Promise<void> => Promise.resolve(void closed.push(name));
        return Promise.resolve({ partnerId: name, close } as unknown as PartnerGateway);
      },
    });
    const put = (partnerId: string, revision: number, more: Partial<PartnerRow> = {}): void => {
      rows.set(partnerId, { active: true, revision, profile: settings, agreedFields: [], ...more });
    };
    return { gateways, put, built, closed, failNext: () => (failNext = true) };
  }

  test('one is built for each partner, however many ask at once', async () => {
    const { gateways, put, built } = house();
    put('a', 1);
    put('b', 1);
    const got = await Promise.all(['a', 'a', 'b', 'a'].map((id) => gateways.get(id)));
    expect(new Set(got).size).toBe(2);
    expect(built).toHaveLength(2);
  });

  test('a changed row builds it anew and closes the old one', async () => {
    const { gateways, put, closed } = house();
    put('a', 1);
    const old = await gateways.get('a');
    put('a', 2);
    expect(await gateways.get('a')).not.toBe(old);
    expect(closed).toEqual(['a#0']);
  });

  test('a row that was read earlier and comes later replaces nothing', async () => {
    const { gateways, put, built } = house();
    put('a', 2);
    const newer = await gateways.get('a');
    put('a', 1);
    expect(await gateways.get('a')).toBe(newer);
    expect(built).toHaveLength(1);
  });

  test('one that could not be built is not remembered', async () => {
    const { gateways, put, failNext } = house();
    put('a', 1);
    failNext();
    await expect(gateways.get('a')).rejects.toMatchObject({ type: 'PartnerUnauthorized' });
    await expect(gateways.get('a')).resolves.toMatchObject({ partnerId: 'a#1' });
  });

  test('a partner that does not exist, and one that is not active, are refused alike, and lose their sockets', async () => {
    const { gateways, put, closed } = house();
    put('a', 1);
    await gateways.get('a');
    put('a', 2, { active: false });
    const refused = gateways.get('a').catch((error: unknown) => error);
    const unknown = gateways.get('nobody').catch((error: unknown) => error);
    expect(await refused).toEqual(await unknown);
    expect(await refused).toMatchObject({ type: 'PartnerRejected' });
    expect(closed).toEqual(['a#0']);
  });

  test('settings that cannot be used are refused without saying what is in them', async () => {
    const { gateways, put, built } = house();
    put('a', 1, { profile: { profile: 'oauth-client', baseUrl: 'http://secret-host.example' } });
    const failure = await gateways.get('a').catch((error: unknown) => error);
    expect(failure).toMatchObject({ type: 'PartnerRejected' });
    expect(String(failure)).not.toContain('secret-host');
    expect(built).toEqual([]);
  });

  test('closing closes all', async () => {
    const { gateways, put, closed } = house();
    put('a', 1);
    put('b', 1);
    await gateways.get('a');
    await gateways.get('b');
    await gateways.close();
    expect(closed.sort()).toEqual(['a#0', 'b#1']);
  });
});
