import { Agent, fetch } from 'undici';
import { STAFF } from '../../stack/town';
import { staffPasswords } from '../../stack/story/staff-chapter';
import { createStaffBrowser, type StaffBrowser } from '../../stack/story/staff-browser';
import { readPartnerCall } from '../../journal/partner-calls';
import { createHarness, type Harness } from '../support/harness';
import { until } from '../support/until';

describe('staff sign in', () => {
  let h: Harness;
  const browsers: StaffBrowser[] = [];
  beforeAll(async () => {
    h = await createHarness();
  }, 120_000);
  afterAll(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    await h.close();
  });

  function browser(): StaffBrowser {
    const { apiUrl, caPem, identityProviderControlUrl } = h;
    const opened = createStaffBrowser({ apiUrl, caPem, identityProviderControlUrl });
    browsers.push(opened);
    return opened;
  }
  const passwordOf = (username: string): string => staffPasswords(h.secrets)(username);
  const subjectOf = (username: string): string => STAFF.find((person) => person.username === username)?.subject ?? '';
  const memberOf = (username: string) =>
    h.owner.staffMember.findFirstOrThrow({ where: { subject: subjectOf(username) } });
  async function signedIn(username: string): Promise<StaffBrowser> {
    const opened = browser();
    expect(await opened.signIn(username, passwordOf(username))).toMatchObject({ status: 200 });
    return opened;
  }

  it('with password and authenticator app, and have the roles of their claim', async () => {
    const opened = await signedIn('compliance');
    const { status, body } = await opened.get('/staff/v1/session');
    expect(status).toBe(200);
    expect(body).toMatchObject({ roles: ['compliance'], memberId: (await memberOf('compliance')).id });
    expect(opened.cookies()).toContain('__Host-domovoy-staff');
    expect(opened.cookies()).not.toContain('__Host-domovoy-sign-in');
    const session = await h.owner.staffSession.findFirstOrThrow({ where: { memberId: String(body['memberId']) } });
    expect(session).toMatchObject({ acr: 'urn:sandbox:acr:two-factor', amr: ['pwd', 'otp', 'mfa'], endedAt: null });
    expect(session.expiresAt.getTime() - session.authenticatedAt.getTime()).toBe(8 * 3_600_000);
    // What was asked of the provider for it: who it is, the token, and the keys that it signs with.
    const where = { kind: 'partner-call', actor: 'api', outcome: 'ok', reason: { startsWith: 'identity-provider ' } };
    const asked = async () =>
      new Set((await h.owner.journalEntry.findMany({ where })).map((entry) => readPartnerCall(entry)?.operation));
    await until('the requests are written', async () => (await asked()).size >= 3);
    expect(await asked()).toEqual(new Set(['discover', 'token', 'keys']));
  });

  it('are refused without a second factor, are told why, and have no session', async () => {
    const opened = browser();
    const page = await opened.signIn('newcomer', passwordOf('newcomer'));
    expect(page.status).toBe(403);
    expect(page.text).toContain('id="second-factor-missing"');
    expect(opened.cookies()).not.toContain('__Host-domovoy-staff');
    const member = await memberOf('newcomer');
    expect(await h.owner.staffSession.count({ where: { memberId: member.id } })).toBe(0);
    expect(await h.owner.journalEntry.findFirst({ where: { objectId: member.id } })).toMatchObject({
      kind: 'staff-sign-in',
      outcome: 'refused',
      reason: 'second-factor-missing',
    });
  });

  it('are refused with a wrong password, and with a wrong code', async () => {
    const opened = browser();
    expect((await opened.signIn('auditor', 'not the password')).text).toContain('Name or password is not right');
    const wrong = await browser().signIn('auditor', passwordOf('auditor'), { code: '12345x' });
    expect(wrong.text).toContain('The code is not right');
    expect(await h.owner.staffMember.findFirst({ where: { subject: subjectOf('auditor') } })).toBeNull();
  });

  it('get nowhere with an answer of the provider that belongs to another browser, or comes twice', async () => {
    const [own, other] = [browser(), browser()];
    const stopAt = '/staff/callback';
    const { url } = await own.signIn('operations', passwordOf('operations'), { stopAt });
    expect(url).toContain('code=');
    // The other browser has begun a sign-in of its own: forged sign-ins put a victim into the attacker's session.
    await other.signIn('operations', 'not the password', {});
    for (const stranger of [other, browser()]) {
      expect(await stranger.open(url)).toMatchObject({ status: 400, text: expect.stringContaining('not-concluded') });
      expect(stranger.cookies()).not.toContain('__Host-domovoy-staff');
    }
    expect((await own.open(url)).status).toBe(200);
    expect((await own.open(url)).status).toBe(400);
  });

  it('get nowhere with a code that was used, though everything of their sign-in comes with it again', async () => {
    const opened = browser();
    const { url } = await opened.signIn('compliance', passwordOf('compliance'), { stopAt: '/staff/callback' });
    const kept = opened.cookie('__Host-domovoy-sign-in') ?? '';
    expect((await opened.open(url)).status).toBe(200);
    opened.forget();
    opened.keepCookie('__Host-domovoy-sign-in', kept);
    const before = h.logLines.length;
    expect(await opened.open(url)).toMatchObject({ status: 400, text: expect.stringContaining('not-concluded') });
    expect(opened.cookies()).not.toContain('__Host-domovoy-staff');
    // State, nonce and verifier were right: it is the provider that says no.
    const refused = h.logLines.slice(before).find((line) => line.includes('not-concluded')) ?? '{}';
    expect(JSON.parse(refused)).toMatchObject({ error: { name: 'ResponseBodyError' } });
  });

  it('get nowhere with an ID token that was made for another nonce', async () => {
    const opened = browser();
    let changed = 0;
    const onRedirect = (url: URL): void => {
      if (!url.searchParams.has('nonce')) return;
      url.searchParams.set('nonce', 'n'.repeat(43));
      changed++;
    };
    const page = await opened.signIn('operations', passwordOf('operations'), { onRedirect });
    expect(changed).toBe(1);
    expect(page.url).toContain('/staff/callback?');
    expect(page).toMatchObject({ status: 400, text: expect.stringContaining('not-concluded') });
    expect(opened.cookies()).not.toContain('__Host-domovoy-staff');
  });

  it('are not played by who has stolen what we keep of a session, or its cookie once it is over', async () => {
    const opened = await signedIn('compliance');
    const { id: memberId } = await memberOf('compliance');
    const kept = await h.owner.staffSession.findFirstOrThrow({ where: { memberId, endedAt: null } });
    for (const stolen of [kept.tokenSha256, kept.id]) {
      expect(await statusOf('/staff/v1/session', `__Host-domovoy-staff=${stolen}`)).toBe(401);
    }
    const cookie = `__Host-domovoy-staff=${opened.cookie('__Host-domovoy-staff') ?? ''}`;
    expect(await statusOf('/staff/v1/session', cookie)).toBe(200);
    await opened.post('/staff/v1/session/end');
    expect(await statusOf('/staff/v1/session', cookie)).toBe(401);
  });

  it.each([
    ['in another browser', { userAgent: 'another browser' }],
    ['from another network', { localAddress: '127.0.1.1' }],
  ])('are not played by a stolen session %s, which is over with the attempt', async (_, elsewhere) => {
    const opened = await signedIn('compliance');
    const { id: memberId } = await memberOf('compliance');
    const session = await h.owner.staffSession.findFirstOrThrow({
      where: { memberId, endedAt: null },
      orderBy: { createdAt: 'desc' },
    });
    const cookie = `__Host-domovoy-staff=${opened.cookie('__Host-domovoy-staff') ?? ''}`;
    expect(await statusOf('/staff/v1/session', cookie)).toBe(200);
    expect(await statusOf('/staff/v1/session', cookie, elsewhere)).toBe(401);
    expect((await opened.get('/staff/v1/session')).status).toBe(401);
    expect(
      await h.owner.journalEntry.findFirst({ where: { kind: 'staff-session', objectId: session.id } }),
    ).toMatchObject({ outcome: 'ended', reason: 'other-browser', actor: `staff/${memberId}` });
  });

  it.each(['?', '?code=%00', '?state=x&state=y', '?error=access_denied', '?iss=x&code=y', '?stepUp=1'])(
    'get a page and no fault of ours for %s',
    async (query) => {
      const cookie = `__Host-domovoy-sign-in=300.${'a'.repeat(43)}`;
      expect(await statusOf(`/staff/callback${query}`, cookie)).toBe(400);
    },
  );

  it('lose the session at once when they sign out', async () => {
    const opened = await signedIn('security');
    expect(await opened.post('/staff/v1/session/end')).toMatchObject({ status: 200 });
    expect(opened.cookies()).not.toContain('__Host-domovoy-staff');
    expect((await opened.get('/staff/v1/session')).status).toBe(401);
    const { id } = await memberOf('security');
    expect(await h.owner.staffSession.count({ where: { memberId: id, endedAt: null } })).toBe(0);
  });

  it('lose every session at once when they are disabled, do not get them back, and cannot sign in', async () => {
    const opened = [await signedIn('integration'), await signedIn('integration')];
    const { id } = await memberOf('integration');
    await h.owner.staffMember.update({ where: { id }, data: { status: 'disabled' } });
    for (const each of opened) expect((await each.get('/staff/v1/session')).status).toBe(401);
    const page = await browser().signIn('integration', passwordOf('integration'));
    expect(page).toMatchObject({ status: 403, text: expect.stringContaining('id="disabled"') });
    await h.owner.staffMember.update({ where: { id }, data: { status: 'active' } });
    for (const each of opened) expect((await each.get('/staff/v1/session')).status).toBe(401);
  });

  it('lose a role that a review took away at once, whatever the claim says', async () => {
    const opened = await signedIn('security-deputy');
    const { id } = await memberOf('security-deputy');
    expect((await opened.get('/staff/v1/security-alerts')).status).toBe(200);
    await h.owner.staffMember.update({ where: { id }, data: { withdrawnRoles: ['information-security'] } });
    expect((await opened.get('/staff/v1/security-alerts')).status).toBe(403);
    const page = await browser().signIn('security-deputy', passwordOf('security-deputy'));
    expect(page).toMatchObject({ status: 403, text: expect.stringContaining('id="no-role"') });
    await h.owner.staffMember.update({ where: { id }, data: { withdrawnRoles: [] } });
  });

  it('renew the proof of who they are for what wants a fresh one, and the earlier session ends', async () => {
    const opened = await signedIn('operations');
    const { id: memberId } = await memberOf('operations');
    const newest = () => h.owner.staffSession.findFirstOrThrow({ where: { memberId }, orderBy: { createdAt: 'desc' } });
    const earlier = await newest();
    expect((await opened.signIn('operations', passwordOf('operations'), { stepUp: true })).status).toBe(200);
    expect(await newest()).toMatchObject({ id: expect.not.stringMatching(earlier.id), endedAt: null });
    const ended = await h.owner.staffSession.findUniqueOrThrow({ where: { id: earlier.id } });
    expect(ended.endedAt).not.toBeNull();
  });

  it('leave no token, subject or code in the log', async () => {
    const opened = await signedIn('auditor');
    expect((await opened.get('/staff/v1/session')).status).toBe(200);
    const log = h.logLines.join('\n');
    expect(log).toContain('signed-in');
    for (const secret of [subjectOf('auditor'), passwordOf('auditor'), h.secrets.staffClient.value]) {
      expect(log).not.toContain(secret);
    }
  });

  async function statusOf(
    path: string,
    cookie: string,
    { userAgent, localAddress }: { userAgent?: string; localAddress?: string } = {},
  ): Promise<number> {
    const dispatcher = new Agent({ connect: { ca: h.caPem }, ...(localAddress !== undefined && { localAddress }) });
    const headers = { cookie, ...(userAgent !== undefined && { 'user-agent': userAgent }) };
    const answer = await fetch(h.apiUrl + path, { headers, redirect: 'manual', dispatcher });
    await answer.text();
    await dispatcher.close();
    return answer.status;
  }
});
