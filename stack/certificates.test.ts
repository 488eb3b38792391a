import { createPrivateKey, X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificates, type CertificatePaths, type Certificates } from './certificates';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'domovoy-certificates-'));
let made: Certificates;
beforeAll(async () => {
  made = await ensureCertificates(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (path: string) => new X509Certificate(readFileSync(path));
const isPair = ({ certificate, key }: CertificatePaths) =>
  read(certificate).checkPrivateKey(createPrivateKey(readFileSync(key)));

describe('the certificates of the stack', () => {
  it('are signed by the authority of their own company only', () => {
    const [company, client, partner] = [made.companyCa, made.clientCa, made.partnerCa].map(read);
    if (!company || !client || !partner) throw new Error('an authority is missing');
    for (const paths of [made.api, made.billing]) expect(read(paths.certificate).verify(company.publicKey)).toBe(true);
    for (const paths of [made.kluch, made.vizor, made.shlagbaum, made.ourClient]) {
      expect(read(paths.certificate).verify(partner.publicKey)).toBe(true);
      expect(read(paths.certificate).verify(company.publicKey)).toBe(false);
    }
    expect(read(made.shlagbaumClient.certificate).verify(client.publicKey)).toBe(true);
    expect(read(made.shlagbaumClient.certificate).verify(company.publicKey)).toBe(false);
  });

  it('name the loopback for servers and the company for clients', () => {
    const server = read(made.api.certificate);
    expect(server.checkHost('localhost')).toBe('localhost');
    expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(read(made.ourClient.certificate).subjectAltName).toBe('DNS:domovoy.company.example');
    expect(read(made.ourClient.certificate).subject).toBe('CN=domovoy.company.example');
  });

  it("have one that ran out, of the partners' authority, for trying out what we do with it", async () => {
    const expired = read(made.expiredPartner.certificate);
    expect(expired.verify(read(made.partnerCa).publicKey)).toBe(true);
    expect(isPair(made.expiredPartner)).toBe(true);
    expect(new Date(expired.validTo).getTime()).toBeLessThan(Date.now());
    const again = await ensureCertificates(folder);
    expect(read(again.expiredPartner.certificate).fingerprint256).toBe(expired.fingerprint256);
  });

  it('keep their keys from other users', () => {
    expect(statSync(made.api.key).mode & 0o777).toBe(0o600);
  });

  it('let a client in over mutual TLS, and no client of another authority', async () => {
    const server = createServer(
      {
        cert: readFileSync(made.api.certificate),
        key: readFileSync(made.api.key),
        ca: readFileSync(made.clientCa),
        requestCert: true,
        rejectUnauthorized: false,
      },
      (req, res) => res.end(req.socket instanceof TLSSocket && req.socket.authorized ? 'known' : 'unknown'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      expect(await askAs(made.shlagbaumClient, port)).toBe('known');
      expect(await askAs(made.ourClient, port)).toBe('unknown');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  function askAs({ certificate, key }: CertificatePaths, port: number): Promise<string> {
    const tls = { ca: readFileSync(made.companyCa), cert: readFileSync(certificate), key: readFileSync(key) };
    return new Promise((resolve, reject) =>
      request({ ...tls, host: 'localhost', port, agent: false, family: 4 }, (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (part: string) => (text += part))
          .once('end', () => resolve(text));
      })
        .once('error', reject)
        .end(),
    );
  }

  it('are kept at later starts', async () => {
    const before = readFileSync(made.api.certificate, 'utf8');
    await ensureCertificates(folder);
    expect(readFileSync(made.api.certificate, 'utf8')).toBe(before);
  });

  it('are made anew with less than 30 days left, by the same authority', async () => {
    const [leaf, authority] = [made.api.certificate, made.companyCa].map((path) => readFileSync(path, 'utf8'));
    jest.useFakeTimers({ now: Date.now() + 61 * DAY_MS, doNotFake: ['setImmediate', 'nextTick', 'setTimeout'] });
    try {
      await ensureCertificates(folder);
      expect(new Date(read(made.api.certificate).validTo).getTime() - Date.now()).toBeGreaterThan(80 * DAY_MS);
    } finally {
      jest.useRealTimers();
    }
    expect(readFileSync(made.api.certificate, 'utf8')).not.toBe(leaf);
    expect(readFileSync(made.companyCa, 'utf8')).toBe(authority);
  });

  it('are made anew when a crash left the key of another', async () => {
    copyFileSync(made.billing.key, made.api.key);
    await ensureCertificates(folder);
    expect(isPair(made.api)).toBe(true);
  });

  it('are made anew when the file is damaged', async () => {
    writeFileSync(made.vizor.certificate, 'not a certificate');
    await ensureCertificates(folder);
    expect(isPair(made.vizor)).toBe(true);
  });

  it('follow a new authority', async () => {
    rmSync(made.partnerCa);
    await ensureCertificates(folder);
    expect(read(made.kluch.certificate).verify(read(made.partnerCa).publicKey)).toBe(true);
  });
});
