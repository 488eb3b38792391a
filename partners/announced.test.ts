import { createPublicKey, generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificates } from '../stack/certificates';
import { issueClientCertificate } from '../test/support/client-certificates';
import { certificateRefusal, messageKeysOf, readAuthorities } from './announced';

const dnsName = 'shlagbaum.partner.example';

describe("a partner's next client certificate", () => {
  let folder: string;
  let authority: string;
  let ours: X509Certificate[];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'domovoy-announced-'));
    const { clientCa, companyCa } = await ensureCertificates(folder);
    authority = clientCa;
    ours = readAuthorities(readFileSync(clientCa, 'utf8') + readFileSync(companyCa, 'utf8'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const refusalOf = (pem: string, of: { authorities?: X509Certificate[]; dnsName?: string } = {}) =>
    certificateRefusal(pem, { authorities: ours, dnsName, nowMs: Date.now(), ...of });

  it('is taken when one of our authorities signed it for the registered name and long enough', async () => {
    expect(ours).toHaveLength(2);
    expect(refusalOf((await issueClientCertificate(authority, { dnsNames: [dnsName] })).cert)).toBeNull();
  });

  it.each([
    ['name', { dnsNames: ['kluch.partner.example'] }],
    ['name', { dnsNames: ['kluch.partner.example'], subject: `CN=${dnsName}` }],
    ['name', { dnsNames: ['*.partner.example'] }],
    ['life', { dnsNames: [dnsName], days: 30 }],
    ['usage', { dnsNames: [dnsName], usage: '1.3.6.1.5.5.7.3.1' }],
  ] as const)('is refused for its %s: %j', async (why, wish) => {
    expect(refusalOf((await issueClientCertificate(authority, wish)).cert)).toBe(why);
  });

  it('is refused when another authority signed it, when it is one, and when it is none at all', async () => {
    const { cert, key } = await issueClientCertificate(authority, { dnsNames: [dnsName] });
    expect(refusalOf(cert, { authorities: ours.slice(1) })).toBe('authority');
    expect(refusalOf(readFileSync(authority, 'utf8'))).toBe('unreadable');
    for (const pem of ['', 'x', key, cert + cert, cert + key]) expect(refusalOf(pem)).toBe('unreadable');
  });

  it('is refused where no name is registered', async () => {
    const { cert } = await issueClientCertificate(authority, { dnsNames: [dnsName] });
    expect(refusalOf(cert, { dnsName: '' })).toBe('name');
  });
});

describe("the keys of a partner's messages", () => {
  const pem = (): string => generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const configured = [{ keyId: 'first', publicKeyPem: pem() }];

  it('are those of its settings as long as it has announced none', () => {
    expect([...messageKeysOf(configured, []).keys()]).toEqual(['first']);
  });

  it('are then those that it announced and are not over, and those of its settings no more', () => {
    const row = (keyId: string, state: string) => ({ keyId, state, publicPem: pem() });
    const announced = [row('old', 'retired'), row('before', 'retiring'), row('now', 'active'), row('next', 'pending')];
    const keys = messageKeysOf(configured, announced);
    expect([...keys.keys()]).toEqual(['before', 'now', 'next']);
    expect(keys.get('now')?.equals(createPublicKey(announced[2]?.publicPem ?? ''))).toBe(true);
    expect([...messageKeysOf(configured, announced.slice(0, 1)).keys()]).toEqual([]);
  });
});
