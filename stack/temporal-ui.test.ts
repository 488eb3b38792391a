import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { freePorts } from '../test/support/free-ports';
import { ensureCertificates } from './certificates';
import { NOT_DECODED, serveTemporalUi } from './temporal-ui';

describe('the Temporal UI of the local stack', () => {
  const codecEndpoint = 'https://localhost:8443/staff/v1/codec';
  const signInUrl = 'https://localhost:8443/staff/login';
  let folder: string;
  let behind: Server;
  let front: Awaited<ReturnType<typeof serveTemporalUi>>;
  let agent: Agent;
  let origin: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'domovoy-ui-'));
    behind = createServer((req, res) => {
      if (req.url?.startsWith('/api/v1/settings'))
        res.end('{"DefaultNamespace":"default","Codec":{"PassAccessToken":false}}');
      else req.pipe(res.writeHead(201, { 'x-path': req.url }));
    });
    await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
    const { temporalUi: certificate, companyCa } = await ensureCertificates(folder);
    const [port = 0] = await freePorts(1);
    origin = `https://localhost:${port.toString()}`;
    front = await serveTemporalUi({
      port,
      plainPort: (behind.address() as AddressInfo).port,
      certificate,
      codecEndpoint,
      signInUrl,
    });
    agent = new Agent({ connect: { ca: readFileSync(companyCa) } });
  });
  afterAll(async () => {
    await front.close();
    await agent.close();
    behind.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('comes over TLS, and so from the site of the API: the browser sends the cookie of the staff session along', async () => {
    // A site is a scheme and a host (RFC 6265bis, section 5.2); `localhost` has no registrable domain above it.
    const siteOf = (url: string): string => `${new URL(url).protocol}//${new URL(url).hostname}`;
    expect(siteOf(origin)).toBe(siteOf(codecEndpoint));
    const answer = await fetch(`${origin}/namespaces/domovoy?a=b`, { method: 'POST', body: 'x', dispatcher: agent });
    expect([answer.status, answer.headers.get('x-path')]).toEqual([201, '/namespaces/domovoy?a=b']);
    expect(await answer.text()).toBe('x');
  });

  // The pages of the UI ask with an empty query, which `fetch` keeps.
  it.each(['', '?'])('asks our codec server for payloads, with that cookie (settings%s)', async (query) => {
    const answer = await fetch(`${origin}/api/v1/settings${query}`, { dispatcher: agent });
    expect(await answer.json()).toEqual({
      DefaultNamespace: 'default',
      Codec: {
        PassAccessToken: false,
        Endpoint: codecEndpoint,
        IncludeCredentials: true,
        // Who has not signed in reads what to do, and not that something does not connect.
        DefaultErrorMessage: NOT_DECODED,
        DefaultErrorLink: signInUrl,
      },
    });
  });

  it('is not there under another name, to which somebody else’s page may lead', async () => {
    const byAddress = new Agent({ connect: { ca: readFileSync(join(folder, 'company-ca.pem')) } });
    const { status } = await fetch(origin.replace('localhost', '127.0.0.1'), { dispatcher: byAddress });
    await byAddress.close();
    expect(status).toBe(421);
  });
});
