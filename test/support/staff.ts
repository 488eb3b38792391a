import { createHash, randomUUID } from 'node:crypto';
import { Agent, fetch } from 'undici';
import { browserOf } from '../../api/staff/session-token';
import type { Harness } from './harness';

export type StaffCaller = {
  readonly memberId: string;
  readonly sessionId: string;
  /** What a browser in that session sends with whatever it asks. */
  readonly headers: Readonly<Record<string, string>>;
  call(
    method: 'get' | 'post',
    path: string,
    request?: {
      /** JSON, or the bytes of a PDF. */
      body?: object | undefined;
      /** CSV, instead of a body of JSON. */
      file?: string;
      csrfToken?: string;
      key?: string;
      origin?: string;
    },
  ): Promise<{ status: number; body: Record<string, unknown>; bytes: Buffer }>;
};

const USER_AGENT = 'a browser of staff';
/** What a session of a test is bound to. */
const browser = { get: () => USER_AGENT, socket: { remoteAddress: '127.0.0.1' } } as never;

/**
 * A member with these roles and a session, written as a sign-in writes them (test/api/staff-sign-in.test.ts goes the
 * whole way), so that a test can have as many as it needs.
 */
export async function staffMember(
  h: Harness,
  roles: readonly string[],
  session: { authenticatedAt?: Date; lastSeenAt?: Date; expiresAt?: Date } = {},
): Promise<StaffCaller> {
  const [memberId, sessionId, token] = [randomUUID(), randomUUID(), randomUUID()];
  await h.owner.staffMember.create({ data: { id: memberId, issuer: 'test', subject: memberId, roles: [...roles] } });
  await h.owner.staffSession.create({
    data: {
      id: sessionId,
      memberId,
      tokenSha256: createHash('sha256').update(token).digest('hex'),
      boundTo: browserOf(Buffer.from(h.secrets.hiddenIdKey.value, 'base64'), token, browser),
      authenticatedAt: new Date(),
      expiresAt: new Date(Date.now() + 3_600_000),
      ...session,
    },
  });
  const dispatcher = new Agent({ connect: { ca: h.caPem } });
  const send = async (
    method: 'get' | 'post',
    path: string,
    headers: Record<string, string>,
    body?: object | string,
  ) => {
    const isPdf = Buffer.isBuffer(body);
    const type = typeof body === 'string' ? 'text/csv' : isPdf ? 'application/pdf' : 'application/json';
    const answer = await fetch(h.apiUrl + path, {
      method: method.toUpperCase(),
      headers: {
        cookie: `__Host-domovoy-staff=${token}`,
        'user-agent': USER_AGENT,
        connection: 'close',
        ...headers,
        ...(body !== undefined && { 'content-type': type }),
      },
      ...(body !== undefined && { body: typeof body === 'string' || isPdf ? body : JSON.stringify(body) }),
      dispatcher,
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    const parsed = (isJson ? JSON.parse(bytes.toString('utf8')) : {}) as Record<string, unknown>;
    return { status: answer.status, body: parsed, bytes };
  };
  const known = await send('get', '/staff/v1/session', {});
  const ownToken = String(known.body['csrfToken']);
  return {
    memberId,
    sessionId,
    headers: { cookie: `__Host-domovoy-staff=${token}`, 'user-agent': USER_AGENT, 'x-csrf-token': ownToken },
    call: (method, path, { body, file, csrfToken = ownToken, key = randomUUID(), origin } = {}) =>
      send(
        method,
        path,
        method === 'get' ? {} : { 'x-csrf-token': csrfToken, 'idempotency-key': key, ...(origin && { origin }) },
        file ?? body,
      ),
  };
}
