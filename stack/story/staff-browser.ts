import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, fetch, type Response } from 'undici';
import { KEEP_TRYING_MS } from './http';

export type Page = { readonly status: number; readonly url: string; readonly text: string };
type Cookie = { readonly value: string; readonly path: string };

/** Enough for a sign-in there and back; a circle ends here. */
const REDIRECTS = 12;

/**
 * A person at a browser: cookies, redirects, the forms of the identity provider, and the code of an authenticator app,
 * all over real HTTP.
 */
export function createStaffBrowser(options: { apiUrl: string; caPem: string; identityProviderControlUrl: string }) {
  const dispatcher = new Agent({ connect: { ca: options.caPem } });
  /** By name and path; everything is on one host here, and cookies do not know ports (RFC 6265, section 8.5). */
  const jar = new Map<string, Cookie & { readonly name: string }>();
  let csrfToken = '';

  function keep(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';').map((part) => part.trim());
    const name = pair.slice(0, pair.indexOf('='));
    const attribute = (wanted: string): string | undefined =>
      attributes.find((each) => each.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
    const path = attribute('path') ?? '/';
    const expires = attribute('expires');
    const isOver = attribute('max-age') === '0' || (expires !== undefined && Date.parse(expires) <= Date.now());
    if (isOver) jar.delete(`${name} ${path}`);
    else jar.set(`${name} ${path}`, { name, value: pair.slice(pair.indexOf('=') + 1), path });
  }

  async function ask(url: URL, init: { method: string; headers?: Record<string, string>; body?: string | Buffer }) {
    const mine = [...jar.values()].filter(({ path }) => url.pathname.startsWith(path));
    const cookie = mine.map(({ name, value }) => `${name}=${value}`).join('; ');
    const headers = { ...init.headers, ...(cookie !== '' && { cookie }) };
    const answer = await patiently(() => fetch(url, { ...init, headers, redirect: 'manual', dispatcher }));
    for (const each of answer.headers.getSetCookie()) keep(each);
    return answer;
  }

  async function browse(
    start: URL,
    form?: Record<string, string>,
    stopAt?: string,
    onRedirect?: (url: URL) => void,
  ): Promise<Page> {
    let url = start;
    let answer = await ask(url, {
      method: form ? 'POST' : 'GET',
      ...(form && {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(form).toString(),
      }),
    });
    for (let turn = 0; turn < REDIRECTS; turn++) {
      const location = answer.headers.get('location');
      if (location === null) return { status: answer.status, url: url.href, text: await answer.text() };
      await answer.body?.cancel();
      url = new URL(location, url);
      onRedirect?.(url);
      if (url.pathname === stopAt) return { status: answer.status, url: url.href, text: '' };
      answer = await ask(url, { method: 'GET' });
    }
    throw new Error('the sign-in goes round in circles');
  }

  async function codeOf(username: string): Promise<string> {
    const url = `${options.identityProviderControlUrl}/control/accounts/${username}/totp`;
    // Every code of this half minute may be used up: a person would wait for the next one.
    const answer = await patiently(() => fetch(url), [...PASSING, 409]);
    return ((await answer.json()) as { code: string }).code;
  }

  async function send(method: string, path: string, headers: Record<string, string>, body?: object) {
    const isFile = Buffer.isBuffer(body);
    const answer = await ask(new URL(path, options.apiUrl), {
      method,
      headers: { ...headers, ...(body && { 'content-type': isFile ? 'application/pdf' : 'application/json' }) },
      ...(body && { body: isFile ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
  }

  return {
    /**
     * Goes to the sign-in, fills in name and password, and the code where one is asked for.
     *
     * @param signIn.onRedirect may change where it is sent on the way to the provider
     * @param signIn.stopAt path of a redirect that is not followed any more
     * @returns the page that it ended on
     */
    async signIn(
      username: string,
      password: string,
      signIn: { stepUp?: true; code?: string; stopAt?: string; onRedirect?: (url: URL) => void } = {},
    ): Promise<Page> {
      const login = new URL(`/staff/login${signIn.stepUp ? '?stepUp=true' : ''}`, options.apiUrl);
      let page = await browse(login, undefined, undefined, signIn.onRedirect);
      if (page.text.includes('name="password"'))
        page = await browse(new URL(page.url), { username, password }, signIn.stopAt);
      if (page.text.includes('name="code"')) {
        page = await browse(new URL(page.url), { code: signIn.code ?? (await codeOf(username)) }, signIn.stopAt);
      }
      if (page.status === 200 && page.url.startsWith(options.apiUrl)) {
        ({ csrfToken } = JSON.parse(page.text) as { csrfToken: string });
      }
      return page;
    },
    /** Opens an address as if it had been typed in or clicked, or sends a form there. */
    open: (url: string, form?: Record<string, string>, stopAt?: string) =>
      browse(new URL(url, options.apiUrl), form, stopAt),
    get: (path: string) => send('GET', path, {}),
    post: (path: string, body?: object, headers: Record<string, string> = {}) =>
      send('POST', path, { 'idempotency-key': randomUUID(), 'x-csrf-token': csrfToken, ...headers }, body),
    /** Hands in a PDF. */
    upload: (path: string, pdf: Buffer) =>
      send('POST', path, { 'idempotency-key': randomUUID(), 'x-csrf-token': csrfToken }, pdf),
    cookies: (): readonly string[] => [...jar.values()].map(({ name }) => name),
    /** The value of one that it keeps: for who steals it. */
    cookie: (wanted: string): string | undefined => [...jar.values()].find(({ name }) => name === wanted)?.value,
    /** Has one again that it was told to forget. */
    keepCookie(name: string, value: string): void {
      keep(`${name}=${value}; Path=/`);
    },
    /** As if it had been closed: what it knew is gone. */
    forget(): void {
      jar.clear();
      csrfToken = '';
    },
    close: () => dispatcher.close(),
  };
}
/** A process that was ended comes back, and answers so until it has. */
const PASSING = [500, 503];

async function patiently(ask: () => Promise<Response>, passing = PASSING): Promise<Response> {
  const untilMs = Date.now() + KEEP_TRYING_MS;
  for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 2_000)) {
    const answer = await ask().catch(() => null);
    if (answer !== null && !passing.includes(answer.status)) return answer;
    await answer?.body?.cancel();
    if (Date.now() + waitMs > untilMs) throw new Error('no usable answer');
    await pause(waitMs);
  }
}
export type StaffBrowser = ReturnType<typeof createStaffBrowser>;
