import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { issueClientCertificate } from './client-certificates';
import type { Harness } from './harness';

export type Presented = { readonly cert: string; readonly key: string };
export type Presenting = {
  /** @returns the token endpoint's status */
  token(): Promise<number>;
  call(method: 'GET' | 'POST', path: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }>;
};

/** shlagbaum over connections with this certificate; a token that was given is kept. */
export function presenting(harness: Harness, certificate: Presented): Presenting {
  const connect = { ca: harness.caPem, ...certificate };
  const send = async (method: 'GET' | 'POST', path: string, headers: Record<string, string>, body?: string) => {
    // One connection for each request: what a handshake showed is asked about anew.
    const dispatcher = new Agent({ connect });
    const answer = await request(harness.apiUrl + path, { dispatcher, method, headers, ...(body && { body }) });
    const text = await answer.body.text();
    await dispatcher.close();
    return { status: answer.statusCode, body: JSON.parse(text || '{}') as Record<string, unknown> };
  };
  const askToken = () =>
    send(
      'POST',
      '/oauth/token',
      { 'content-type': 'application/x-www-form-urlencoded' },
      'grant_type=client_credentials&client_id=shlagbaum',
    );
  let token: string | undefined;
  return {
    token: async () => (await askToken()).status,
    async call(method, path, body) {
      token ??= String((await askToken()).body['access_token']);
      const headers = { authorization: `Bearer ${token}`, 'idempotency-key': randomUUID() };
      return send(
        method,
        path,
        body ? { ...headers, 'content-type': 'application/json' } : headers,
        body && JSON.stringify(body),
      );
    },
  };
}

/** What shlagbaum shows us from the beginning. */
export function firstCertificate({ certificates: { shlagbaumClient: paths } }: Harness): Presented {
  return { cert: readFileSync(paths.certificate, 'utf8'), key: readFileSync(paths.key, 'utf8') };
}

/** A certificate that shlagbaum may show us next. @returns it, and how it is announced */
export async function nextCertificate(harness: Harness, days?: number) {
  const dnsNames = ['shlagbaum.partner.example'];
  const made = await issueClientCertificate(harness.certificates.clientCa, { dnsNames, ...(days && { days }) });
  return { ...made, body: { name: 'client-certificate', certificatePem: made.cert } };
}
