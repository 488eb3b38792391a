import { createHash, randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { Agent, fetch } from 'undici';
import { totpCode, timeStep } from '../../sandbox/identity-provider/totp';
import { createStaffBrowser, type StaffBrowser } from '../../stack/story/staff-browser';
import { createHarness, type Harness } from '../support/harness';
import { startKeycloak, type Keycloak } from '../support/keycloak';
import { until } from '../support/until';

type Page = Awaited<ReturnType<StaffBrowser['open']>>;

const CALLBACK = '/staff/callback';
const SESSION_COOKIE = '__Host-domovoy-staff';

/**
 * The realm, its start script and the environment of docker-compose.yml with a real Keycloak, against our API. It takes
 * minutes, and is no part of `npm test` (docs/adr/0092): `npm run check:keycloak`.
 */
describe('the Keycloak of docker compose', () => {
  let h: Harness;
  let keycloak: Keycloak;
  const browsers: StaffBrowser[] = [];
  beforeAll(async () => {
    h = await createHarness({
      identityProvider: async (own) => (keycloak = await startKeycloak(process.env['DOMOVOY_KEYCLOAK'] ?? '', own)),
    });
  }, 300_000);
  afterAll(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    await h.close();
  });

  function openBrowser(): StaffBrowser {
    const opened = createStaffBrowser({ ...h });
    browsers.push(opened);
    return opened;
  }

  /** As an administrator makes them: a group, and a first password that is to be replaced. */
  async function hire(username: string, group: keyof typeof GROUPS): Promise<Person> {
    groups[group] ??= (await keycloak.operate('POST', '/groups', { name: GROUPS[group] })).id;
    const first = randomBytes(12).toString('hex');
    const { id } = await keycloak.operate('POST', '/users', {
      username,
      enabled: true,
      ...{ email: `${username}@company.example`, firstName: 'Vera', lastName: 'Smirnova' },
      groups: [GROUPS[group]],
      credentials: [{ type: 'password', value: first, temporary: true }],
    });
    if (id === null) throw new Error('Keycloak made nobody');
    return { id, username, password: first, app: null, usedSteps: [] };
  }
  const groups: Partial<Record<keyof typeof GROUPS, string | null>> = {};

  /** Who has signed in once, and so has an authenticator app. */
  async function equipped(username: string, group: keyof typeof GROUPS): Promise<Person> {
    const person = await hire(username, group);
    await signIn(openBrowser(), person);
    expect(person.app).not.toBeNull();
    return person;
  }
  const memberOf = ({ id }: Person) => h.owner.staffMember.findFirstOrThrow({ where: { subject: id } });
  const newestSession = async (person: Person) =>
    h.owner.staffSession.findFirstOrThrow({
      where: { memberId: (await memberOf(person)).id },
      orderBy: { createdAt: 'desc' },
    });

  it('has who is new replace the password and set up an authenticator app, and that sign-in is refused', async () => {
    const person = await hire('newcomer', 'operations');
    const opened = openBrowser();
    const asked: string[] = [];
    const page = await signIn(opened, person, { asked });
    expect(asked).toEqual(['kc-form-login', 'kc-totp-settings-form', 'kc-passwd-update-form']);
    expect(page).toMatchObject({ status: 403, text: expect.stringContaining('id="second-factor-missing"') });
    expect(opened.cookies()).not.toContain(SESSION_COOKIE);
  });

  it('lets staff in with password and code, and says so in the words that the API wants', async () => {
    const person = await equipped('operations', 'operations');
    const opened = openBrowser();
    const asked: string[] = [];
    expect(await signIn(opened, person, { asked })).toMatchObject({ status: 200 });
    expect(asked).toEqual(['kc-form-login', 'kc-otp-login-form']);
    const { body } = await opened.get('/staff/v1/session');
    expect(body).toMatchObject({ roles: ['operations'] });
    const session = await newestSession(person);
    expect([...session.amr].sort()).toEqual(['otp', 'pwd']);
    expect(Math.abs(session.authenticatedAt.getTime() - Date.now())).toBeLessThan(60_000);
  });

  it('asks for both again when a fresh proof is wanted, whatever its cookies say, and the proof is a new one', async () => {
    const person = await equipped('deputy', 'operations');
    const opened = openBrowser();
    await signIn(opened, person);
    const earlier = await newestSession(person);
    expect(opened.cookies()).toContain('KEYCLOAK_IDENTITY');
    // It tells the time in seconds.
    await until('another second', async () => Date.now() - earlier.authenticatedAt.getTime() > 1_000);
    const asked: string[] = [];
    expect(await signIn(opened, person, { asked, stepUp: true })).toMatchObject({ status: 200 });
    expect(asked).toEqual(['kc-form-login', 'kc-otp-login-form']);
    const renewed = await newestSession(person);
    expect(renewed.id).not.toBe(earlier.id);
    expect(renewed.authenticatedAt.getTime()).toBeGreaterThan(earlier.authenticatedAt.getTime());
    expect([...renewed.amr].sort()).toEqual(['otp', 'pwd']);
  });

  it('lets nobody in with a wrong password, with a wrong code, or in no group that has a role', async () => {
    const person = await equipped('auditor', 'audit');
    const wrong = await signIn(openBrowser(), { ...person, password: 'not the password' });
    expect([wrong.url.startsWith(keycloak.issuer), formOf(wrong)?.id]).toEqual([true, 'kc-form-login']);
    const guessed = await signIn(openBrowser(), person, { code: 'abcdef' });
    expect([guessed.url.startsWith(keycloak.issuer), formOf(guessed)?.id]).toEqual([true, 'kc-otp-login-form']);
    const guest = await equipped('guest', 'visitors');
    expect(await signIn(openBrowser(), guest)).toMatchObject({
      status: 403,
      text: expect.stringContaining('id="no-role"'),
    });
  });

  it('says of a person the subject and the groups, and neither name nor address', async () => {
    const person = await equipped('compliance', 'compliance');
    const claims = decodeJwt(await idTokenOf(person));
    expect(claims).toMatchObject({
      iss: keycloak.issuer,
      aud: 'domovoy-staff',
      sub: person.id,
      groups: [GROUPS.compliance],
    });
    const known = [
      'iss',
      'aud',
      'sub',
      'exp',
      'iat',
      'jti',
      'typ',
      'azp',
      'sid',
      'auth_time',
      'acr',
      'amr',
      'groups',
      'at_hash',
      'nonce',
    ];
    expect(Object.keys(claims).filter((name) => !known.includes(name))).toEqual([]);
  });

  it('answers no request without PKCE, for another address, or with the password alone', async () => {
    const authorize = (parameters: Record<string, string>) =>
      openBrowser().open(authorization(parameters), undefined, CALLBACK);
    expect(formOf(await authorize({}))?.id).toBe('kc-form-login');
    const plain = await authorize({ code_challenge: '', code_challenge_method: '' });
    expect(new URL(plain.url).searchParams.get('error')).toBe('invalid_request');
    const elsewhere = await authorize({ redirect_uri: 'https://elsewhere.example/staff/callback' });
    expect([elsewhere.status, formOf(elsewhere)]).toEqual([400, null]);
    const direct = await token({ grant_type: 'password', username: 'operations', password: 'whatever it is' });
    expect(direct).toMatchObject({ status: 400, body: { error: 'unauthorized_client' } });
  });

  it('signs out here who an administrator signs out there', async () => {
    const person = await equipped('security', 'security');
    const opened = openBrowser();
    await signIn(opened, person);
    expect((await opened.get('/staff/v1/session')).status).toBe(200);
    await keycloak.operate('POST', `/users/${person.id}/logout`);
    await until('the session is over', async () => (await opened.get('/staff/v1/session')).status === 401, 20_000);
    // One word for each time that the person was signed in there.
    const events = await h.owner.identityEvent.findMany({ where: { memberId: (await memberOf(person)).id } });
    const said = events.map(({ kind, issuer }) => `${kind} ${issuer}`);
    expect(new Set(said)).toEqual(new Set([`signed-out ${keycloak.issuer}`]));
  });

  it('lets nobody back in whom it has disabled, and does not end the session by itself', async () => {
    const person = await equipped('leaver', 'operations');
    const opened = openBrowser();
    await signIn(opened, person);
    await keycloak.operate('PUT', `/users/${person.id}`, { enabled: false });
    // What operations.md says: a leaver is disabled here too, or signed out there.
    expect((await opened.get('/staff/v1/session')).status).toBe(200);
    await keycloak.operate('POST', `/users/${person.id}/logout`);
    await until('the session is over', async () => (await opened.get('/staff/v1/session')).status === 401, 20_000);
    const page = await signIn(openBrowser(), person);
    expect(page.url.startsWith(keycloak.issuer)).toBe(true);
  });

  it('keeps what people and administrators did for ninety days, and not for ever', async () => {
    const { body } = await keycloak.operate('GET', '');
    const seconds = 90 * 86_400;
    expect(body).toMatchObject({
      eventsEnabled: true,
      eventsExpiration: seconds,
      adminEventsEnabled: true,
      attributes: { adminEventsExpiration: seconds.toString() },
    });
  });

  it('has the realm and the people as they were when it is started again', async () => {
    const person = await equipped('auditor-deputy', 'audit');
    await keycloak.startAgain();
    expect(await signIn(openBrowser(), person)).toMatchObject({ status: 200 });
  });

  /** Goes through whatever Keycloak asks, as a person would. @returns the page that it ended on */
  async function signIn(
    opened: StaffBrowser,
    person: Person,
    { asked = [], stepUp = false, code }: { asked?: string[]; stepUp?: boolean; code?: string } = {},
  ): Promise<Page> {
    return answerForms(opened, await opened.open(`/staff/login${stepUp ? '?stepUp=true' : ''}`), person, asked, code);
  }

  async function answerForms(
    opened: StaffBrowser,
    start: Page,
    person: Person,
    asked: string[] = [],
    code?: string,
    stopAt?: string,
  ): Promise<Page> {
    let page = start;
    for (let form = formOf(page); form !== null; form = formOf(page)) {
      // The same again: it was refused.
      if (form.id === asked.at(-1)) return page;
      asked.push(form.id);
      page = await opened.open(form.action, await filledIn(form, person, code), stopAt);
    }
    return page;
  }

  async function filledIn(form: Form, person: Person, code?: string): Promise<Record<string, string>> {
    const { username, password } = person;
    switch (form.id) {
      case 'kc-form-login':
        return { ...form.hidden, username, password };
      case 'kc-otp-login-form':
        return { ...form.hidden, otp: code ?? (await nextCode(person)) };
      case 'kc-totp-settings-form':
        person.app = Buffer.from(form.hidden['totpSecret'] ?? '');
        return { ...form.hidden, totp: await nextCode(person), userLabel: 'phone' };
      case 'kc-passwd-update-form':
        person.password = randomBytes(12).toString('hex');
        return { ...form.hidden, 'password-new': person.password, 'password-confirm': person.password };
      default:
        throw new Error(`Keycloak asks for ${form.id}`);
    }
  }

  const authorization = (parameters: Record<string, string>): string => {
    const url = new URL(`${keycloak.issuer}/protocol/openid-connect/auth`);
    const usual = {
      ...{ response_type: 'code', client_id: 'domovoy-staff', scope: 'openid', redirect_uri: h.apiUrl + CALLBACK },
      ...{ state: 's', nonce: 'n', code_challenge: CHALLENGE, code_challenge_method: 'S256' },
    };
    const wanted = Object.entries({ ...usual, ...parameters }).filter(([, value]) => value !== '');
    url.search = new URLSearchParams(wanted).toString();
    return url.href;
  };

  /** What the API gets, asked for with its secret. */
  async function idTokenOf(person: Person): Promise<string> {
    const opened = openBrowser();
    const page = await answerForms(opened, await opened.open(authorization({})), person, [], undefined, CALLBACK);
    const code = new URL(page.url).searchParams.get('code') ?? '';
    const redirect = { redirect_uri: h.apiUrl + CALLBACK, code_verifier: VERIFIER };
    const { body } = await token({ grant_type: 'authorization_code', code, ...redirect });
    return String(body['id_token']);
  }

  async function token(form: Record<string, string>) {
    const dispatcher = new Agent({ connect: { ca: h.caPem } });
    const secret = Buffer.from(`domovoy-staff:${h.secrets.staffClient.value}`).toString('base64');
    const answer = await fetch(`${keycloak.issuer}/protocol/openid-connect/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${secret}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
      dispatcher,
    });
    const body = (await answer.json()) as Record<string, unknown>;
    await dispatcher.close();
    return { status: answer.status, body };
  }
});

type Person = {
  readonly id: string;
  readonly username: string;
  password: string;
  /** What the authenticator app holds; null before it was set up. */
  app: Buffer | null;
  readonly usedSteps: number[];
};

/** Of the town (stack/town.ts), and one that has no role. */
const GROUPS = {
  operations: 'domovoy-operations',
  compliance: 'domovoy-compliance',
  security: 'domovoy-information-security',
  audit: 'domovoy-audit',
  visitors: 'visitors',
} as const;

const VERIFIER = 'v'.repeat(43);
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

/** A code is good once; Keycloak takes those of the half minutes before and after as well, so that few need to be waited for. */
async function nextCode({ app, usedSteps }: Person): Promise<string> {
  if (app === null) throw new Error('no authenticator app was set up');
  const free = (): number | undefined => {
    const now = timeStep(Date.now());
    return [now, now + 1, now - 1].find((step) => !usedSteps.includes(step));
  };
  await until('a code is free', async () => free() !== undefined);
  const step = free() ?? 0;
  usedSteps.push(step);
  return totpCode(app, step);
}

type Form = { readonly id: string; readonly action: string; readonly hidden: Readonly<Record<string, string>> };

/** @returns the form on a page of Keycloak, with what it carries along; `null`: there is none */
function formOf({ text }: Page): Form | null {
  const form = tagsOf(text, 'form').find(({ id }) => id?.startsWith('kc-'));
  if (form?.['id'] === undefined || form['action'] === undefined) return null;
  const hidden = tagsOf(text, 'input').filter(({ type }) => type === 'hidden');
  return {
    id: form['id'],
    action: form['action'],
    hidden: Object.fromEntries(hidden.map(({ name = '', value = '' }) => [name, value])),
  };
}

/** The attributes of each tag of that name. */
const tagsOf = (html: string, name: string): Record<string, string | undefined>[] =>
  Array.from(html.matchAll(new RegExp(`<${name}\\s([^>]*)>`, 'g')), ([, attributes = '']) =>
    Object.fromEntries(
      Array.from(attributes.matchAll(/([\w-]+)="([^"]*)"/g), ([, key = '', value = '']) => [
        key,
        value.replaceAll('&amp;', '&'),
      ]),
    ),
  );
