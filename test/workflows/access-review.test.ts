import { randomUUID } from 'node:crypto';
import { generateKeyPair, SignJWT } from 'jose';
import { Agent, fetch } from 'undici';
import { createStaffBrowser, type StaffBrowser } from '../../stack/story/staff-browser';
import { staffPasswords } from '../../stack/story/staff-chapter';
import { STAFF, STAFF_CLIENT_ID } from '../../stack/town';
import { startCore, type CoreWorker } from '../support/core';
import { createHarness, type Harness } from '../support/harness';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

type Right = { itemId: string; kind: string; holder: string; granted: string; decision: string | null };

const BASE = '/staff/v1/access-reviews';

describe('a review of rights', () => {
  let h: Harness;
  let core: CoreWorker;
  let reviewer: StaffCaller;
  let deputy: StaffCaller;
  const browsers: StaffBrowser[] = [];
  beforeAll(async () => {
    h = await createHarness();
    core = await startCore(h);
    reviewer = await staffMember(h, ['information-security']);
    deputy = await staffMember(h, ['compliance']);
  }, 120_000);
  afterAll(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    await core.stop();
    await h.close();
  });

  async function begin(): Promise<string> {
    const { status, body } = await reviewer.call('post', BASE);
    expect(status).toBe(202);
    const reviewId = String(body['reviewId']);
    await until('the rights are written down', async () => {
      return (await reviewer.call('get', `${BASE}/${reviewId}`)).status === 200;
    });
    return reviewId;
  }
  const rightsOf = async (reviewId: string): Promise<Right[]> =>
    (await deputy.call('get', `${BASE}/${reviewId}`)).body['rights'] as Right[];
  const decide = (by: StaffCaller, reviewId: string, decision: 'confirm' | 'revoke', rights: readonly Right[]) =>
    by.call('post', `${BASE}/${reviewId}/decisions`, {
      body: { decisions: rights.map(({ itemId }) => ({ itemId, decision })) },
    });
  const ofMember = (rights: Right[], { memberId }: StaffCaller): Right[] =>
    rights.filter(({ kind, holder }) => kind === 'member' && holder === memberId);
  const ofClient = (rights: Right[], client: string, scope: string): Right[] =>
    rights.filter(({ kind, holder, granted }) => kind === 'client' && holder === client && granted === scope);
  const report = async (partnerId: string) => {
    const event = { eventId: randomUUID(), at: new Date().toISOString() };
    return (await h.sandbox.callCompany(partnerId, '/partner/v1/webhooks/equipment-changes', event)).status;
  };
  const obligations = async (partnerId: string) =>
    (await h.sandbox.readCompany(partnerId, '/partner/v1/obligations')).status;
  const alerts = async (reviewId: string) =>
    (await h.owner.securityAlert.findMany({ where: { objectId: reviewId } })).map(({ scope }) => scope).toSorted();

  it('takes what is revoked at once, and lets lapse at its end what nobody confirmed', async () => {
    const operator = await staffMember(h, ['operations']);
    const auditor = await staffMember(h, ['auditor']);
    const reads = (who: StaffCaller) => who.call('get', '/staff/v1/security-alerts');
    expect([(await reads(operator)).status, (await reads(auditor)).status]).toEqual([200, 200]);
    expect([await report('vizor'), await obligations('kluch')]).toEqual([202, 200]);

    const reviewId = await begin();
    const rights = await rightsOf(reviewId);
    expect(ofMember(rights, operator)).toHaveLength(1);
    const scopes = (await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: 'vizor' } })).scopes;
    for (const scope of scopes) expect(ofClient(rights, 'vizor', scope)).toHaveLength(1);

    const gone = [...ofMember(rights, operator), ...ofClient(rights, 'vizor', 'webhooks:deliver')];
    expect((await decide(deputy, reviewId, 'revoke', gone)).status).toBe(200);
    expect(await reads(operator)).toMatchObject({ status: 403, body: { type: '/problems/role' } });
    expect(await report('vizor')).not.toBe(202);
    expect((await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: 'vizor' } })).scopes).toHaveLength(
      scopes.length - 1,
    );
    expect((await decide(reviewer, reviewId, 'confirm', gone.slice(0, 1))).status).toBe(409);

    const forgotten = [...ofMember(rights, auditor), ...ofClient(rights, 'kluch', 'obligations')];
    const rest = rights.filter((right) => ![...gone, ...forgotten].includes(right));
    const own = ofMember(rest, reviewer);
    const refused = await decide(reviewer, reviewId, 'confirm', own);
    expect(refused).toMatchObject({ status: 403, body: { type: '/problems/own-right' } });
    expect((await decide(deputy, reviewId, 'confirm', own)).status).toBe(200);
    expect(
      (
        await decide(
          reviewer,
          reviewId,
          'confirm',
          rest.filter((right) => !own.includes(right)),
        )
      ).status,
    ).toBe(200);
    expect((await reads(auditor)).status).toBe(200);
    expect(await alerts(reviewId)).toEqual(['opened']);

    await h.temporal.sleep('15 days');
    await until('somebody is reminded', async () => (await alerts(reviewId)).includes('7-days'));
    expect((await reads(auditor)).status).toBe(200);
    await h.temporal.sleep('7 days');
    await ended(h, `access-review/${reviewId}`);
    expect(await alerts(reviewId)).toEqual(['1-days', '7-days', 'opened']);
    expect(await reads(auditor)).toMatchObject({ status: 403, body: { type: '/problems/role' } });
    expect(await obligations('kluch')).not.toBe(200);
    expect(await report('kluch')).toBe(202);
    expect((await reads(reviewer)).status).toBe(200);
    const after = await rightsOf(reviewId);
    expect(after.filter(({ decision }) => decision === 'lapsed').map(({ itemId }) => itemId)).toEqual(
      after.filter(({ itemId }) => forgotten.some((each) => each.itemId === itemId)).map(({ itemId }) => itemId),
    );
    expect((await decide(deputy, reviewId, 'confirm', forgotten)).status).toBe(409);

    for (const { itemId } of forgotten) {
      expect((await deputy.call('post', `${BASE}/${reviewId}/rights/${itemId}/restoration`)).status).toBe(200);
    }
    expect((await reads(auditor)).status).toBe(200);
    expect(await obligations('kluch')).toBe(200);
    const [confirmed] = rest;
    const restored = await deputy.call('post', `${BASE}/${reviewId}/rights/${confirmed?.itemId ?? ''}/restoration`);
    expect(restored.status).toBe(409);
  });

  it('ends by itself when everything is decided, and nothing lapses', async () => {
    const reviewId = await begin();
    const rights = await rightsOf(reviewId);
    const own = ofMember(rights, reviewer);
    await decide(
      reviewer,
      reviewId,
      'confirm',
      rights.filter((right) => !own.includes(right)),
    );
    await decide(deputy, reviewId, 'confirm', own);
    await ended(h, `access-review/${reviewId}`);
    expect((await rightsOf(reviewId)).every(({ decision }) => decision === 'confirmed')).toBe(true);
    expect(await deputy.call('get', `${BASE}/${reviewId}`)).toMatchObject({ body: { state: 'closed', undecided: 0 } });
  });

  it('gives a client back what a review took from it, and nothing else', async () => {
    await h.owner.$executeRaw`SELECT restore_client_scope('vizor', 'property-sales:report')`;
    const { scopes } = await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: 'vizor' } });
    expect(scopes).not.toContain('property-sales:report');
  });

  describe('is not waited for when the identity provider says that somebody', () => {
    const subjectOf = (username: string): string => STAFF.find((each) => each.username === username)?.subject ?? '';
    const memberOf = (username: string) =>
      h.owner.staffMember.findFirstOrThrow({ where: { subject: subjectOf(username) } });
    async function signedIn(username: string): Promise<StaffBrowser> {
      const { apiUrl, caPem, identityProviderControlUrl } = h;
      const browser = createStaffBrowser({ apiUrl, caPem, identityProviderControlUrl });
      browsers.push(browser);
      const page = await browser.signIn(username, staffPasswords(h.secrets)(username));
      expect([page.status, username]).toEqual([200, username]);
      return browser;
    }
    const atProvider = async (username: string, method: 'PUT' | 'POST', body: object, path = '') => {
      const answer = await fetch(`${h.identityProviderControlUrl}/control/accounts/${username}${path}`, {
        method,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return (await answer.json()) as { token?: string; status?: number | null };
    };
    async function push(token: string, path = '/security-events'): Promise<number> {
      const dispatcher = new Agent({ connect: { ca: h.caPem } });
      const isLogout = path === '/back-channel-logout';
      const answer = await fetch(h.apiUrl + path, {
        method: 'POST',
        headers: { 'content-type': isLogout ? 'application/x-www-form-urlencoded' : 'application/secevent+jwt' },
        body: isLogout ? `logout_token=${token}` : token,
        dispatcher,
      });
      await answer.arrayBuffer();
      await dispatcher.close();
      return answer.status;
    }

    it('has left: every session is over, every role gone, and no sign-in helps', async () => {
      const [first, second] = [await signedIn('operations'), await signedIn('operations')];
      const reviewId = await begin();
      const { token, status } = await atProvider('operations', 'PUT', { disabled: true });
      expect(status).toBe(202);
      for (const browser of [first, second]) expect((await browser.get('/staff/v1/session')).status).toBe(401);
      const member = await memberOf('operations');
      expect(member).toMatchObject({ status: 'disabled', withdrawnRoles: ['operations'] });
      const items = (await rightsOf(reviewId)).filter(({ holder }) => holder === member.id);
      expect(items.map(({ decision }) => decision)).toEqual(['revoked']);

      await atProvider('operations', 'PUT', { disabled: false });
      const again = createStaffBrowser({ ...h });
      browsers.push(again);
      const page = await again.signIn('operations', staffPasswords(h.secrets)('operations'));
      expect([page.status, /<p id="([\w-]+)">/.exec(page.text)?.[1]]).toEqual([403, 'disabled']);

      // Back by hand; the event that comes once more is from before.
      await h.owner.staffMember.update({ where: { id: member.id }, data: { status: 'active', withdrawnRoles: [] } });
      expect(await push(token ?? '')).toBe(202);
      expect(await memberOf('operations')).toMatchObject({ status: 'active', withdrawnRoles: [] });
    });

    it.each([
      ['session-revoked', 202],
      ['logout', 200],
    ])('was signed out (%s): sessions end, roles stay', async (event, expected) => {
      const browser = await signedIn('compliance');
      expect((await atProvider('compliance', 'POST', { event }, '/events')).status).toBe(expected);
      expect((await browser.get('/staff/v1/session')).status).toBe(401);
      expect(await memberOf('compliance')).toMatchObject({ status: 'active', withdrawnRoles: [] });
    });

    it('left, unless it is the provider that says so: a forged, a foreign and a misused token change nothing', async () => {
      const browser = await signedIn('auditor');
      const genuine = await atProvider('auditor', 'POST', { event: 'verification' }, '/events');
      expect(genuine.status).toBe(202);
      const issuer = `https://localhost:${new URL((JSON.parse(Buffer.from(genuine.token?.split('.')[1] ?? '', 'base64url').toString()) as { iss: string }).iss).port}`;
      const { privateKey } = await generateKeyPair('ES256');
      const [header] = (genuine.token ?? '').split('.');
      const { kid } = JSON.parse(Buffer.from(header ?? '', 'base64url').toString()) as { kid: string };
      const forged = await new SignJWT({
        sub_id: { format: 'iss_sub', iss: issuer, sub: subjectOf('auditor') },
        events: { 'https://schemas.openid.net/secevent/risc/event-type/account-disabled': {} },
      })
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'secevent+jwt' })
        .setIssuer(issuer)
        .setAudience(STAFF_CLIENT_ID)
        .setIssuedAt()
        .setJti(randomUUID())
        .sign(privateKey);
      const unsigned = `${Buffer.from('{"alg":"none","typ":"secevent+jwt"}').toString('base64url')}.${forged.split('.')[1] ?? ''}.`;
      const [, payload] = forged.split('.');
      const swapped = [header, payload, (genuine.token ?? '').split('.')[2]].join('.');
      for (const token of [forged, unsigned, swapped, 'a.b.c', 'x'.repeat(20_000)]) expect(await push(token)).toBe(400);
      expect(await push('x'.repeat(40_000))).toBe(413);
      // A genuine token of one kind is none of the other.
      expect(await push(genuine.token ?? '', '/back-channel-logout')).toBe(400);
      expect((await browser.get('/staff/v1/session')).status).toBe(200);
      expect(await memberOf('auditor')).toMatchObject({ status: 'active', withdrawnRoles: [] });
    });
  });
});
